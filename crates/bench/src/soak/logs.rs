//! The daemon's log files. One that was open when the daemon was killed ends in the middle of a frame; what is whole of it counts.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::ledger::{Kind, Kinds, key};
use super::sender;

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// By [`key`] of the daemon's id: our number, and what is told of the mail.
    pub(crate) mails: HashMap<u64, (u64, Kinds)>,
    pub(crate) records: usize,
    pub(crate) files: usize,
    /// Files that end in the middle of something.
    pub(crate) cut_off: usize,
    /// Lines that are no records.
    pub(crate) nonsense: Vec<String>,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(rename = "type")]
    kind: Kind,
    recipient: serde_json::Value,
    #[serde(default)]
    reception_protocol: Option<String>,
}

/// Reads all files of a folder.
pub(crate) fn read(folder: &Path) -> Result<Files> {
    let mut files = Files::default();
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            files.read(&path)?;
        }
    }
    Ok(files)
}

impl Files {
    fn read(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let mut decoder = zstd::stream::read::Decoder::new(file)?;
        self.files += 1;
        let (mut rest, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            match decoder.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => rest.extend_from_slice(&piece[..count]),
                Err(_) => {
                    self.cut_off += 1;
                    break;
                }
            }
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                for line in rest[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                    self.line(path, line);
                }
                rest.drain(..=end);
            }
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, line: &[u8]) {
        let record: Record = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(error) => {
                return self.nonsense.push(format!("{}: {error}: {}", path.display(), String::from_utf8_lossy(line)));
            }
        };
        self.records += 1;
        if record.reception_protocol.as_deref() == Some("LogRecord") {
            return;
        }
        if let Some(number) = record.recipient.as_str().and_then(sender::number_of) {
            let entry = self.mails.entry(key(&record.id)).or_insert_with(|| (number, Kinds::default()));
            entry.1.add(record.kind);
        }
    }
}

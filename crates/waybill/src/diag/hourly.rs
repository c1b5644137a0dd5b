//! Files of diagnostic lines, one for each hour.

use anyhow::{Context, Result};
use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing_subscriber::fmt::MakeWriter;
use waybill_runtime::Clock;

/// `log.2026-11-26-12` and its like, in UTC, in one directory. Nothing removes old ones.
pub(crate) struct HourlyFiles {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    current: Mutex<Current>,
}

struct Current {
    name: String,
    file: File,
}

impl HourlyFiles {
    /// Begins, or goes on with, the file of this hour.
    pub(crate) fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("make the directory {} (--diag-log-dir)", dir.display()))?;
        let name = name(&*clock);
        let file = open(dir, &name).with_context(|| format!("open {} (--diag-log-dir)", dir.join(&name).display()))?;
        Ok(HourlyFiles { dir: dir.to_owned(), clock, current: Mutex::new(Current { name, file }) })
    }
}

fn name(clock: &dyn Clock) -> String {
    clock.now().to_utc().format("log.%Y-%m-%d-%H").to_string()
}

fn open(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(dir.join(name))
}

/// Writes one line.
pub(crate) struct Line<'a>(&'a HourlyFiles);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut current = self.0.current.lock();
        let name = name(&*self.0.clock);
        if name != current.name {
            // Where the new one cannot be opened the old one goes on: better than no lines at all.
            if let Ok(file) = open(&self.0.dir, &name) {
                *current = Current { name, file };
            }
        }
        current.file.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for HourlyFiles {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_runtime::ManualClock;
    use waybill_types::Timestamp;

    #[test]
    fn each_hour_has_a_file_and_a_restart_goes_on_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::parse_rfc3339("2026-11-26T12:59:59Z").unwrap()));
        let files = HourlyFiles::open(dir.path(), clock.clone()).unwrap();
        files.make_writer().write_all(b"one\n").unwrap();
        clock.advance(std::time::Duration::from_secs(1));
        files.make_writer().write_all(b"two\n").unwrap();
        drop(files);
        HourlyFiles::open(dir.path(), clock).unwrap().make_writer().write_all(b"three\n").unwrap();
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("log.2026-11-26-12"), "one\n");
        assert_eq!(read("log.2026-11-26-13"), "two\nthree\n");
    }
}

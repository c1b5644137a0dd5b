//! One file that may still grow.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// The first bytes of a zstd frame; what begins otherwise is taken as it is.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes read, and decompressed, at once.
const PIECE: usize = 64 << 10;
/// No line is longer: whatever is, is no record.
const LONGEST_LINE: usize = 64 << 20;

/// Reads a file line by line.
pub(crate) struct Follower {
    file: File,
    /// Unset until the first bytes have shown what the file is.
    form: Option<Form>,
    /// The first bytes, as long as they do not show it.
    head: Vec<u8>,
    partial: Vec<u8>,
    lines: VecDeque<String>,
    /// The stream is damaged, or torn by a crash: nothing comes behind that.
    broken: bool,
}

enum Form {
    Plain,
    Zstd(Box<Decoder<'static>>),
}

impl Follower {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Follower { file, form: None, head: Vec::new(), partial: Vec::new(), lines: VecDeque::new(), broken: false })
    }

    /// The next line that is whole; `None` where the file ends for now.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            if self.broken || !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Whether nobody writes to it any more.
    pub(crate) fn is_done(&self) -> io::Result<bool> {
        Ok(self.broken || self.file.metadata()?.permissions().readonly())
    }

    /// False at the end of what is there.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut piece = vec![0; PIECE];
        let count = self.file.read(&mut piece)?;
        if count == 0 {
            return Ok(false);
        }
        self.head.extend_from_slice(&piece[..count]);
        let form = match &mut self.form {
            Some(form) => form,
            None if self.head.len() < ZSTD.len() && ZSTD.starts_with(&self.head) => return Ok(true),
            None if self.head.starts_with(&ZSTD) => self.form.insert(Form::Zstd(Box::new(Decoder::new()?))),
            None => self.form.insert(Form::Plain),
        };
        let bytes = std::mem::take(&mut self.head);
        match form {
            Form::Plain => self.take(&bytes)?,
            Form::Zstd(_) => self.decompress(&bytes)?,
        }
        Ok(true)
    }

    fn decompress(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(bytes);
        let mut piece = vec![0; PIECE];
        loop {
            let Some(Form::Zstd(decoder)) = &mut self.form else { return Ok(()) };
            let mut output = OutBuffer::around(&mut piece[..]);
            if decoder.run(&mut input, &mut output).is_err() {
                // What was read before stays good.
                self.broken = true;
                return Ok(());
            }
            let count = output.pos();
            self.take(&piece[..count])?;
            // A full piece may have more behind it.
            if input.pos() == bytes.len() && count < PIECE {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.lines.push_back(String::from_utf8_lossy(&line[..line.len() - 1]).into_owned());
            } else if self.partial.len() > LONGEST_LINE {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a line of more than {LONGEST_LINE} bytes"),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn all(follower: &mut Follower) -> Vec<String> {
        std::iter::from_fn(|| follower.next_line().unwrap()).collect()
    }

    #[test]
    fn a_file_is_read_as_it_grows_whatever_its_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain");
        let mut file = File::create(&path).unwrap();
        let mut follower = Follower::open(&path).unwrap();
        assert_eq!(all(&mut follower), [""; 0]);
        for (piece, lines) in [("{\"a\"", vec![]), (":1}\n{}\n", vec!["{\"a\":1}", "{}"]), ("x", vec![])] {
            file.write_all(piece.as_bytes()).unwrap();
            assert_eq!(all(&mut follower), lines);
        }
        let path = folder.path().join("zstd");
        let mut stream = zstd::Encoder::new(File::create(&path).unwrap(), 0).unwrap();
        let mut follower = Follower::open(&path).unwrap();
        for number in 0..3 {
            let lines: String = (0..50_000).map(|line| format!("{{\"n\":{number},\"line\":{line}}}\n")).collect();
            stream.write_all(lines.as_bytes()).unwrap();
            stream.flush().unwrap();
            assert_eq!(all(&mut follower).len(), 50_000);
        }
        assert!(!follower.is_done().unwrap());
    }

    #[test]
    fn of_a_stream_that_a_crash_has_torn_all_that_is_whole_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("torn");
        let mut stream = zstd::Encoder::new(Vec::new(), 0).unwrap();
        stream.write_all(b"first\n").unwrap();
        stream.flush().unwrap();
        let kept = stream.get_ref().len();
        stream.write_all(b"second\n").unwrap();
        let mut bytes = stream.finish().unwrap();
        bytes.truncate(kept + 3);
        bytes.extend_from_slice(&[0xff; 40]);
        std::fs::write(&path, bytes).unwrap();
        let mut follower = Follower::open(&path).unwrap();
        assert_eq!(all(&mut follower), ["first"]);
        assert!(follower.is_done().unwrap(), "nothing comes behind damage");
    }

    #[test]
    fn two_streams_in_one_file_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("two");
        let bytes = [b"one\n", b"two\n"].map(|text| zstd::encode_all(&text[..], 0).unwrap()).concat();
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(all(&mut Follower::open(&path).unwrap()), ["one", "two"]);
    }
}

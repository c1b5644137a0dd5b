use crate::directory::mark_done;
use crate::metrics::{Metrics, add};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use waybill_types::Timestamp;
use zstd::stream::write::Encoder;

/// One file while it is written: a zstd stream of lines.
///
/// Taking a line and putting bytes on the disk are two steps. Compression goes to memory, so a line is taken once and
/// for all; what the disk refuses stays in `out` and is offered again from where it stopped.
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    encoder: Encoder<'static, Vec<u8>>,
    /// Bytes of the encoder's output that are in the file.
    written: usize,
    /// Bytes taken, before compression.
    size: u64,
    /// There are lines that the encoder may still hold.
    dirty: bool,
    /// The stream has its end: nothing more goes in.
    ended: bool,
    expires: Option<Timestamp>,
}

impl Segment {
    /// Begins the stream in an empty file.
    pub(crate) fn begin(file: File, path: PathBuf, level: i32, expires: Option<Timestamp>) -> io::Result<Self> {
        let encoder = Encoder::new(Vec::new(), level)?;
        Ok(Segment { path, file, encoder, written: 0, size: 0, dirty: false, ended: false, expires })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// When it is too old.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Bytes taken, before compression.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether it takes no more lines.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Bytes that wait for the disk.
    pub(crate) fn waiting(&self) -> usize {
        self.encoder.get_ref().len() - self.written
    }

    /// Takes a line. No disk is involved; when the compressor itself fails, the segment ends here and the line belongs
    /// into the next one.
    pub(crate) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.dirty = true;
        let taken = self.encoder.write_all(line);
        match taken {
            Ok(()) => self.size += line.len() as u64,
            Err(_) => self.ended = true,
        }
        taken
    }

    /// Puts all that was taken where a reader can see it.
    pub(crate) fn flush(&mut self, metrics: &Metrics) -> io::Result<()> {
        if self.dirty && !self.ended {
            self.encoder.flush()?;
            self.dirty = false;
        }
        self.write_out(metrics)
    }

    /// Writes what the compressor gave so far.
    pub(crate) fn write_out(&mut self, metrics: &Metrics) -> io::Result<()> {
        while self.waiting() > 0 {
            match self.file.write(&self.encoder.get_ref()[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count;
                    add(&metrics.compressed_bytes, count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.encoder.get_mut().clear();
        self.written = 0;
        Ok(())
    }

    /// Ends the stream, waits for the disk and marks the file as done. After an error the same call goes on where it
    /// stopped.
    pub(crate) fn end(&mut self, metrics: &Metrics) -> io::Result<()> {
        if !self.ended {
            // Once only: should the compressor fail, the stream stays without an end, as after a crash.
            self.ended = true;
            self.encoder.do_finish()?;
        }
        self.write_out(metrics)?;
        self.file.sync_all()?;
        if let Err(error) = mark_done(&self.file) {
            // All is on the disk; holding up the log for a permission bit would be worse than a reader that waits.
            tracing::warn!(file = %self.path.display(), "failed to mark a log file as done: {error}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn begin(file: File) -> Segment {
        Segment::begin(file, "segment".into(), 0, None).unwrap()
    }

    #[test]
    fn what_a_full_disk_refused_is_written_once_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let metrics = Metrics::default();
        let mut segment = begin(File::options().write(true).open("/dev/full").unwrap());
        segment.append(b"first\n").unwrap();
        assert_eq!(segment.flush(&metrics).unwrap_err().kind(), io::ErrorKind::StorageFull);
        segment.append(b"second\n").unwrap();
        assert_eq!(segment.end(&metrics).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(segment.is_ended());

        segment.file = File::create(&path).unwrap();
        segment.end(&metrics).unwrap();
        assert_eq!(zstd::decode_all(File::open(&path).unwrap()).unwrap(), b"first\nsecond\n");
        assert!(fs::metadata(&path).unwrap().permissions().readonly());
    }

    #[test]
    fn a_flushed_line_can_be_read_while_the_file_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("segment");
        let metrics = Metrics::default();
        let mut segment = begin(File::create(&path).unwrap());
        segment.append(b"line\n").unwrap();
        segment.flush(&metrics).unwrap();
        let mut reader = zstd::Decoder::new(File::open(&path).unwrap()).unwrap();
        let mut line = [0; 5];
        io::Read::read_exact(&mut reader, &mut line).unwrap();
        assert_eq!(&line, b"line\n");
        assert_eq!(segment.waiting(), 0);
    }
}

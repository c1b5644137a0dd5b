use super::Host;
use crate::protocol::{FromWorker, HEADER, ToWorker, decode, encode, length};
use crate::{Answer, Request};
use parking_lot::Mutex;
use std::fs::File;
use std::io::{self, Error, ErrorKind, Read, Write};

/// The way to the parent.
pub(super) struct Link {
    output: Mutex<File>,
}

impl Link {
    pub(super) fn new(output: File) -> Self {
        Link { output: Mutex::new(output) }
    }

    pub(super) fn say(&self, message: &FromWorker) -> io::Result<()> {
        self.output.lock().write_all(&encode(message).map_err(Error::other)?)
    }

    /// What the parent says next; none when it has closed.
    pub(super) fn hear(&self) -> io::Result<Option<ToWorker<'static>>> {
        let mut input = io::stdin().lock();
        let mut header = [0; HEADER];
        match input.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut body = vec![0; length(header).map_err(Error::other)?];
        input.read_exact(&mut body)?;
        decode(&body).map(Some).map_err(Error::other)
    }
}

impl Host for Link {
    fn http(&self, request: Request) -> Result<Answer, String> {
        self.say(&FromWorker::Http(request)).map_err(|error| error.to_string())?;
        match self.hear() {
            Ok(Some(ToWorker::Answer(answer))) => answer,
            Ok(_) => Err("the daemon gave no answer".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn log(&self, line: String) {
        // A parent that is gone is noticed when the result is told.
        let _ = self.say(&FromWorker::Log(line));
    }
}

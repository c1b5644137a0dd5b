use crate::file::{Draft, FileError};
use crate::modes::Modes;
use crate::name::Names;
use crate::template::{PathError, PathTemplate};
use std::io::ErrorKind;
use std::sync::Arc;
use waybill_delivery::Outcome;
use waybill_spool::Message;
use waybill_types::{EnvelopeAddress, Response, Timestamp};

/// What a delivery needs beside the message.
pub(crate) struct Store {
    pub(crate) template: PathTemplate,
    pub(crate) modes: Modes,
    pub(crate) names: Arc<Names>,
    pub(crate) now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl Store {
    /// Writes a message for each of its recipients, or for none. Blocks.
    pub(crate) fn deliver(&self, message: &Message) -> Outcome {
        self.write(message).unwrap_or_else(|failed| failed)
    }

    fn write(&self, message: &Message) -> Result<Outcome, Outcome> {
        let Some(body) = message.data() else {
            return Err(later(451, "4.3.0 the body of the message is not in memory"));
        };
        let recipients = message.recipients();
        // All files are complete before the first is shown: a full disk must not leave a message with some recipients.
        let paths: Vec<_> = recipients
            .iter()
            .map(|recipient| self.template.path(message, recipient).map_err(|error| no_path(recipient, &error)))
            .collect::<Result<_, _>>()?;
        let drafts: Vec<_> = recipients
            .iter()
            .zip(&paths)
            .map(|(recipient, path)| {
                let draft = Draft::write(path, &body, &self.names, (self.now)(), self.modes);
                draft.map(|draft| (recipient, draft)).map_err(|error| not_written(recipient, &error))
            })
            .collect::<Result<_, _>>()?;
        let mut said = Vec::with_capacity(drafts.len());
        for (recipient, draft) in drafts {
            let id = draft.publish().map_err(|error| not_written(recipient, &error))?;
            said.push(format!("{recipient}: wrote to maildir with id={id}"));
        }
        Ok(Outcome::Delivered(Response::plain(200, said.join(", "))))
    }
}

fn later(code: u16, text: impl AsRef<str>) -> Outcome {
    Outcome::Transient(Response::new(code, text), None)
}

fn no_path(recipient: &EnvelopeAddress, error: &PathError) -> Outcome {
    match error {
        PathError::Refused(refused) => Outcome::Permanent(Response::new(550, format!("5.1.3 {recipient}: {refused}"))),
        PathError::Template(why) => later(451, format!("4.3.5 {recipient}: maildir_path: {why}")),
    }
}

fn not_written(recipient: &EnvelopeAddress, error: &FileError) -> Outcome {
    let text = format!("{recipient}: failed to write to maildir {error}");
    match error.error.kind() {
        ErrorKind::StorageFull => later(452, format!("4.3.1 {text}")),
        ErrorKind::QuotaExceeded => later(452, format!("4.2.2 {text}")),
        // The name is longer than the file system allows, and will be tomorrow.
        ErrorKind::InvalidFilename => Outcome::Permanent(Response::new(550, format!("5.1.3 {text}"))),
        _ => later(451, format!("4.3.0 {text}")),
    }
}

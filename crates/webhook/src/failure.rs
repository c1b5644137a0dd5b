use waybill_webhook_core::{Blocked, Trouble, printable};

/// Why an attempt got no status.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It must not be made.
    Blocked(Blocked),
    /// It went wrong.
    Trouble(Trouble),
}

impl From<Blocked> for Failure {
    fn from(blocked: Blocked) -> Self {
        Failure::Blocked(blocked)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Failure::Trouble(trouble)
    }
}

/// An error and what caused it, printable: parts of it may be a peer's words.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many libraries repeat their cause in their own text.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    printable(text.as_bytes(), 500)
}

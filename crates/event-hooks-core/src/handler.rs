//! What a hook does when it fires, as its `config` says.

mod custom;
mod reach;
mod webhook;

pub use custom::Custom;
pub(crate) use custom::{Content, Payload};
pub use webhook::{Webhook, field_of};

use crate::hook::Section;

/// A handler with its settings, checked.
#[derive(Clone, Debug)]
pub enum Handler {
    /// A POST of the event, in a format.
    Webhook(Box<Webhook>),
    /// A request made from templates.
    Custom(Box<Custom>),
    /// A line in the daemon's log.
    Log,
    /// Functions in Lua.
    Lambda(Lambda),
}

/// Functions that get the event, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lambda {
    /// Lua chunks, each of which returns `function(data, event, source, pid)`. Whether they compile is not known here.
    pub functions: Vec<String>,
}

/// Which handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Webhook,
    Custom,
    Log,
    Lambda,
}

impl Kind {
    pub(crate) const WORDS: &'static [(&'static str, Kind)] =
        &[("webhook", Kind::Webhook), ("webhook-custom", Kind::Custom), ("log", Kind::Log), ("lambda", Kind::Lambda)];
}

/// Functions of a hook.
const MOST_FUNCTIONS: usize = 16;
/// Bytes of one.
const LONGEST_FUNCTION: usize = 64 * 1024;

impl Handler {
    /// Reads `config`.
    pub(crate) fn read(kind: Kind, mut config: Section<'_>) -> Option<Handler> {
        let handler = match kind {
            Kind::Webhook => webhook::read(&mut config).map(|webhook| Handler::Webhook(Box::new(webhook))),
            Kind::Custom => custom::read(&mut config).map(|custom| Handler::Custom(Box::new(custom))),
            Kind::Log => Some(Handler::Log),
            Kind::Lambda => lambda(&mut config).map(Handler::Lambda),
        };
        config.end();
        handler
    }

    /// Its name in the API.
    pub fn name(&self) -> &'static str {
        match self {
            Handler::Webhook(_) => "webhook",
            Handler::Custom(_) => "webhook-custom",
            Handler::Log => "log",
            Handler::Lambda(_) => "lambda",
        }
    }
}

fn lambda(config: &mut Section<'_>) -> Option<Lambda> {
    let functions = config.required("functions", |config| config.list("functions", MOST_FUNCTIONS))?;
    if functions.is_empty() {
        config.wrong("functions", "length must be at least 1");
        return None;
    }
    if functions.iter().any(|function| function.len() > LONGEST_FUNCTION) {
        config.wrong("functions", format!("a function has at most {LONGEST_FUNCTION} bytes"));
        return None;
    }
    Some(Lambda { functions })
}

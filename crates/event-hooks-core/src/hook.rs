//! A subscription, as it is described, kept and shown.

mod dormant;
mod kept;
mod read;
mod rotation;
mod section;
mod show;
#[cfg(test)]
mod tests;

pub(crate) use section::Section;

pub use dormant::Dormant;
pub use rotation::{Replaced, SigningKey};

use crate::handler::{Handler, Webhook};
use crate::{BatchRule, Document, Event, Filter, Format, GateRule, Shape, Violations};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;
use uuid::Uuid;
use waybill_types::{ThrottleSpec, Timestamp};
use waybill_webhook_sign::Secret;

/// What a description's texts mean: in a form everything is a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Numbers are numbers.
    Json,
    /// Numbers and booleans come as texts.
    Form,
}

/// What somebody wants, checked. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Which source.
    pub source: String,
    /// Which event of it; unset means all.
    pub event: Option<String>,
    /// What to do.
    pub handler: Handler,
    /// When to keep quiet.
    pub gate: GateRule,
    /// Whether it fires at all.
    pub enabled: bool,
    /// Only events for which this holds.
    pub filter: Option<Filter>,
    /// Which fields are seen.
    pub shape: Shape,
    /// Only events of this tenant.
    pub tenant: Option<String>,
    /// What the body of a `webhook` looks like.
    pub format: Format,
    /// As many events may be in one body; unset means one, without a list around it.
    pub batch: Option<BatchRule>,
    /// How long an event is tried; unset means the default of the daemon.
    pub max_age: Option<Duration>,
    /// How many attempts may begin in a period.
    pub rate: Option<ThrottleSpec>,
    /// How many requests may be under way; unset means as many as the endpoint's description has.
    pub connections: Option<u32>,
    /// How long a replaced secret signs on.
    pub secret_overlap: Duration,
    /// As it was described, secrets included.
    document: Document,
}

/// When something was done, and as what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// The hook's id.
    pub id: Uuid,
    /// Now.
    pub now: Timestamp,
}

/// A hook. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Its id.
    pub id: Uuid,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// What it does.
    pub draft: Draft,
    /// Why it was disabled, where nobody asked for it: its target answered 410.
    pub reason: Option<String>,
    /// Secrets that were replaced and still sign.
    before: Vec<Replaced>,
}

/// A hook that was kept and makes no sense any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damaged(String);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stored event hook cannot be read: {}", self.0)
    }
}

impl std::error::Error for Damaged {}

impl Draft {
    /// Whether it is for events of this kind and tenant.
    pub fn takes(&self, event: &Event<'_>) -> bool {
        let kind = self.source == event.source && self.event.as_deref().is_none_or(|wanted| wanted == event.event);
        kind && self.tenant.as_deref().is_none_or(|tenant| event.tenant == Some(tenant))
    }

    fn target(&self) -> Option<&Webhook> {
        match &self.handler {
            Handler::Webhook(webhook) => Some(webhook),
            Handler::Custom(custom) => Some(custom.target()),
            Handler::Log | Handler::Lambda(_) => None,
        }
    }

    fn secret(&self, key: SigningKey) -> Option<&Secret> {
        self.target().and_then(|target| target.secret(key))
    }
}

impl Hook {
    /// A new one.
    pub fn new(stamp: Stamp, draft: Draft) -> Self {
        Hook { id: stamp.id, created_at: stamp.now, updated_at: stamp.now, draft, reason: None, before: Vec::new() }
    }

    /// The description that a PATCH would give.
    ///
    /// # Errors
    /// When a secret that it does not name would be sent to somebody else than it was given for.
    pub fn patched(&self, patch: &Document) -> Result<Document, Violations> {
        kept::patched(&self.draft.document, patch)
    }

    /// The hook with another description. A secret that is replaced signs on for the overlap of the new description.
    #[must_use]
    pub fn updated(&self, draft: Draft, now: Timestamp) -> Hook {
        let before = rotation::replaced(|key| self.draft.secret(key).cloned(), &self.before, &draft, now);
        Hook { updated_at: now, draft, reason: None, before, ..self.clone() }
    }

    /// Disabled because of what its target said; its events stay.
    #[must_use]
    pub fn disabled(&self, reason: impl Into<String>, now: Timestamp) -> Hook {
        let mut hook = self.clone();
        hook.draft.enabled = false;
        let off = json!({"enabled": false});
        hook.draft.document = hook.draft.document.merged(Document(off.as_object().cloned().unwrap_or_default()));
        hook.reason = Some(reason.into());
        hook.updated_at = now;
        hook
    }

    /// Whether a header of its requests, by its name in lower case, is one that nobody is shown.
    pub fn keeps_secret(&self, header: &str) -> bool {
        self.draft.target().is_some_and(|target| target.keeps_secret(header))
    }

    /// Secrets that were replaced and still sign.
    pub fn secrets_before(&self) -> &[Replaced] {
        &self.before
    }

    /// Everything, secrets included: for whoever encrypts it.
    pub fn to_stored(&self) -> Vec<u8> {
        let before: Vec<Value> = self.before.iter().map(Replaced::to_stored).collect();
        json!({
            "id": self.id,
            "created_at": self.created_at.nanos(),
            "updated_at": self.updated_at.nanos(),
            "reason": self.reason,
            "before": before,
            "document": self.draft.document.clone().into_object(),
        })
        .to_string()
        .into_bytes()
    }

    /// What [`Hook::to_stored`] gave.
    ///
    /// # Errors
    /// When it makes no sense, a hook on an event that is not there any more included.
    pub fn from_stored(bytes: &[u8], catalogue: &crate::Catalogue) -> Result<Hook, Damaged> {
        let stored: read::Stored = serde_json::from_slice(bytes).map_err(|error| {
            // serde may repeat a value.
            Damaged(format!("{:?} error at column {}", error.classify(), error.column()))
        })?;
        let draft = Draft::read(&Document(stored.document), Encoding::Json, catalogue);
        let draft = draft.map_err(|violations: Violations| Damaged(violations.to_string()))?;
        Ok(Hook {
            id: stored.id,
            created_at: Timestamp::from_nanos(stored.created_at),
            updated_at: Timestamp::from_nanos(stored.updated_at),
            draft,
            reason: stored.reason,
            before: stored.before.into_iter().map(Into::into).collect(),
        })
    }
}

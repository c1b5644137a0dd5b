use super::kept;
use super::read::Stored;
use super::show::DESCRIBED;
use crate::{Document, Violations};
use serde_json::{Value, json};
use uuid::Uuid;
use waybill_types::Timestamp;

/// A hook that is kept and cannot run: its secrets cannot be opened, its source is not published any more, its filter is
/// none to this version. `Debug` shows no secret.
#[derive(Clone, PartialEq, Debug)]
pub struct Dormant {
    /// Which.
    pub id: Uuid,
    /// Why it does not run.
    pub reason: String,
    known: Option<Known>,
}

/// What can still be read of it.
#[derive(Clone, PartialEq, Debug)]
struct Known {
    created_at: Timestamp,
    updated_at: Timestamp,
    document: Document,
}

impl Dormant {
    /// `stored` is what [`super::Hook::to_stored`] gave, where it could be opened.
    pub fn new(id: Uuid, reason: impl Into<String>, stored: Option<&[u8]>) -> Self {
        let known = stored.and_then(|bytes| serde_json::from_slice::<Stored>(bytes).ok()).map(|stored| Known {
            created_at: Timestamp::from_nanos(stored.created_at),
            updated_at: Timestamp::from_nanos(stored.updated_at),
            document: Document(stored.document),
        });
        Dormant { id, reason: reason.into(), known }
    }

    fn field(&self, field: &str) -> Option<&Value> {
        self.known.as_ref()?.document.0.get(field)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.field(field)?.as_str()
    }

    /// When it was made; unknown is before all others.
    pub fn created_at(&self) -> Timestamp {
        self.known.as_ref().map_or(Timestamp::EPOCH, |known| known.created_at)
    }

    /// Whose it is. What is not known belongs to nobody in particular.
    pub fn tenant(&self) -> Option<&str> {
        self.text("tenant")
    }

    /// The source that it was on.
    pub fn source(&self) -> Option<&str> {
        self.text("source")
    }

    /// The event that it was on; all of its source where there is none.
    pub fn event(&self) -> Option<&str> {
        self.text("event")
    }

    /// The description that a PATCH would give, where its own is known.
    ///
    /// # Errors
    /// As [`super::Hook::patched`].
    pub fn patched(&self, patch: &Document) -> Result<Option<Document>, Violations> {
        self.known.as_ref().map(|known| kept::patched(&known.document, patch)).transpose()
    }

    /// As the API shows it: what is known, and nothing of its configuration, which may hold secrets.
    pub fn to_json(&self) -> Value {
        let secs = |time: fn(&Known) -> Timestamp| self.known.as_ref().map(|known| time(known).secs());
        let mut hook = json!({
            "id": self.id,
            "created_at": secs(|known| known.created_at),
            "updated_at": secs(|known| known.updated_at),
            "enabled": false,
            "state": "dormant",
            "reason": self.reason,
            "config": null,
        });
        for field in ["source", "event", "handler", "format"].into_iter().chain(DESCRIBED) {
            hook[field] = self.field(field).cloned().unwrap_or(Value::Null);
        }
        hook
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_shown_without_the_configuration() {
        let document = json!({"source": "billing", "event": "quota", "handler": "webhook", "tenant": "t",
                              "config": {"url": "https://x.example/", "secret": "hunter2"}});
        let stored = json!({"id": Uuid::nil(), "created_at": 1_700_000_000_000_000_000_i64, "updated_at": 0,
                            "reason": null, "before": [], "document": document});
        let dormant = Dormant::new(Uuid::nil(), "gone", Some(stored.to_string().as_bytes()));
        let shown = dormant.to_json();
        assert_eq!((&shown["source"], &shown["state"]), (&json!("billing"), &json!("dormant")));
        assert_eq!((&shown["created_at"], &shown["reason"]), (&json!(1_700_000_000), &json!("gone")));
        assert!(!format!("{shown}{dormant:?}").contains("hunter2"), "{shown} {dormant:?}");
        assert_eq!(dormant.tenant(), Some("t"));
        let patch = json!({"source": "log"}).as_object().cloned().unwrap().into();
        assert_eq!(dormant.patched(&patch).unwrap().unwrap().into_object()["source"], "log");
        let sealed = Dormant::new(Uuid::nil(), "no key", None);
        assert_eq!((sealed.tenant(), sealed.patched(&Document::default())), (None, Ok(None)));
        assert_eq!(sealed.to_json()["source"], Value::Null);
        let fields = |hook: &Value| hook.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&shown), fields(&sealed.to_json()));
    }
}

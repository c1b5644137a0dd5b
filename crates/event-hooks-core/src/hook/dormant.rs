use super::read::Stored;
use super::show::DESCRIBED;
use super::{Draft, Hook, Replaced, Stamp, kept, rotation};
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
    /// Secrets that were replaced and still sign.
    before: Vec<Replaced>,
}

impl Dormant {
    /// `stored` is what [`super::Hook::to_stored`] gave, where it could be opened.
    pub fn new(id: Uuid, reason: impl Into<String>, stored: Option<&[u8]>) -> Self {
        let known = stored.and_then(|bytes| serde_json::from_slice::<Stored>(bytes).ok()).map(|stored| Known {
            created_at: Timestamp::from_nanos(stored.created_at),
            updated_at: Timestamp::from_nanos(stored.updated_at),
            document: Document(stored.document),
            before: stored.before.into_iter().map(Into::into).collect(),
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

    /// The hook that a description makes of it: as old as it was, with the secrets that still sign.
    pub fn mended(&self, draft: Draft, now: Timestamp) -> Hook {
        let mut hook = Hook::new(Stamp { id: self.id, now }, draft);
        if let Some(known) = &self.known {
            hook.created_at = known.created_at;
            hook.before = rotation::replaced(|key| key.described(&known.document.0), &known.before, &hook.draft, now);
        }
        hook
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

    #[test]
    fn a_secret_that_is_replaced_when_a_hook_is_mended_signs_on() {
        let config = json!({"url": "https://x.example/", "secret": "new"});
        let described = json!({"source": "log", "handler": "webhook", "secret_overlap": 60, "config": config});
        let document = Document(described.as_object().cloned().unwrap());
        let draft = Draft::read(&document, crate::Encoding::Json, &crate::Catalogue::new()).unwrap();
        let old = json!({"source": "billing", "handler": "webhook", "config": {"secret": "old"}});
        let stored = json!({"id": Uuid::nil(), "created_at": 5, "updated_at": 6, "reason": null, "document": old,
                            "before": [{"secret": "older", "until": 2_000_000_000}, {"secret": "oldest", "until": 1}]});
        let dormant = Dormant::new(Uuid::nil(), "gone", Some(stored.to_string().as_bytes()));
        let mended = dormant.mended(draft.clone(), Timestamp::from_secs(1));
        assert_eq!((mended.created_at.nanos(), mended.updated_at), (5, Timestamp::from_secs(1)));
        let before: Vec<_> =
            mended.secrets_before().iter().map(|old| (old.secret.reveal(), old.until.secs())).collect();
        assert_eq!(before, [("old", 61), ("older", 2)]);
        // Of what cannot be opened nothing is known.
        let sealed = Dormant::new(Uuid::nil(), "no key", None).mended(draft, Timestamp::from_secs(7));
        assert_eq!((sealed.created_at, sealed.secrets_before().len()), (Timestamp::from_secs(7), 0));
    }
}

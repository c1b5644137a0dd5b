//! Secrets that sign, and for a while those that they replaced.

use super::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waybill_types::Timestamp;
use waybill_webhook_sign::Secret;

/// Which of the secrets that sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigningKey {
    /// `config.secret`: Kong's signature, and that of Standard Webhooks where it is a key of that.
    #[default]
    Secret,
    /// `config.signatures.standard`.
    Standard,
    /// `config.signatures.klev`.
    Klev,
}

/// A secret that was replaced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Which it was.
    pub key: SigningKey,
    /// It.
    pub secret: Secret,
    /// It signs until then.
    pub until: Timestamp,
}

/// Secrets that were replaced and still sign, all together: with those that are in use, as many as fit into a header.
const MOST: usize = 6;

impl SigningKey {
    /// All of them.
    pub(crate) const ALL: [SigningKey; 3] = [SigningKey::Secret, SigningKey::Standard, SigningKey::Klev];

    /// What a description holds for it.
    pub(super) fn described(self, description: &Map<String, Value>) -> Option<Secret> {
        let config = description.get("config")?;
        let found = match self {
            SigningKey::Secret => config.get("secret"),
            SigningKey::Standard => config.get("signatures")?.get("standard"),
            SigningKey::Klev => config.get("signatures")?.get("klev"),
        };
        found?.as_str().map(Secret::new)
    }
}

/// Those that sign beside the secrets of `new`, which takes the place of a description that has those of `old`; `before` are
/// those that did beside that.
pub(super) fn replaced(
    old: impl Fn(SigningKey) -> Option<Secret>,
    before: &[Replaced],
    new: &Draft,
    now: Timestamp,
) -> Vec<Replaced> {
    let mut all: Vec<Replaced> = before.iter().filter(|one| one.until > now).cloned().collect();
    let overlap = i64::try_from(new.secret_overlap.as_nanos()).unwrap_or(i64::MAX);
    for key in SigningKey::ALL {
        let Some(secret) = old(key).filter(|old| new.secret(key) != Some(old)) else { continue };
        if new.secret(key).is_some() && overlap > 0 {
            let until = Timestamp::from_nanos(now.nanos().saturating_add(overlap));
            all.insert(0, Replaced { key, secret, until });
        } else {
            all.retain(|one| one.key != key);
        }
    }
    all.truncate(MOST);
    all
}

/// As it is stored.
#[derive(Deserialize)]
pub(super) struct Stored {
    /// Where nothing is said it is the one that there was first.
    #[serde(default)]
    key: SigningKey,
    secret: Secret,
    until: i64,
}

impl From<Stored> for Replaced {
    fn from(Stored { key, secret, until }: Stored) -> Self {
        Replaced { key, secret, until: Timestamp::from_nanos(until) }
    }
}

impl Replaced {
    /// What [`Stored`] reads.
    pub(super) fn to_stored(&self) -> Value {
        serde_json::json!({"key": self.key, "secret": self.secret.reveal(), "until": self.until.nanos()})
    }
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, Document, Draft, Encoding, Hook, Stamp};
    use serde_json::{Value, json};
    use uuid::Uuid;
    use waybill_types::Timestamp;
    use waybill_webhook_core::EndpointConfig;
    use waybill_webhook_sign::EventId;

    const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PRIVATE: &str =
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";

    fn read(config: Value) -> Result<Draft, String> {
        let mut hook = json!({"source": "log", "handler": "webhook", "secret_overlap": 60, "config": config});
        hook["config"]["url"] = json!("https://h.example/");
        let document = Document(hook.as_object().cloned().expect("an object"));
        Draft::read(&document, Encoding::Json, &Catalogue::new()).map_err(|violations| violations.to_string())
    }

    fn hook(config: Value) -> Hook {
        Hook::new(Stamp { id: Uuid::nil(), now: at(1) }, read(config).expect("a hook"))
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn endpoint(hook: &Hook) -> EndpointConfig {
        hook.draft.target().expect("a target").endpoint(hook.secrets_before())
    }

    /// Names of headers with signatures, and how many of them hold.
    fn signatures(hook: &Hook, now: i64) -> Vec<(String, usize)> {
        let id = EventId::new("msg_1").expect("an id");
        let signer = endpoint(hook).sign.signer().expect("keys");
        let headers = signer.headers(&id, at(now), b"{}").into_iter();
        let signed = headers.filter(|(name, _)| name.contains("signature"));
        signed.map(|(name, value)| (name, value.split([' ', ';']).count())).collect()
    }

    #[test]
    fn every_scheme_signs_at_once_where_that_is_asked() {
        let config = json!({"secret": NEW, "signatures": {"standard": PRIVATE, "klev": "ewhsec_x"}});
        let sign = endpoint(&hook(config)).sign;
        let standard: Vec<_> = sign.standard.iter().map(|key| (key.secret.reveal(), key.until)).collect();
        assert_eq!(standard, [(NEW, None), (PRIVATE, None)], "v1 and v1a in one header");
        let klev: Vec<_> = sign.klev.iter().map(|key| key.secret.reveal()).collect();
        assert_eq!((klev, sign.kong.expect("Kong's").secret.reveal()), (vec!["ewhsec_x"], NEW));
        // By klev's alone, and by nothing that was not asked for.
        let sign = endpoint(&hook(json!({"signatures": {"klev": "ewhsec_x"}}))).sign;
        assert_eq!((sign.klev.len(), sign.standard.len(), sign.kong.is_none()), (1, 0, true));
        let same = hook(json!({"secret": NEW, "signatures": {"standard": NEW, "klev": NEW}}));
        assert_eq!(endpoint(&same).sign.standard.len(), 1, "once is enough");
    }

    #[test]
    fn each_secret_is_replaced_on_its_own_and_signs_on_for_the_overlap() {
        let old = hook(json!({"secret": OLD, "signatures": {"standard": PRIVATE, "klev": "ewhsec_x"}}));
        let draft = read(json!({"secret": NEW, "signatures": {"standard": PRIVATE, "klev": "ewhsec_y"}})).unwrap();
        let new = old.updated(draft, at(100));
        let new = Hook::from_stored(&new.to_stored(), &Catalogue::new()).expect("what was stored");
        let counts = |now| signatures(&new, now).into_iter().map(|(_, count)| count).collect::<Vec<_>>();
        // Standard Webhooks: NEW, PRIVATE and OLD; Kong's; klev's: the time and both.
        let names: Vec<String> = signatures(&new, 159).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["webhook-signature", "x-kong-signature", "x-klev-signature"]);
        assert_eq!((counts(159), counts(160)), (vec![3, 1, 3], vec![2, 1, 2]));
        // Taken out, it is gone at once, and the others stay.
        let none = new.updated(read(json!({"secret": NEW, "signatures": {"standard": PRIVATE}})).unwrap(), at(110));
        assert!(endpoint(&none).sign.klev.is_empty());
        assert_eq!(endpoint(&none).sign.standard.len(), 3);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_field_and_no_secret_is_shown() {
        for (signatures, why) in [
            (json!({"standard": "hunter2"}), "schema violation (config.signatures.standard: a key begins with"),
            (json!({"klev": ""}), "schema violation (config.signatures.klev: length must be at least 1)"),
            (json!({"kong": "hunter2"}), "config.signatures.kong: unknown field; accepted are: standard, klev"),
        ] {
            let refused = read(json!({ "signatures": signatures })).expect_err("it is refused");
            assert!(refused.contains(why) && !refused.contains("hunter2"), "{refused}");
        }
        let hook = hook(json!({"signatures": {"standard": PRIVATE, "klev": "hunter2"}}));
        assert_eq!(hook.to_json()["config"]["signatures"], json!({"standard": null, "klev": null}));
        assert!(!format!("{hook:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_that_was_replaced_before_there_were_several_signs_on() {
        let described =
            json!({"source": "log", "handler": "webhook", "config": {"url": "https://h.example/", "secret": NEW}});
        let stored = json!({"id": Uuid::nil(), "created_at": 0, "updated_at": 0, "reason": null, "document": described,
                            "before": [{"secret": OLD, "until": at(50).nanos()}]});
        let hook = Hook::from_stored(stored.to_string().as_bytes(), &Catalogue::new()).expect("a hook");
        assert_eq!(endpoint(&hook).sign.standard.len(), 2);
    }
}

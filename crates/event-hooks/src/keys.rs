//! What of event hooks stands where in the store, all of it in [`waybill_spool::Table::State`].
//!
//! ```text
//! "event-hook" ID                    the hook, sealed
//! "event-hooks-key"                  what addresses are hashed with, sealed
//! "event-hook-attempt" ID number     an attempt, as JSON
//! ```
//!
//! A hook's consumer is `event-hook:ID`, a replay of it `event-hook:ID@replay-N`.

use uuid::Uuid;
use waybill_sealing::Place;
use waybill_spool::Key;

const CONSUMER: &str = "event-hook:";

pub(crate) fn hooks() -> Key {
    Key::new().text("event-hook")
}

pub(crate) fn hook(id: Uuid) -> Key {
    hooks().text(&id.to_string())
}

pub(crate) fn hash_key() -> Key {
    Key::new().text("event-hooks-key")
}

/// Those of all hooks.
pub(crate) fn all_attempts() -> Key {
    Key::new().text("event-hook-attempt")
}

pub(crate) fn attempts(id: Uuid) -> Key {
    all_attempts().text(&id.to_string())
}

pub(crate) fn attempt(id: Uuid, number: u64) -> Key {
    attempts(id).number(number)
}

/// The number in the key of an attempt.
pub(crate) fn attempt_number(key: &Key) -> Option<u64> {
    let mut parts = key.read();
    parts.text()?;
    parts.text()?;
    parts.number()
}

/// The id in the key of a hook.
pub(crate) fn hook_id(key: &Key) -> Option<Uuid> {
    let mut parts = key.read();
    parts.text()?;
    parts.text()?.parse().ok()
}

/// The id of its hook in the key of an attempt.
pub(crate) fn attempt_hook(key: &Key) -> Option<Uuid> {
    hook_id(key)
}

/// Where a hook is sealed for.
pub(crate) fn hook_place(id: Uuid) -> Place {
    Place::new("event-hook").part(&id.to_string())
}

pub(crate) fn hash_key_place() -> Place {
    Place::new("event-hooks-key")
}

pub(crate) fn consumer(id: Uuid) -> String {
    format!("{CONSUMER}{id}")
}

/// Whose consumer it is, replays included.
pub(crate) fn consumer_of(name: &str) -> Option<Uuid> {
    let rest = name.strip_prefix(CONSUMER)?;
    rest.split('@').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_consumers_lead_back_to_their_hook() {
        let id = Uuid::from_u128(7);
        assert_eq!(consumer_of(&consumer(id)), Some(id));
        assert_eq!(consumer_of(&format!("{}@replay-2", consumer(id))), Some(id));
        assert_eq!(consumer_of("webhook"), None);
        assert_eq!(hook_id(&hook(id)), Some(id));
        assert_eq!((attempt_number(&attempt(id, 9)), attempt_hook(&attempt(id, 9))), (Some(9), Some(id)));
    }
}

use serde_json::{Map, Value};
use waybill_types::Timestamp;

/// Something that happened, as hooks see it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Event<'a> {
    /// The same in every attempt, for every hook.
    pub id: &'a str,
    /// Where it comes from, `log`.
    pub source: &'a str,
    /// What it is, `Bounce`.
    pub event: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// Whose it is, where it is of a tenant.
    pub tenant: Option<&'a str>,
    /// The fields.
    pub data: &'a Map<String, Value>,
}

use crate::{credentials, rights};
use serde::{Serialize, Serializer};
use std::time::Duration;
use waybill_types::format_duration;

/// What a cache is, for those who describe it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CacheInfo {
    /// Its name: the event whose answers it keeps.
    pub name: &'static str,
    /// What is in it.
    pub doc: &'static str,
    /// The most entries.
    pub capacity: usize,
    /// How long an entry is good for.
    #[serde(serialize_with = "duration")]
    pub ttl: Duration,
}

/// The caches of this crate.
pub fn caches() -> Vec<CacheInfo> {
    vec![
        CacheInfo {
            name: "get_acl_definition",
            doc: "access lists that policy gave, by resource; a new policy empties it",
            capacity: rights::CACHE_CAPACITY,
            ttl: rights::CACHE_FOR,
        },
        CacheInfo {
            name: "http_server_validate_auth",
            doc: "credentials that policy accepted, as digests; a new policy empties it",
            capacity: credentials::CACHE_CAPACITY,
            ttl: credentials::CACHE_FOR,
        },
    ]
}

fn duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

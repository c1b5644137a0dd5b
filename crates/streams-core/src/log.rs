use crate::{Code, Error, Id, Limits, Reach, field};
use serde::{Deserialize, Serialize};

/// A log as it is stored and shown. Limits that are zero do not limit, and are not shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Log {
    /// Its id.
    pub log_id: Id,
    /// What its maker says about it.
    #[serde(default)]
    pub metadata: String,
    /// Whether it can be asked by key, and drops what a later message with the same key replaces.
    #[serde(default)]
    pub compacting: bool,
    /// Ours: the tenant whose it is, with all that hangs on it; nobody's in particular where it is not set. For life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What is dropped by itself.
    #[serde(flatten)]
    pub limits: Cleanup,
}

/// What to drop. Zero means nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cleanup {
    /// From the front: messages older than this.
    #[serde(skip_serializing_if = "is_zero")]
    pub trim_seconds: u64,
    /// From the front: until the rest has no more bytes than this.
    #[serde(skip_serializing_if = "is_zero")]
    pub trim_size: u64,
    /// From the front: until no more messages than this are left.
    #[serde(skip_serializing_if = "is_zero")]
    pub trim_count: u64,
    /// Anywhere: messages older than this whose key has a later message.
    #[serde(skip_serializing_if = "is_zero")]
    pub compact_seconds: u64,
    /// Anywhere: messages older than this without a value.
    #[serde(skip_serializing_if = "is_zero")]
    pub expire_seconds: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Cleanup {
    /// Whether it drops nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Cleanup::default()
    }

    /// Whether a log may be cleaned up so.
    ///
    /// # Errors
    /// `log-compact-not-allowed` where the log does not compact.
    pub fn check(&self, compacting: bool) -> Result<(), Error> {
        if self.compact_seconds > 0 && !compacting {
            let why =
                "compact_seconds: this log does not compact; only a new one can be made with \"compacting\": true";
            return Err(Error::new(Code::LogCompactNotAllowed, why));
        }
        Ok(())
    }
}

/// The body that creates a log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogCreate {
    metadata: Option<String>,
    compacting: Option<bool>,
    tenant: Option<String>,
    trim_seconds: Option<u64>,
    trim_size: Option<u64>,
    trim_count: Option<u64>,
    compact_seconds: Option<u64>,
    expire_seconds: Option<u64>,
}

impl LogCreate {
    /// The log that it describes, made by somebody with this reach.
    ///
    /// # Errors
    /// `log-metadata-limited`, `log-compact-not-allowed`, and those of [`Reach::owner`].
    pub fn log(self, log_id: Id, reach: &Reach, limits: &Limits) -> Result<Log, Error> {
        let metadata = self.metadata.unwrap_or_default();
        let metadata = field::metadata(metadata, limits, Code::LogMetadataLimited)?;
        let cleanup = Cleanup {
            trim_seconds: self.trim_seconds.unwrap_or_default(),
            trim_size: self.trim_size.unwrap_or_default(),
            trim_count: self.trim_count.unwrap_or_default(),
            compact_seconds: self.compact_seconds.unwrap_or_default(),
            expire_seconds: self.expire_seconds.unwrap_or_default(),
        };
        let compacting = self.compacting.unwrap_or_default();
        cleanup.check(compacting)?;
        let tenant = reach.owner(self.tenant)?;
        Ok(Log { log_id, metadata, compacting, tenant, limits: cleanup })
    }
}

/// The body that changes a log: what it does not name stays.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogUpdate {
    metadata: Option<String>,
    trim_seconds: Option<u64>,
    trim_size: Option<u64>,
    trim_count: Option<u64>,
    compact_seconds: Option<u64>,
    expire_seconds: Option<u64>,
}

impl LogUpdate {
    /// The log with what it changes.
    ///
    /// # Errors
    /// As when one is created.
    pub fn apply(self, log: &Log, limits: &Limits) -> Result<Log, Error> {
        let old = log.limits;
        let metadata = self.metadata.unwrap_or_else(|| log.metadata.clone());
        let metadata = field::metadata(metadata, limits, Code::LogMetadataLimited)?;
        let cleanup = Cleanup {
            trim_seconds: self.trim_seconds.unwrap_or(old.trim_seconds),
            trim_size: self.trim_size.unwrap_or(old.trim_size),
            trim_count: self.trim_count.unwrap_or(old.trim_count),
            compact_seconds: self.compact_seconds.unwrap_or(old.compact_seconds),
            expire_seconds: self.expire_seconds.unwrap_or(old.expire_seconds),
        };
        cleanup.check(log.compacting)?;
        Ok(Log { metadata, limits: cleanup, ..log.clone() })
    }
}

/// How much a log holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Bytes of its messages as they are stored.
    pub size: u64,
    /// How many they are.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, body};
    use serde_json::json;

    fn id() -> Id {
        Id::parse(Kind::Log, "log_2VnvpTOoNFQRf0G9peK1zKlfhlf").unwrap()
    }

    fn created(json: serde_json::Value) -> Result<Log, Error> {
        body::<LogCreate>(json.to_string().as_bytes())?.log(id(), &Reach::All, &Limits::default())
    }

    #[test]
    fn a_log_is_shown_as_the_seed_shows_it() {
        let log = created(json!({"metadata": "egress webhook test"})).unwrap();
        assert_eq!(
            serde_json::to_string(&log).unwrap(),
            r#"{"log_id":"log_2VnvpTOoNFQRf0G9peK1zKlfhlf","metadata":"egress webhook test","compacting":false}"#
        );
        let full = json!({"compacting": true, "trim_seconds": 1, "trim_size": 2, "trim_count": 3, "compact_seconds": 4,
                          "expire_seconds": 5, "metadata": null});
        let shown = serde_json::to_value(created(full).unwrap()).unwrap();
        assert_eq!(
            (&shown["trim_seconds"], &shown["expire_seconds"], &shown["metadata"]),
            (&1.into(), &5.into(), &"".into())
        );
    }

    #[test]
    fn a_stored_log_comes_back_whole() {
        let log = created(json!({"compacting": true, "compact_seconds": 4, "trim_count": 9})).unwrap();
        assert_eq!(serde_json::from_slice::<Log>(&serde_json::to_vec(&log).unwrap()).unwrap(), log);
    }

    #[test]
    fn a_log_that_does_not_compact_has_no_age_to_compact_at() {
        assert_eq!(created(json!({"compact_seconds": 4})).unwrap_err().code, Code::LogCompactNotAllowed);
        let plain = created(json!({})).unwrap();
        let update: LogUpdate = body(br#"{"compact_seconds": 4}"#).unwrap();
        assert_eq!(update.apply(&plain, &Limits::default()).unwrap_err().code, Code::LogCompactNotAllowed);
    }

    #[test]
    fn an_update_leaves_what_it_does_not_name_and_zero_takes_a_limit_away() {
        let log = created(json!({"metadata": "m", "trim_count": 9, "trim_size": 8})).unwrap();
        let update: LogUpdate = body(br#"{"trim_count": 0}"#).unwrap();
        let changed = update.apply(&log, &Limits::default()).unwrap();
        assert_eq!((changed.metadata.as_str(), changed.limits.trim_count, changed.limits.trim_size), ("m", 0, 8));
    }

    #[test]
    fn what_is_wrong_in_a_body_is_named() {
        for (json, word) in [
            (r#"{"trim_count": -1}"#, "trim_count"),
            (r#"{"trim_cuont": 1}"#, "trim_cuont"),
            (r#"{"compacting": "yes"}"#, "compacting"),
            ("{", "EOF"),
            ("[]", "object"),
            (" [true]", "object"),
            ("{} x", "trailing"),
        ] {
            let error = body::<LogCreate>(json.as_bytes()).unwrap_err();
            assert_eq!(error.code, Code::JsonInvalid);
            assert!(error.message.contains(word), "{}", error.message);
        }
        assert!(body::<LogUpdate>(br#"{"compacting": true}"#).is_err(), "that never changes");
        let long = created(json!({"metadata": "x".repeat(5000)})).unwrap_err();
        assert_eq!(long.code, Code::LogMetadataLimited);
    }
}

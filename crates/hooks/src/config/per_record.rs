use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use waybill_log_record::RecordType;

/// What a sink does with records of one type.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerRecord {
    /// Whether it takes them at all.
    pub enable: bool,
    /// Put behind the time in the file's name, so that types can have files of their own. Files only.
    #[serde(deserialize_with = "suffix")]
    pub suffix: Option<String>,
    /// Where their files are, when not where all others are. Files only.
    #[serde(deserialize_with = "waybill_types::text::path_opt")]
    pub log_dir: Option<PathBuf>,
    /// The template that makes their text; unset: the record's JSON.
    pub template: Option<String>,
    /// What a file begins with when a record of this type opens it. Files only.
    pub segment_header: String,
}

/// A separator would lead out of the directory, where nobody looks and nothing is marked done.
fn suffix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let suffix = Option::<String>::deserialize(deserializer)?;
    match suffix.as_deref() {
        Some(text) if text.contains('/') || text.contains(char::is_control) => {
            Err(de::Error::custom(format_args!("expected a part of a file name, got {text:?}")))
        }
        _ => Ok(suffix),
    }
}

impl Default for PerRecord {
    fn default() -> Self {
        PerRecord { enable: true, suffix: None, log_dir: None, template: None, segment_header: String::new() }
    }
}

/// Stands for every type that has no entry of its own. A word of the configuration: no record is of this type.
pub const ANY: &str = "Any";

/// The words that may stand as a key, in the order in which an error lists them.
const NAMES: [&str; RecordType::ALL.len() + 1] = {
    let mut names = [ANY; RecordType::ALL.len() + 1];
    let mut i = 0;
    while i < RecordType::ALL.len() {
        names[i] = RecordType::ALL[i].as_str();
        i += 1;
    }
    names
};

/// `per_record` of a sink: an entry for each type that is to be treated in its own way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PerRecords {
    by_type: BTreeMap<RecordType, PerRecord>,
    any: Option<PerRecord>,
}

impl PerRecords {
    /// The entry that counts for a type: its own, else that of `Any`, else none.
    pub fn entry(&self, kind: RecordType) -> Option<&PerRecord> {
        self.by_type.get(&kind).or(self.any.as_ref())
    }

    /// Whether the sink takes records of this type: as the entry says, and without one it does.
    pub fn enables(&self, kind: RecordType) -> bool {
        self.entry(kind).is_none_or(|entry| entry.enable)
    }

    /// The template of a type. An entry of its own without a template means JSON, whatever `Any` has.
    pub fn template(&self, kind: RecordType) -> Option<&str> {
        self.entry(kind)?.template.as_deref()
    }

    /// Whether the type has an entry of its own.
    pub fn is_explicit(&self, kind: RecordType) -> bool {
        self.by_type.contains_key(&kind)
    }

    /// Every entry under the name that it has in the policy.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &PerRecord)> {
        let named = self.by_type.iter().map(|(kind, entry)| (kind.as_str(), entry));
        named.chain(self.any.as_ref().map(|entry| (ANY, entry)))
    }
}

impl Serialize for PerRecords {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for PerRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PerRecords;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table keyed by record type")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<PerRecords, A::Error> {
                let mut records = PerRecords::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.parse() {
                        Ok(kind) => {
                            records.by_type.insert(kind, map.next_value()?);
                        }
                        Err(_) if name == ANY => records.any = Some(map.next_value()?),
                        Err(_) => return Err(de::Error::unknown_variant(&name, &NAMES)),
                    }
                }
                Ok(records)
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn records(value: Value) -> PerRecords {
        from_value(value).unwrap()
    }

    #[test]
    fn a_type_is_enabled_as_its_own_entry_says_else_as_any_says_else_yes() {
        assert!(records(json!({})).enables(RecordType::Bounce));
        assert!(records(json!({"Bounce": {}})).enables(RecordType::Bounce));
        let none_but_bounces = records(json!({"Any": {"enable": false}, "Bounce": {}}));
        assert!(none_but_bounces.enables(RecordType::Bounce));
        assert!(!none_but_bounces.enables(RecordType::Delivery));
        let all_but_bounces = records(json!({"Bounce": {"enable": false}}));
        assert!(!all_but_bounces.enables(RecordType::Bounce));
        assert!(all_but_bounces.enables(RecordType::Delivery));
    }

    #[test]
    fn an_entry_without_a_template_means_json_whatever_any_has() {
        let both = records(json!({"Any": {"template": "a"}, "Bounce": {"template": "b"}, "Delivery": {}}));
        assert_eq!(both.template(RecordType::Bounce), Some("b"));
        assert_eq!(both.template(RecordType::Delivery), None);
        assert_eq!(both.template(RecordType::Reception), Some("a"));
        assert_eq!(records(json!({})).template(RecordType::Reception), None);
    }

    #[test]
    fn an_unknown_type_is_answered_with_the_known_ones() {
        let error = from_value::<PerRecords>(json!({"Deferred": {}})).unwrap_err().to_string();
        assert!(error.starts_with("unknown variant `Deferred`, expected one of `Reception`, `Delivery`"), "{error}");
        assert!(error.contains("`XferIn`, `Any`"), "{error}");
        let error = from_value::<PerRecords>(json!({"Bounce": {"enabled": true}})).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `enabled`, expected one of `enable`"), "{error}");
    }
}

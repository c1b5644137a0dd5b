use super::MxHost;
use super::check::refuse;
use super::list::list;
use crate::ready::BatchPolicy;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::time::Duration;
use waybill_types::{NodeUrl, Objects, serde_duration};

/// What scripts and the `typing` helper know this refusal by; what is wrong stands behind it.
const NO_VARIANT: &str = "data did not match any variant of untagged enum DeliveryProto";
/// Every form that there is.
const FORMS: &str = "expected one of { smtp = {..} }, { maildir_path = '..' }, { custom_lua = { constructor = '..' } }, \
                     { xfer = { target = '..' } }, { null = {} }";

/// How messages leave a queue: the protocol's name and its section, which has been checked and filled with defaults.
///
/// Written `{smtp={..}}`, `{custom_lua={..}}`, `{xfer={..}}`, `{null={}}`, or flat for maildir: `{maildir_path=..}`.
#[derive(Clone, PartialEq, Debug)]
pub struct ProtocolSection {
    name: String,
    value: Value,
}

impl ProtocolSection {
    /// `smtp`, `maildir`, `custom_lua`, `xfer` or `null`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The section, for the crate that speaks the protocol: it deserialises its own section type from this.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// A `custom_lua` section, as the hooks make it for themselves.
    pub fn custom_lua(section: &CustomLuaSection) -> Self {
        ProtocolSection { name: "custom_lua".into(), value: to_value(section) }
    }

    /// A protocol that only queues of the daemon itself have: no script can choose it.
    pub fn internal(name: &str) -> Self {
        ProtocolSection { name: name.into(), value: Value::Object(serde_json::Map::new()) }
    }

    /// An `xfer` section: where the mail of a queue goes that an operator's order made.
    pub fn xfer(target: &str) -> Self {
        ProtocolSection { name: "xfer".into(), value: to_value(&XferSection { target: target.to_owned() }) }
    }

    /// The section of a protocol that hands batches to a script; `None` for any other.
    pub fn as_custom_lua(&self) -> Option<CustomLuaSection> {
        if self.name == "custom_lua" { CustomLuaSection::deserialize(&self.value).ok() } else { None }
    }

    fn parse(value: Value) -> Result<Self, String> {
        let no_form = || format!("{NO_VARIANT}: {FORMS}");
        let Value::Object(object) = value else { return Err(no_form()) };
        if object.contains_key("maildir_path") {
            let section = checked::<MaildirSection>("maildir", &Value::Object(object))?;
            return Ok(ProtocolSection { name: "maildir".into(), value: section });
        }
        let mut entries = object.into_iter();
        let (Some((name, section)), None) = (entries.next(), entries.next()) else { return Err(no_form()) };
        let value = match name.as_str() {
            "smtp" => checked::<SmtpSection>(&name, &section)?,
            "custom_lua" => {
                if let Ok(section) = CustomLuaSection::deserialize(&section) {
                    section.check()?;
                }
                checked::<CustomLuaSection>(&name, &section)?
            }
            "xfer" => {
                if let Ok(XferSection { target }) = XferSection::deserialize(&section) {
                    NodeUrl::parse(&target).map_err(|error| format!("{NO_VARIANT}: xfer.target: {error}"))?;
                }
                checked::<XferSection>(&name, &section)?
            }
            "null" => checked::<NullSection>(&name, &section)?,
            _ => return Err(no_form()),
        };
        Ok(ProtocolSection { name, value })
    }
}

/// Through the section's own type and back: unknown keys and wrong types are refused by name, defaults come in.
fn checked<S: DeserializeOwned + Serialize>(name: &str, section: &Value) -> Result<Value, String> {
    // An empty Lua table may arrive as an empty list.
    let empty = Value::Object(serde_json::Map::new());
    let section = if section.as_array().is_some_and(Vec::is_empty) { &empty } else { section };
    match serde_path_to_error::deserialize::<_, S>(Objects::of_table(section)) {
        Ok(section) => Ok(to_value(&section)),
        Err(error) => {
            let (path, why) = (error.path().to_string(), error.inner());
            let place = if path == "." { name.to_owned() } else { format!("{name}.{path}") };
            Err(format!("{NO_VARIANT}: {place}: {why}"))
        }
    }
}

fn to_value<S: Serialize>(section: &S) -> Value {
    // Strings, numbers and durations: nothing that JSON could not hold.
    serde_json::to_value(section).unwrap_or(Value::Null)
}

impl<'de> Deserialize<'de> for ProtocolSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ProtocolSection::parse(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for ProtocolSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.name == "maildir" {
            return self.value.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.name, &self.value)?;
        map.end()
    }
}

/// `{smtp={..}}`: mail to the hosts of the domain, or to those of a list.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmtpSection {
    /// `host[:port]` texts, or tables with `name` and `addr`; empty asks the DNS.
    #[serde(deserialize_with = "list")]
    pub mx_list: Vec<MxHost>,
    /// True when the list may be trusted as if DNSSEC had vouched for it.
    pub treat_mx_list_as_secure: bool,
}

/// `{maildir_path=..}`: one file for each message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaildirSection {
    /// A template for the path.
    #[serde(deserialize_with = "waybill_types::text::name")]
    pub maildir_path: String,
    /// Permissions of new folders.
    #[serde(default)]
    pub dir_mode: Option<u32>,
    /// Permissions of new files.
    #[serde(default)]
    pub file_mode: Option<u32>,
}

/// `{custom_lua={..}}`: batches to an object that a script constructs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomLuaSection {
    /// The event that constructs a connection object.
    #[serde(deserialize_with = "waybill_types::text::name")]
    pub constructor: String,
    /// How many messages a call gets at most; above 1 it is `send_batch`.
    #[serde(default = "one")]
    pub batch_size: usize,
    /// A batch goes as soon as this many are ready.
    #[serde(default = "one")]
    pub min_batch_size: usize,
    /// It goes with fewer when the first has waited this long; zero never waits.
    #[serde(default, with = "serde_duration")]
    pub max_batch_latency: Duration,
}

impl CustomLuaSection {
    /// How batches are formed for it.
    pub fn batch_policy(&self) -> BatchPolicy {
        BatchPolicy::new(self.batch_size, self.min_batch_size, self.max_batch_latency)
    }

    fn check(&self) -> Result<(), String> {
        for (field, value) in [("batch_size", self.batch_size), ("min_batch_size", self.min_batch_size)] {
            if value == 0 {
                let field = format!("protocol.custom_lua.{field}");
                return Err(refuse::<serde::de::value::Error>(&field, "expected a number above zero").to_string());
            }
        }
        Ok(())
    }
}

fn one() -> usize {
    1
}

/// `{xfer={target=..}}`: to another node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XferSection {
    /// The URL of the other node's HTTP listener.
    pub target: String,
}

/// `{null={}}`, ours: everything is taken and thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NullSection {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<ProtocolSection, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn each_protocol_is_known_by_its_key() {
        for (value, name, shown) in [
            (json!({"smtp": {}}), "smtp", json!({"smtp": {"mx_list": [], "treat_mx_list_as_secure": false}})),
            (
                json!({"smtp": {"mx_list": {}}}),
                "smtp",
                json!({"smtp": {"mx_list": [], "treat_mx_list_as_secure": false}}),
            ),
            (json!({"smtp": []}), "smtp", json!({"smtp": {"mx_list": [], "treat_mx_list_as_secure": false}})),
            (
                json!({"maildir_path": "/m/{{ domain }}", "dir_mode": 448}),
                "maildir",
                json!({"maildir_path": "/m/{{ domain }}", "dir_mode": 448, "file_mode": null}),
            ),
            (json!({"xfer": {"target": "http://n2:8000"}}), "xfer", json!({"xfer": {"target": "http://n2:8000"}})),
            (json!({"null": {}}), "null", json!({"null": {}})),
        ] {
            let section = parse(value).unwrap();
            assert_eq!(section.name(), name);
            assert_eq!(serde_json::to_value(&section).unwrap(), shown);
            assert_eq!(parse(shown).unwrap(), section);
        }
    }

    #[test]
    fn anything_else_matches_no_variant() {
        for value in [
            json!({}),
            json!("smtp"),
            json!({"carrier_pigeon": {}}),
            json!({"smtp": {}, "null": {}}),
            json!({"smtp": {"colour": 1}}),
            json!({"maildir_path": "/m", "colour": 1}),
            json!({"custom_lua": {}}),
            json!({"custom_lua": {"constructor": "x", "batch": 1}}),
            json!({"custom_lua": {"constructor": "x", "max_batch_latency": "soon"}}),
            json!({"xfer": {}}),
            json!({"null": {"x": 1}}),
        ] {
            let error = parse(value.clone()).unwrap_err();
            assert!(error.starts_with(NO_VARIANT), "{value}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for (value, why) in [
            (json!({"carrier_pigeon": {}}), FORMS),
            (
                json!({"custom_lua": {"constructor": "x", "batch": 1}}),
                "custom_lua.batch: unknown field `batch`, expected one of `constructor`, `batch_size`, `min_batch_size`, \
                 `max_batch_latency`",
            ),
            (
                json!({"custom_lua": {"constructor": 1}}),
                "custom_lua.constructor: invalid type: integer `1`, expected a string",
            ),
            (json!({"xfer": {}}), "xfer: missing field `target`"),
            (
                json!({"xfer": {"target": "n2:8000"}}),
                "xfer.target: \"n2:8000\" is no URL of a node: it has no scheme; expected one such as http://node2.example:8000",
            ),
            (
                json!({"maildir_path": "/m", "dir_mode": "rwx"}),
                "maildir.dir_mode: invalid type: string \"rwx\", expected u32",
            ),
        ] {
            assert_eq!(parse(value).unwrap_err(), format!("{NO_VARIANT}: {why}"));
        }
    }

    #[test]
    fn a_batch_of_none_is_refused_by_name() {
        let error = parse(json!({"custom_lua": {"constructor": "x", "batch_size": 0}})).unwrap_err();
        assert_eq!(error, "protocol.custom_lua.batch_size: expected a number above zero");
    }

    #[test]
    fn a_custom_lua_section_says_how_batches_form() {
        let section = parse(json!({"custom_lua":
            {"constructor": "x", "batch_size": 100, "min_batch_size": 10, "max_batch_latency": "15s"}}));
        let section = section.unwrap().as_custom_lua().unwrap();
        assert_eq!(section.batch_policy(), BatchPolicy::new(100, 10, Duration::from_secs(15)));
        assert_eq!(ProtocolSection::custom_lua(&section).as_custom_lua(), Some(section));
    }
}

use super::shape::{Shape, shape_of};
use crate::serve::{
    ClassifierSection, EventHooksSection, JournalSection, SpoolSection, UserLogsSection, WebhooksSection,
};
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use waybill_hooks::{LocalLogsConfig, LogDispositionHookConfig, LogHookConfig};
use waybill_http_api::HttpListenerConfig;
use waybill_line_files::LineFilesConfig;
use waybill_lua::ListenerDomain;
use waybill_queue_core::config::{
    CustomLuaSection, EgressPathConfig, EgressPool, EgressSource, MaildirSection, QueueConfig, SmtpSection, XferSection,
};
use waybill_smtp::inbound::ListenerConfig;
use waybill_spool_rocksdb::Params;

/// The table that a function takes.
#[derive(Serialize)]
pub(super) struct Group {
    /// The function, without `kumo.`.
    name: &'static str,
    keys: Vec<Key>,
}

/// One key of it.
#[derive(Serialize)]
pub(crate) struct Key {
    /// With the keys above it: `trace_headers.header_name`; `*` stands for a key of the policy's choice.
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) required: bool,
    /// What counts when nothing is said; null for nothing.
    default: Value,
}

/// What every function that takes a table of options knows.
///
/// # Errors
/// When a type does not read what its group gives as the least: a mistake in this file.
pub(super) fn all() -> Result<Vec<Group>> {
    let none = json!({});
    let named = json!({ "name": "x" });
    let mut spool = of::<SpoolSection>("define_spool", &json!({ "name": "meta", "path": "x" }))?;
    below(&mut spool, "rocks_params", &shape_of::<Params>(), &Value::Null);
    let mut queue = of::<QueueConfig>("make_queue_config", &none)?;
    let maildir = defaults::<MaildirSection>("maildir_path")?;
    let custom_lua = defaults::<CustomLuaSection>("constructor")?;
    below(&mut queue, "protocol.smtp", &shape_of::<SmtpSection>(), &serde_json::to_value(SmtpSection::default())?);
    below(&mut queue, "protocol", &shape_of::<MaildirSection>(), &maildir);
    below(&mut queue, "protocol.custom_lua", &shape_of::<CustomLuaSection>(), &custom_lua);
    below(&mut queue, "protocol.xfer", &shape_of::<XferSection>(), &Value::Null);
    queue.keys.push(Key { name: "protocol.null".into(), kind: "table".into(), required: false, default: Value::Null });
    let entries = json!({ "name": "x", "entries": [{ "name": "y" }] });
    let any = json!({ "Any": {} });
    Ok(vec![
        spool,
        of::<JournalSection>("define_journal", &none)?,
        of::<WebhooksSection>("configure_webhooks", &none)?,
        of::<EventHooksSection>("configure_event_hooks", &none)?,
        of::<UserLogsSection>("configure_logs", &none)?,
        of::<LocalLogsConfig>("configure_local_logs", &json!({ "log_dir": "x", "per_record": any }))?,
        of::<LogHookConfig>("configure_log_hook", &json!({ "name": "x", "per_record": any }))?,
        of::<LogDispositionHookConfig>("configure_log_disposition_hook", &json!({ "name": "x", "per_record": any }))?,
        of::<ClassifierSection>("configure_bounce_classifier", &json!({ "files": [] }))?,
        of::<LineFilesConfig>("aaa.configure_acct_log", &json!({ "log_dir": "x" }))?,
        smtp_listener()?,
        http_listener(),
        queue,
        of::<EgressPathConfig>("make_egress_path", &none)?,
        of::<EgressPool>("make_egress_pool", &entries)?,
        of::<EgressSource>("make_egress_source", &named)?,
        of::<ListenerDomain>("make_listener_domain", &none)?,
    ])
}

/// A listener's defaults are those of its sessions: its options are all optional.
fn smtp_listener() -> Result<Group> {
    let config = ListenerConfig::default();
    let local = std::net::Ipv4Addr::LOCALHOST.into();
    let mut defaults = serde_json::to_value(config.params_for(local, local))?;
    if let Some(defaults) = defaults.as_object_mut() {
        defaults.insert("listen".to_owned(), config.listen.into());
        defaults.insert("max_connections".to_owned(), config.max_connections.into());
    }
    let mut group = Group { name: "start_esmtp_listener", keys: Vec::new() };
    rows(&mut group.keys, "", &shape_of::<ListenerConfig>(), &defaults, &Value::Null);
    Ok(group)
}

/// What may hold a key is not serialised as a whole.
fn http_listener() -> Group {
    let config = HttpListenerConfig::default();
    let hosts: Vec<String> = config.trusted_hosts.iter().map(ToString::to_string).collect();
    let defaults = json!({
        "listen": config.listen,
        "use_tls": config.use_tls,
        "request_body_limit": config.request_body_limit,
        "trusted_hosts": hosts,
    });
    let mut group = Group { name: "start_http_listener", keys: Vec::new() };
    rows(&mut group.keys, "", &shape_of::<HttpListenerConfig>(), &defaults, &Value::Null);
    group
}

/// `least` holds what has to be there, and `Any` where a table of tables is to show its defaults.
fn of<T: Serialize + DeserializeOwned>(name: &'static str, least: &Value) -> Result<Group> {
    let read = read::<T>(least).with_context(|| format!("the defaults of {name}"))?;
    let mut group = Group { name, keys: Vec::new() };
    rows(&mut group.keys, "", &shape_of::<T>(), &serde_json::to_value(read)?, least);
    Ok(group)
}

fn read<T: DeserializeOwned>(least: &Value) -> Result<T> {
    Ok(serde_json::from_value(least.clone())?)
}

/// The defaults of a type that has to be given one text.
fn defaults<T: Serialize + DeserializeOwned>(needed: &str) -> Result<Value> {
    let mut defaults = serde_json::to_value(read::<T>(&json!({ needed: "x" }))?)?;
    if let Some(defaults) = defaults.as_object_mut() {
        defaults.remove(needed);
    }
    Ok(defaults)
}

/// Keys that stand below one which the type itself reads later.
fn below(group: &mut Group, prefix: &str, shape: &Shape, defaults: &Value) {
    let place = group.keys.iter().rposition(|key| key.name == prefix || key.name.starts_with(&format!("{prefix}.")));
    let mut keys = Vec::new();
    rows(&mut keys, &format!("{prefix}."), shape, defaults, &Value::Null);
    let place = place.map_or(group.keys.len(), |place| place + 1);
    group.keys.splice(place..place, keys);
}

/// The fields of a request, for the endpoints that no OpenAPI type describes.
pub(crate) fn fields<T: Deserialize<'static>>() -> Vec<Key> {
    let mut keys = Vec::new();
    rows(&mut keys, "", &shape_of::<T>(), &Value::Null, &Value::Null);
    keys
}

fn rows(keys: &mut Vec<Key>, prefix: &str, shape: &Shape, defaults: &Value, least: &Value) {
    let Shape::Record(fields) = shape else { return };
    for (field, shape) in fields {
        let name = format!("{prefix}{field}");
        let default = defaults.get(field).unwrap_or(&Value::Null);
        // What is only there to show the defaults of a table of tables is no default itself.
        let shown = least.get(field).is_some();
        let own = if shown || matches!(shape, Shape::Record(_)) { &Value::Null } else { default };
        let required = shown && least.get(field).is_some_and(|value| value.get("Any").is_none());
        keys.push(Key { name: name.clone(), kind: words(shape), required, default: own.clone() });
        match shape {
            Shape::Record(_) => rows(keys, &format!("{name}."), shape, default, &Value::Null),
            Shape::Table(inner) => {
                let entry = default.get("Any").unwrap_or(&Value::Null);
                rows(keys, &format!("{name}.*."), inner, entry, &Value::Null);
            }
            Shape::List(inner) => {
                let first = |value: &Value| value.get(0).cloned().unwrap_or(Value::Null);
                rows(
                    keys,
                    &format!("{name}[]."),
                    inner,
                    &first(default),
                    &first(least.get(field).unwrap_or(&Value::Null)),
                );
            }
            Shape::Plain(_) | Shape::Choice(_) => {}
        }
    }
}

/// A shape in the words of a page.
pub(super) fn words(shape: &Shape) -> String {
    match shape {
        Shape::Plain(words) => words.clone(),
        Shape::Choice(words) => words.join(", "),
        Shape::Record(_) => "table".to_owned(),
        Shape::List(inner) => format!("list of {}", of_many(inner)),
        Shape::Table(inner) => format!("table of {}", of_many(inner)),
    }
}

fn of_many(shape: &Shape) -> String {
    match shape {
        Shape::Record(_) => "tables".to_owned(),
        Shape::Plain(words) if words == "text" || words == "number" || words == "boolean" => format!("{words}s"),
        Shape::Plain(words) if words == "any" => "any values".to_owned(),
        other => words(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(groups: &'a [Group], group: &str, name: &str) -> &'a Key {
        let group = groups.iter().find(|other| other.name == group).unwrap_or_else(|| panic!("no group {group}"));
        group.keys.iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name} in {}", group.name))
    }

    #[test]
    fn every_group_says_types_and_defaults_as_the_types_have_them() {
        let groups = all().unwrap();
        for (group, name, kind, default) in [
            ("make_queue_config", "retry_interval", "duration", json!("20m")),
            ("make_queue_config", "protocol.custom_lua.batch_size", "number", json!(1)),
            ("make_queue_config", "protocol.maildir_path", "text", Value::Null),
            ("make_queue_config", "refresh_strategy", "Ttl, Epoch", json!("Ttl")),
            ("start_esmtp_listener", "listen", "text", json!("127.0.0.1:2025")),
            ("start_esmtp_listener", "client_timeout", "duration", json!("1m")),
            ("start_esmtp_listener", "trace_headers.header_name", "text", json!("X-KumoRef")),
            ("configure_local_logs", "per_record.*.enable", "boolean", json!(true)),
            ("configure_local_logs", "per_record", "table of tables", Value::Null),
            ("define_spool", "rocks_params.max_open_files", "number", Value::Null),
            ("define_journal", "max_age", "duration", json!("7days")),
            ("make_egress_pool", "entries[].weight", "number", json!(1)),
        ] {
            let key = key(&groups, group, name);
            assert_eq!((key.kind.as_str(), &key.default), (kind, &default), "{group} {name}");
        }
        assert!(key(&groups, "configure_log_hook", "name").required);
        assert!(!key(&groups, "configure_log_hook", "per_record").required);
    }
}

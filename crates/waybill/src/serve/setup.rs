use super::plan::{
    ClassifierSection, EventHooksSection, JournalSection, Plan, SpoolSection, UserLogsSection, WebhooksSection,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::TcpListener;
use waybill_hooks::{LocalLogsConfig, LogDispositionHookConfig, LogHookConfig, PerRecords, Templates};
use waybill_http_api::HttpListenerConfig;
use waybill_lua::{Setup, read_section};
use waybill_lua_util::string::template_environment;
use waybill_smtp::inbound::ListenerConfig;
use waybill_spool_rocksdb::check_params;

/// The field of a [`waybill_tls::KeySource`] that holds the key itself.
const KEY_DATA: &str = "key_data";

/// The functions of `kumo` through which configuration comes.
pub(crate) const FUNCTIONS: [&str; 13] = [
    "define_spool",
    "define_journal",
    "configure_local_logs",
    "configure_log_hook",
    "configure_log_disposition_hook",
    "configure_bounce_classifier",
    "configure_webhooks",
    "configure_event_hooks",
    "configure_logs",
    "configure_accounting_db_path",
    "aaa.configure_acct_log",
    "start_esmtp_listener",
    "start_http_listener",
];

/// Takes what the policy configures into a [`Plan`]; listeners are bound at once, so that an error has a place in the
/// script.
#[derive(Default)]
pub(crate) struct Collector {
    plan: Mutex<Plan>,
}

impl Collector {
    /// Everything so far; what comes later goes into an empty plan.
    pub(crate) fn take(&self) -> Plan {
        std::mem::take(&mut *self.plan.lock())
    }
}

impl Setup for Collector {
    fn configure(&self, what: &str, section: Value, _at: &str) -> Result<Value, String> {
        let mut plan = self.plan.lock();
        match what {
            "define_spool" => add_spool(&mut plan, read(section)?)?,
            "define_journal" => {
                let journal: JournalSection = read(section)?;
                journal.check()?;
                plan.journal = Some(journal);
            }
            "configure_local_logs" => {
                let logs: LocalLogsConfig = read(section)?;
                templates(&format!("log files in {}", logs.log_dir.display()), &logs.per_record)?;
                plan.logs.push(logs);
            }
            "configure_log_hook" => add_hook(&mut plan, read(section)?)?,
            "configure_log_disposition_hook" => {
                let config: LogDispositionHookConfig = read(section)?;
                new_name(&mut plan, &config.name)?;
                plan.dispositions.push(config);
            }
            "configure_bounce_classifier" => {
                let classifier = read::<ClassifierSection>(section)?.load()?;
                if plan.classifier.replace(classifier).is_some() {
                    return Err("the bounce classifier is configured already; name all files in one call".into());
                }
            }
            "configure_webhooks" => {
                let webhooks: WebhooksSection = read(section)?;
                webhooks.check()?;
                plan.webhooks = Some(webhooks);
            }
            "configure_event_hooks" => {
                let event_hooks: EventHooksSection = read(section)?;
                event_hooks.check()?;
                plan.event_hooks = Some(event_hooks);
            }
            "configure_logs" => {
                let logs: UserLogsSection = read(section)?;
                logs.limits()?;
                plan.user_logs = Some(logs);
            }
            "configure_accounting_db_path" => match section {
                Value::String(path) if !path.is_empty() => plan.accounting = Some(path.into()),
                other => return Err(format!("expected the path of a file, or \":memory:\", got {other}")),
            },
            "aaa.configure_acct_log" => {
                if plan.account_log.replace(read(section)?).is_some() {
                    return Err("the account log is configured already: there is one".into());
                }
            }
            "start_esmtp_listener" => {
                let config: ListenerConfig = read(section)?;
                config.check_tls()?;
                let listener = bind("smtp", &config.listen)?;
                plan.smtp.push((config, listener));
            }
            "start_http_listener" => {
                let config: HttpListenerConfig = read(section)?;
                config.check()?;
                let listener = bind("http", &config.listen)?;
                plan.http.push((config, listener));
            }
            other => return Err(format!("nobody takes kumo.{other}")),
        }
        Ok(Value::Null)
    }

    fn check(&self, what: &str, section: Value, _at: &str) -> Result<(), String> {
        match what {
            "define_spool" => add_spool(&mut self.plan.lock(), read(section)?),
            "start_esmtp_listener" => read::<ListenerConfig>(section)?.check_tls(),
            "start_http_listener" => read::<HttpListenerConfig>(section)?.check(),
            "configure_bounce_classifier" => read::<ClassifierSection>(section)?.load().map(|_| ()),
            "configure_webhooks" => read::<WebhooksSection>(section)?.check(),
            "configure_event_hooks" => read::<EventHooksSection>(section)?.check(),
            _ => Ok(()),
        }
    }
}

/// A section as errors may show it: a key that stands in it is not shown.
fn shown(section: &Value) -> Value {
    match section {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), if name == KEY_DATA { "…".into() } else { shown(value) }))
            .collect(),
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

/// Reads a section; helpers look for the head and tail of the text. A value of the wrong type is named by its field.
fn read<T: DeserializeOwned>(section: Value) -> Result<T, String> {
    let json = shown(&section).to_string();
    if !section.is_object() {
        return Err(format!("deserialize error: expected one table of options, while processing {json}"));
    }
    read_section(&section).map_err(|error| format!("{error}, while processing {json}"))
}

fn add_spool(plan: &mut Plan, spool: SpoolSection) -> Result<(), String> {
    if !matches!(spool.name.as_str(), "data" | "meta") {
        return Err(format!("spool name {:?} is not used, expected \"data\" or \"meta\"", spool.name));
    }
    if plan.spools.iter().any(|other| other.name == spool.name) {
        return Err(format!("spool {:?} is defined already", spool.name));
    }
    check_params(&spool.rocks_params).map_err(|error| format!("rocks_params: {error}"))?;
    plan.spools.push(spool);
    Ok(())
}

fn add_hook(plan: &mut Plan, hook: LogHookConfig) -> Result<(), String> {
    new_name(plan, &hook.name)?;
    templates(&format!("log hook {}", hook.name), &hook.per_record)?;
    plan.hooks.push(hook);
    Ok(())
}

/// Compiles templates only to say what is wrong with them while the script's place is known.
fn templates(owner: &str, records: &PerRecords) -> Result<(), String> {
    Templates::compile(owner, records, &template_environment()).map(|_| ()).map_err(|error| error.to_string())
}

fn new_name(plan: &mut Plan, name: &str) -> Result<(), String> {
    if plan.hook_names.iter().any(|other| other == name) {
        return Err(format!("A logging hook with name `{name}` has already been registered"));
    }
    plan.hook_names.push(name.to_owned());
    Ok(())
}

fn bind(what: &str, address: &str) -> Result<TcpListener, String> {
    let failed = |error: std::io::Error| {
        format!(
            "cannot listen for {what} on {address}: {error}; is another daemon running, or is the address not ours?"
        )
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_about_a_section_does_not_show_the_key_in_it() {
        let section = json!({"secrets_key": {"key_data": "hunter2"}, "allow_targetz": [{"key_data": "hunter2"}]});
        let error = read::<WebhooksSection>(section).unwrap_err();
        assert!(error.contains("allow_targetz") && error.contains("secrets_key"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

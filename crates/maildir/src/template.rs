use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use std::path::PathBuf;
use std::sync::Arc;
use waybill_delivery::ConfigError;
use waybill_spool::Message;
use waybill_types::EnvelopeAddress;

/// Where a recipient's folder is.
pub(crate) struct PathTemplate {
    source: Arc<str>,
    environment: Environment<'static>,
    /// Meta is built only for a template that reads it: of a log message it is the whole record.
    reads_meta: bool,
}

/// Why there is no path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    /// A value would lead out of its place. That will not change.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The template does not work for this message.
    #[error("maildir_path: {0}")]
    Template(String),
}

/// A value that may not be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must not be part of a mailbox path")]
pub(crate) struct Refused(String);

impl PathTemplate {
    pub(crate) fn parse(source: &str) -> Result<Self, ConfigError> {
        let refuse = |why: &dyn std::fmt::Display| ConfigError(format!("protocol.maildir_path: {why}").into());
        if source.is_empty() {
            return Err(refuse(&"it is empty"));
        }
        if source.split('/').any(|part| part == "..") {
            return Err(refuse(&"\"..\" must not be part of it"));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(insert);
        let template = environment.template_from_str(source).map_err(|error| refuse(&error))?;
        let reads_meta = template.undeclared_variables(false).contains("meta");
        Ok(PathTemplate { source: source.into(), environment, reads_meta })
    }

    /// The folder of one recipient of a message.
    pub(crate) fn path(&self, message: &Message, recipient: &EnvelopeAddress) -> Result<PathBuf, PathError> {
        let context = self.context(message, recipient);
        let rendered = self.environment.render_str(&self.source, context).map_err(|error| why(&error))?;
        if rendered.contains('\0') || rendered.split('/').any(|part| part == "..") {
            return Err(Refused(rendered).into());
        }
        Ok(rendered.into())
    }

    fn context(&self, message: &Message, recipient: &EnvelopeAddress) -> Value {
        let domain = recipient.domain().unwrap_or_default().to_lowercase();
        let email = if recipient.domain().is_some() {
            format!("{}@{domain}", recipient.user())
        } else {
            recipient.as_str().to_owned()
        };
        let mut names = vec![
            ("local_part", Value::from(recipient.user())),
            ("domain_part", Value::from(domain)),
            ("email", Value::from(email)),
        ];
        // A route serves many queues: the parts are those of the message's own.
        if let Ok(queue) = message.queue_name() {
            let parts = queue.parts();
            names.push(("queue", Value::from(queue.as_str())));
            names.push(("domain", Value::from(parts.domain)));
            let optional =
                [("campaign", parts.campaign), ("tenant", parts.tenant), ("routing_domain", parts.routing_domain)];
            names.extend(optional.into_iter().filter_map(|(name, part)| Some((name, Value::from(part?)))));
        }
        if self.reads_meta {
            names.push(("meta", Value::from_serialize(message.all_meta())));
        }
        Value::from_iter(names)
    }
}

/// Writes what a `{{ .. }}` gives, if it may be part of a name.
fn insert(out: &mut Output<'_>, _: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    // An `if` without `else` inserts nothing, on purpose.
    if value.is_undefined() {
        return Ok(());
    }
    let text = if value.is_none() { String::new() } else { value.to_string() };
    if matches!(text.as_str(), "" | "." | "..") || text.contains(['/', '\0']) {
        let error = Error::new(ErrorKind::InvalidOperation, "the path is refused");
        return Err(error.with_source(Refused(text)));
    }
    Ok(out.write_str(&text)?)
}

fn why(error: &Error) -> PathError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return refused.clone().into();
        }
        source = inner.source();
    }
    PathError::Template(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;
    use waybill_types::{IdMint, Timestamp};

    fn path(template: &str, recipient: &str) -> Result<String, PathError> {
        let recipient: EnvelopeAddress = recipient.parse().unwrap();
        let id = IdMint::random().message(Timestamp::from_secs(1_700_000_000));
        let message = Message::new(id, EnvelopeAddress::null_sender(), vec![recipient.clone()], Bytes::new());
        message.set_meta("tenant", json!("t1"));
        message.set_meta("up", json!(".."));
        message.set_meta("x", json!({"n": 7, "dir": "a/b", "dot": "."}));
        let path = PathTemplate::parse(template).unwrap().path(&message, &recipient)?;
        Ok(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_template_knows_recipient_queue_and_meta() {
        for (template, expected) in [
            ("/var/mail", "/var/mail"),
            ("/m/{{ domain_part }}/{{ local_part }}", "/m/example.com/User+tag"),
            ("/m/{{ email }}", "/m/User+tag@example.com"),
            ("/m/{{ queue }}", "/m/t1@example.com"),
            ("/m/{{ domain }}-{{ tenant }}", "/m/example.com-t1"),
            ("/m/{{ meta.tenant }}{{ meta.x.n }}", "/m/t17"),
            ("/m/{{ local_part | lower }}{{ campaign if campaign is defined }}", "/m/user+tag"),
            ("mail/./{{ domain }}", "mail/./example.com"),
        ] {
            assert_eq!(path(template, "User+tag@Example.COM").unwrap(), expected);
        }
    }

    #[test]
    fn a_value_that_leads_elsewhere_is_refused_by_name() {
        for (template, recipient, named) in [
            ("/m/{{ local_part }}", "a/b@x.example", "a/b"),
            ("/m/{{ local_part }}", "/etc/cron.d/x@x.example", "/etc/cron.d/x"),
            ("/m/{{ email }}", "a/b@x.example", "a/b@x.example"),
            ("/m/{{ local_part }}/x", "\"../../etc\"@x.example", "\"../../etc\""),
            ("/m/{{ local_part | trim('\"') }}/x", "\"..\"@x.example", ".."),
            ("/m/{{ meta.up }}/x", "a@x.example", ".."),
            ("/m/{{ meta.x.dot }}", "a@x.example", "."),
            ("/m/{{ meta.x.dir }}", "a@x.example", "a/b"),
            ("/m/{{ domain_part }}/x", "postmaster", ""),
            ("/m/{{ local_part }}", "", ""),
            ("/m/{{ '.' ~ '.' }}/x", "a@x.example", ".."),
        ] {
            assert_eq!(path(template, recipient), Err(Refused(named.to_owned()).into()), "{template} {recipient}");
        }
        // Not one value but several, or the characters of one.
        for template in ["/m/{{ meta.up[0] }}.", "/m/{% for c in meta.up %}{{ c }}{% endfor %}/x"] {
            assert!(matches!(path(template, "a@x.example"), Err(PathError::Refused(_))), "{template}");
        }
    }

    #[test]
    fn an_odd_local_part_passes_where_the_operator_provides_for_it() {
        assert_eq!(path("/m/{{ local_part | replace('/', '_') }}", "a/b@x.example").unwrap(), "/m/a_b");
        assert_eq!(path("/m/{{ domain_part }}", "a/b@x.example").unwrap(), "/m/x.example");
    }

    #[test]
    fn a_template_that_fails_is_not_the_message_s_fault() {
        for template in
            ["/m/{{ campaign }}", "/m/{{ nothing }}", "/m/{{ meta.x.nothing.more }}", "/m/{{ email | frobnicate }}"]
        {
            assert!(matches!(path(template, "a@x.example"), Err(PathError::Template(_))), "{template}");
        }
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_at_once() {
        for template in ["", "/m/{{ local_part", "/m/../x", "../{{ email }}"] {
            let error = PathTemplate::parse(template).err().map(|error| error.to_string());
            assert!(error.as_deref().unwrap_or("").starts_with("protocol.maildir_path: "), "{template}: {error:?}");
        }
    }
}

//! Templates that make the text of a record: MiniJinja, compiled when the sink is configured.
//!
//! The environment comes from outside: whoever builds the daemon gives the one that policy's `eval_template` uses, so
//! that a template means the same in both places (`normalize_smtp_response` is a filter of that environment).

use crate::config::{ANY, PerRecords};
use minijinja::{Environment, Value, context};
use std::collections::BTreeMap;
use std::error::Error;
use waybill_log_record::{RecordType, RecordView};

/// A template that is none, or one that could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use the template of {name} in {owner}: {why}")]
pub struct TemplateError {
    /// The hook or the files that it belongs to.
    pub owner: String,
    /// The record type, or `Any`.
    pub name: &'static str,
    /// What is wrong with it, and on which line.
    pub why: String,
}

/// The templates of one sink.
#[derive(Debug, Clone)]
pub struct Templates {
    owner: String,
    environment: Environment<'static>,
    by_type: BTreeMap<RecordType, &'static str>,
}

impl Templates {
    /// Compiles them. `owner` is how an error names the sink: `log hook webhook`, `log files in /var/log/kumomta`.
    ///
    /// # Errors
    /// The first template that does not parse.
    pub fn compile(
        owner: impl Into<String>,
        records: &PerRecords,
        environment: &Environment<'static>,
    ) -> Result<Self, TemplateError> {
        let owner = owner.into();
        let mut environment = environment.clone();
        for (name, entry) in records.iter() {
            if let Some(source) = &entry.template {
                let added = environment.add_template_owned(name, source.clone());
                added.map_err(|error| TemplateError { owner: owner.clone(), name, why: with_causes(&error) })?;
            }
        }
        let named = |kind: &RecordType| {
            records.template(*kind).map(|_| (*kind, if records.is_explicit(*kind) { kind.as_str() } else { ANY }))
        };
        let by_type = RecordType::ALL.iter().filter_map(named).collect();
        Ok(Templates { owner, environment, by_type })
    }

    /// The record's text with a line end, or `None` where the type has no template and JSON is wanted.
    ///
    /// The template sees each member of the record as a variable (a null is none), and all of it as `log_record`.
    ///
    /// # Errors
    /// When it cannot be filled in. A file then gets the record's JSON; a hook makes a dead letter of it.
    pub fn render(&self, view: &RecordView) -> Result<Option<String>, TemplateError> {
        let Some(name) = self.by_type.get(&view.entry().kind()).copied() else { return Ok(None) };
        let failed = |error: &dyn Error| TemplateError { owner: self.owner.clone(), name, why: with_causes(error) };
        let record: Value = serde_json::from_slice(&view.json()).map_err(|error| failed(&error))?;
        let template = self.environment.get_template(name).map_err(|error| failed(&error))?;
        let mut text = template.render(context! { log_record => record, ..record }).map_err(|error| failed(&error))?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(Some(text))
    }
}

/// The error and what led to it, on one line: MiniJinja keeps the useful half in the cause.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};
    use waybill_log_record::{Capture, Entry, FieldsBuilder, LogRecord};
    use waybill_types::{IdMint, Response, Timestamp};

    fn templates(records: serde_json::Value) -> Result<Templates, TemplateError> {
        Templates::compile("log hook w", &from_value(records).unwrap(), &Environment::new())
    }

    fn view(kind: RecordType) -> RecordView {
        let now = Timestamp::from_secs(1_700_000_000);
        let mut record = LogRecord::new(kind, now, Response::new(550, "5.1.1 no <such> user"), "node");
        record.recipients = vec!["b@y.example".into()];
        let mut meta = FieldsBuilder::default();
        meta.push("x_num", &json!(42));
        record.meta = meta.finish();
        RecordView::new(Entry::encode(&record, IdMint::random().entry(now)), Capture::new([], ["*"]).into())
    }

    fn rendered(template: &str) -> String {
        let templates = templates(json!({"Bounce": {"template": template}})).unwrap();
        templates.render(&view(RecordType::Bounce)).unwrap().unwrap()
    }

    #[test]
    fn a_template_sees_the_members_and_the_whole() {
        assert_eq!(
            rendered("{{ type }} {{ recipient }} {{ response.enhanced_code.subject }} {{ meta.x_num + 1 }}"),
            "Bounce b@y.example 1 43\n"
        );
        assert_eq!(rendered("{{ log_record.response.content }}\n"), "no <such> user\n");
        let json: serde_json::Value = serde_json::from_str(&rendered("{{ log_record | tojson }}")).unwrap();
        let expected: serde_json::Value = serde_json::from_slice(&view(RecordType::Bounce).json()).unwrap();
        assert_eq!(json, expected);
        assert_eq!(rendered("{% if egress_pool is none %}-{% endif %}"), "-\n");
    }

    #[test]
    fn any_serves_the_types_that_have_no_entry() {
        let templates = templates(json!({"Any": {"template": "any {{ type }}"}, "Delivery": {}})).unwrap();
        assert_eq!(templates.render(&view(RecordType::Bounce)), Ok(Some("any Bounce\n".into())));
        assert_eq!(templates.render(&view(RecordType::Delivery)), Ok(None));
    }

    #[test]
    fn a_template_that_does_not_parse_is_named() {
        let error = templates(json!({"Bounce": {"template": "{{ id"}})).unwrap_err().to_string();
        assert!(error.starts_with("use the template of Bounce in log hook w: syntax error:"), "{error}");
    }

    #[test]
    fn a_template_that_cannot_be_filled_in_is_named() {
        let templates = templates(json!({"Any": {"template": "{{ sender.oops.oops }}"}})).unwrap();
        let error = templates.render(&view(RecordType::Bounce)).unwrap_err().to_string();
        assert!(error.starts_with("use the template of Any in log hook w: undefined value"), "{error}");
    }
}

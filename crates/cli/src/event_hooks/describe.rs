use super::args::HookArgs;
use crate::Misuse;
use anyhow::Context;
use serde_json::{Map, Value};
use std::io::Read;
use std::path::Path;

impl HookArgs {
    /// The description that they make.
    pub(super) fn document(&self) -> anyhow::Result<Value> {
        let mut document = match &self.file {
            None => Map::new(),
            Some(path) if path.as_os_str() == "-" => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("read standard input")?;
                object("standard input", &text)?
            }
            Some(path) => {
                let shown = path.display().to_string();
                object(&shown, &std::fs::read_to_string(path).with_context(|| format!("read {shown}"))?)?
            }
        };
        for (field, value) in [
            ("source", &self.source),
            ("event", &self.event),
            ("handler", &self.handler),
            ("config.url", &self.url),
            ("filter", &self.filter),
        ] {
            if let Some(value) = value {
                set(&mut document, field, value.as_str().into())?;
            }
        }
        if let Some(path) = &self.secret_file {
            set(&mut document, "config.secret", text_of(path)?.into())?;
        }
        if let Some(snooze) = self.snooze {
            set(&mut document, "snooze", snooze.into())?;
        }
        for (field, value) in [("on_change", self.on_change), ("enabled", self.enabled)] {
            if let Some(value) = value {
                set(&mut document, field, value.into())?;
            }
        }
        for pair in &self.set {
            let (field, value) =
                pair.split_once('=').ok_or_else(|| Misuse::new(format!("--set {pair}: expected FIELD=VALUE")))?;
            set(&mut document, field, serde_json::from_str(value).unwrap_or_else(|_| value.into()))?;
        }
        for pair in &self.set_file {
            let (field, path) =
                pair.split_once('=').ok_or_else(|| Misuse::new(format!("--set-file {pair}: expected FIELD=FILE")))?;
            set(&mut document, field, text_of(Path::new(path))?.into())?;
        }
        Ok(Value::Object(document))
    }
}

/// What a file holds, without the end of its last line.
fn text_of(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn object(from: &str, text: &str) -> anyhow::Result<Map<String, Value>> {
    match serde_json::from_str(text).with_context(|| format!("{from} holds no JSON"))? {
        Value::Object(map) => Ok(map),
        _ => Err(Misuse::new(format!("{from}: expected a JSON object")).into()),
    }
}

/// Sets a field, below others where its name has dots.
fn set(document: &mut Map<String, Value>, field: &str, value: Value) -> anyhow::Result<()> {
    match field.split_once('.') {
        None => {
            document.insert(field.to_owned(), value);
            Ok(())
        }
        Some((first, rest)) => {
            let inner = document.entry(first).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(inner) = inner else {
                return Err(Misuse::new(format!("{first} is a value in one place and holds fields in another")).into());
            };
            set(inner, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_make_a_description_and_what_is_left_out_is_not_in_it() {
        let args = HookArgs {
            source: Some("log".into()),
            handler: Some("webhook-custom".into()),
            url: Some("https://hooks.example/1".into()),
            on_change: Some(false),
            set: vec![
                "config.payload.text=Bounce for {{ recipient }}".into(),
                "config.headers.content-type=application/json".into(),
                "batch=5".into(),
                "event=null".into(),
            ],
            ..HookArgs::default()
        };
        let expected = json!({
            "source": "log", "handler": "webhook-custom", "on_change": false, "batch": 5, "event": null,
            "config": {
                "url": "https://hooks.example/1",
                "payload": {"text": "Bounce for {{ recipient }}"},
                "headers": {"content-type": "application/json"},
            },
        });
        assert_eq!(args.document().unwrap(), expected);
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "two\nlines\n").unwrap();
        let set_file = vec![format!("config.auth.bearer.token={}", token.display())];
        let args = HookArgs { set_file, ..HookArgs::default() };
        let expected = json!({"config": {"auth": {"bearer": {"token": "two\nlines"}}}});
        assert_eq!(args.document().unwrap(), expected);
        let args = HookArgs { set_file: vec!["config.auth".into()], ..HookArgs::default() };
        assert!(args.document().unwrap_err().is::<Misuse>());
        for wrong in ["x", "source.x=1"] {
            let args = HookArgs { set: vec![wrong.into()], source: Some("log".into()), ..HookArgs::default() };
            assert!(args.document().unwrap_err().is::<Misuse>(), "{wrong}");
        }
    }
}

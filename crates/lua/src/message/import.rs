//! `import_headers`: from headers to meta.

use bytes::Bytes;
use mlua::{Lua, Value};
use serde::Deserialize;
use serde_json::Value as Json;
use waybill_mime::headers::{self, Field};
use waybill_spool::Message;
use waybill_types::text;

use crate::error::raise;
use crate::location;
use crate::modules::options;

/// Which headers, and what becomes of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of name, match, transform, target, remove")]
struct Spec {
    /// A name in any case; with a `*` at the end, all that begin so.
    #[serde(deserialize_with = "text::name")]
    name: String,
    #[serde(default, rename = "match")]
    which: Which,
    #[serde(default)]
    transform: Transform,
    /// The meta's name, instead of the header's own.
    #[serde(default, deserialize_with = "text::name_opt")]
    target: Option<String>,
    #[serde(default)]
    remove: bool,
}

/// What is taken of several headers of one name.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    First,
    #[default]
    Last,
    /// All of them, as a list.
    All,
}

/// How a header's name becomes a meta's name.
#[derive(Clone, Copy, Default, Deserialize)]
enum Transform {
    #[default]
    #[serde(rename = "snake_case")]
    Snake,
    #[serde(rename = "kebab_case")]
    Kebab,
    #[serde(rename = "camel_case")]
    Camel,
    #[serde(rename = "pascal_case")]
    Pascal,
}

impl Transform {
    fn apply(self, name: &str) -> String {
        let words = name.split(['-', '_']).filter(|word| !word.is_empty()).map(str::to_lowercase);
        let capital = |word: String| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        };
        match self {
            Transform::Snake => words.collect::<Vec<_>>().join("_"),
            Transform::Kebab => words.collect::<Vec<_>>().join("-"),
            Transform::Pascal => words.map(capital).collect(),
            Transform::Camel => {
                words.enumerate().map(|(at, word)| if at == 0 { word } else { capital(word) }).collect()
            }
        }
    }
}

impl Spec {
    fn takes(&self, field: &Field<'_>) -> bool {
        match self.name.strip_suffix('*') {
            Some(prefix) => field
                .name_bytes()
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes())),
            None => field.is(&self.name),
        }
    }
}

/// The first spec that fits takes a header.
pub(super) fn headers(lua: &Lua, message: &Message, data: &Bytes, specs: Value) -> mlua::Result<Value> {
    let specs: Vec<Spec> = options(lua, "msg:import_headers", &specs)?;
    if let Some(spec) = specs.iter().find(|spec| spec.name.trim_end_matches('*').is_empty() && spec.target.is_some()) {
        let at = location::caller(lua);
        return Err(raise(format!("{at}: msg:import_headers: '{}' fits every header, one target does not", spec.name)));
    }
    let mut found: Vec<(String, Json)> = Vec::new();
    for field in headers::fields(data) {
        let Some(spec) = specs.iter().find(|spec| spec.takes(&field)) else { continue };
        let name = spec.target.clone().unwrap_or_else(|| spec.transform.apply(&field.name()));
        let value = Json::from(field.value());
        match (found.iter_mut().find(|(known, _)| *known == name), spec.which) {
            (None, Which::All) => found.push((name, Json::Array(vec![value]))),
            (None, _) => found.push((name, value)),
            (Some((_, Json::Array(all))), Which::All) => all.push(value),
            (Some((_, before)), Which::Last | Which::All) => *before = value,
            (Some(_), Which::First) => {}
        }
    }
    for (name, value) in found {
        message.set_meta(&name, value);
    }
    let removed = |field: &Field<'_>| specs.iter().find(|spec| spec.takes(field)).is_some_and(|spec| spec.remove);
    if let Some(data) = headers::without(data, removed) {
        message.set_data(data);
    }
    Ok(Value::Nil)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_take_every_case() {
        for (transform, expected) in [
            (Transform::Snake, "x_foo_bar"),
            (Transform::Kebab, "x-foo-bar"),
            (Transform::Camel, "xFooBar"),
            (Transform::Pascal, "XFooBar"),
        ] {
            assert_eq!(transform.apply("X-FOO-Bar"), expected);
        }
    }
}

//! Endpoints, from the API's own description.

use std::collections::BTreeMap;

use serde_json::Value;

use super::known::{Kind, Thing, code, list, row, table, text};
use super::page::{Part, Row};

/// How deep fields of fields are shown.
const DEPTH: usize = 3;

/// A page for each path, with parts for each of its methods.
pub(super) fn things(known: &Value) -> Vec<Thing> {
    let mut paths: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    let described = known["openapi"]["paths"].as_object();
    for (path, methods) in described.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let parts = parts(&known["openapi"], &method.to_uppercase(), operation);
            paths.entry(path.clone()).or_default().extend(parts);
        }
    }
    let thing = |(path, parts): (String, Vec<Part>)| Thing {
        kind: Kind::Endpoints,
        name: path.clone(),
        title: path,
        parts: super::page::merged(parts.iter()),
    };
    paths.into_iter().map(thing).collect()
}

fn parts(api: &Value, method: &str, operation: &Value) -> Vec<Part> {
    let summary = row(&[format!("`{method}`")], text(operation, "summary"));
    let mut parts = vec![table("methods", &["method", "does"], vec![summary])];
    // What stands in the path is told by its name there.
    for (place, what) in [("query", "query"), ("header", "headers")] {
        let fields: Vec<Row> = list(&operation["parameters"])
            .filter(|field| field["in"] == place)
            .map(|field| row(&[code(field, "name"), words(api, &field["schema"])], text(field, "description")))
            .collect();
        if !fields.is_empty() {
            parts.push(table(&format!("{method} {what}"), &["field", "type", "meaning"], fields));
        }
    }
    let mut body = Vec::new();
    fields(api, schema(&operation["requestBody"]), "", DEPTH, &mut body);
    if !body.is_empty() {
        parts.push(table(&format!("{method} body"), &["field", "type", "meaning"], body));
    }
    let answers: Vec<Row> = operation["responses"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(status, answer)| row(&[format!("`{status}`")], text(answer, "description")))
        .collect();
    parts.push(table(&format!("{method} answers"), &["status", "when"], answers));
    let mut answer = Vec::new();
    fields(api, schema(success(&operation["responses"])), "", DEPTH, &mut answer);
    if !answer.is_empty() {
        parts.push(table(&format!("{method} answer"), &["field", "type", "meaning"], answer));
    }
    parts
}

/// What comes back where all is well.
fn success(responses: &Value) -> &Value {
    let found = responses.as_object().into_iter().flatten().find(|(status, _)| status.starts_with('2'));
    found.map_or(&Value::Null, |(_, response)| response)
}

/// What a body looks like, whatever its type is called.
fn schema(body: &Value) -> &Value {
    body["content"].as_object().and_then(|types| types.values().next()).map_or(&Value::Null, |body| &body["schema"])
}

/// The schema that a reference leads to; of several possibilities the one that is not null.
fn resolved<'a>(api: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return &api["components"]["schemas"][name];
    }
    let possible =
        schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()).or_else(|| schema["allOf"].as_array());
    match possible.and_then(|all| all.iter().find(|one| one["type"] != "null")) {
        Some(one) => resolved(api, one),
        None => schema,
    }
}

fn fields(api: &Value, schema: &Value, prefix: &str, depth: usize, rows: &mut Vec<Row>) {
    let schema = resolved(api, schema);
    if let Some(items) = schema.get("items") {
        return fields(api, items, &format!("{prefix}[]"), depth, rows);
    }
    if depth == 0 {
        return;
    }
    let joint = if prefix.is_empty() { "" } else { "." };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let name = format!("{prefix}{joint}{name}");
        let needed = list(&schema["required"]).any(|required| name.ends_with(required.as_str().unwrap_or("?")));
        let kind = [words(api, field), if needed { String::new() } else { "optional".to_owned() }];
        let kind = kind.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>().join(", ");
        rows.push(row(&[format!("`{name}`"), kind], &description(api, field)));
        fields(api, field, &name, depth - 1, rows);
    }
}

/// What the field says of itself, else what its type does.
fn description(api: &Value, field: &Value) -> String {
    let own = text(field, "description");
    let words = if own.is_empty() { text(resolved(api, field), "description") } else { own };
    words.lines().next().unwrap_or_default().to_owned()
}

fn words(api: &Value, schema: &Value) -> String {
    let schema = resolved(api, schema);
    let first = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    }
    match first(&schema["type"]).as_str() {
        Some("string") => "text".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("array") => match words(api, &schema["items"]).as_str() {
            "" => "list".to_owned(),
            item @ ("text" | "number" | "object") => format!("list of {item}s"),
            item => format!("list of {item}"),
        },
        Some("object") => "object".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::page::Content;
    use serde_json::json;

    #[test]
    fn a_path_has_a_page_with_the_fields_of_each_method() {
        let known = json!({
            "openapi": {
                "paths": { "/a": {
                    "get": { "summary": "Look", "parameters": [{ "name": "id", "in": "path" }, { "name": "q", "in": "query", "schema": { "type": "string" }, "description": "what" }],
                             "responses": { "200": { "description": "here", "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } } },
                    "post": { "summary": "Do", "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } },
                              "responses": { "404": { "description": "gone" } } },
                    "delete": { "summary": "End", "responses": { "204": { "description": "ended" } } },
                } },
                "components": { "schemas": { "A": { "required": ["n"], "properties": {
                    "n": { "type": "integer", "description": "how many" },
                    "list": { "type": ["array", "null"], "items": { "properties": { "x": { "type": "boolean" } } } },
                } } } },
            },
        });
        let things = things(&known);
        assert_eq!(things.len(), 1);
        let names: Vec<_> = things[0].parts.iter().map(|part| part.name.as_str()).collect();
        let expected =
            ["methods", "DELETE answers", "GET query", "GET answers", "GET answer", "POST body", "POST answers"];
        assert_eq!(names, expected);
        let rows = |part: usize| match &things[0].parts[part].content {
            Content::Table { rows, .. } => rows.clone(),
            Content::Text(_) => panic!("a table"),
        };
        assert_eq!(rows(0).len(), 3);
        let body: Vec<_> = rows(5).into_iter().map(|row| (row.cells.join(" "), row.words)).collect();
        let expected =
            [("`list` list, optional", ""), ("`list[].x` boolean, optional", ""), ("`n` number", "how many")];
        assert_eq!(body, expected.map(|(cells, words)| (cells.to_owned(), words.to_owned())));
    }
}

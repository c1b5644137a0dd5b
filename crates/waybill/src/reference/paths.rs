//! The description of what other crates serve, from the tables that they make their routers of.

use super::Key;
use serde_json::{Map, Value, json};

/// A field of a query, a body or an answer.
pub(crate) struct Field {
    /// With those that it stands in: `messages[].offset`; `[].name` in a list.
    pub(crate) name: String,
    /// Its type, in the words of the reference: `text`, `list of tables`.
    pub(crate) kind: String,
    /// Nothing where the reference says it.
    pub(crate) meaning: String,
    pub(crate) needed: bool,
}

impl Field {
    /// A field as a table of answers has it: name, type and meaning; one that may be missing ends with a question mark.
    pub(crate) fn given(prefix: &str, (name, kind, meaning): (&str, &str, &str)) -> Self {
        let bare = name.trim_end_matches('?');
        Field {
            name: format!("{prefix}{bare}"),
            kind: kind.to_owned(),
            meaning: meaning.to_owned(),
            needed: bare == name,
        }
    }
}

impl From<Key> for Field {
    fn from(key: Key) -> Self {
        // What is read as a number in a request is a whole one.
        let kind = if key.kind == "number" { "integer".to_owned() } else { key.kind };
        Field { name: key.name, kind, meaning: String::new(), needed: key.required }
    }
}

/// A method of a path.
pub(crate) struct Operation {
    method: String,
    path: &'static str,
    says: Value,
}

impl Operation {
    pub(crate) fn new(method: &str, path: &'static str, summary: &str, tag: &str) -> Self {
        let says = json!({ "summary": summary, "tags": [tag], "responses": {} });
        Operation { method: method.to_lowercase(), path, says }
    }

    /// Takes these in its query.
    pub(crate) fn query(&mut self, fields: impl Iterator<Item = Field>) {
        fields.for_each(|field| self.parameter("query", &field));
    }

    /// Takes this as a header.
    pub(crate) fn header(&mut self, name: &str, meaning: &str) {
        let (name, kind, meaning) = (name.to_owned(), "text".to_owned(), meaning.to_owned());
        self.parameter("header", &Field { name, kind, meaning, needed: false });
    }

    fn parameter(&mut self, place: &str, field: &Field) {
        let mut parameter =
            json!({ "name": field.name, "in": place, "required": field.needed, "schema": kind(&field.kind) });
        say(&mut parameter, &field.meaning);
        push(&mut self.says["parameters"], parameter);
    }

    /// Takes these as JSON, and no others.
    pub(crate) fn body(&mut self, fields: impl Iterator<Item = Field>) {
        let fields: Vec<Field> = fields.collect();
        if fields.is_empty() {
            return;
        }
        let mut schema = object(&fields);
        if !fields.iter().any(|field| field.name == "*") {
            close(&mut schema);
        }
        self.says["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
    }

    /// Takes these in its query, or else in its body.
    pub(crate) fn either(&mut self, fields: impl Iterator<Item = Field>) {
        let fields: Vec<Field> = fields.collect();
        fields.iter().for_each(|field| self.parameter("query", field));
        self.body(fields.into_iter());
    }

    /// Takes whatever comes.
    pub(crate) fn any_body(&mut self, meaning: &str) {
        self.says["requestBody"] = json!({ "description": meaning, "content": { "*/*": {} } });
    }

    /// Answers so where all is well.
    pub(crate) fn answer(&mut self, status: u16, when: &str, fields: impl IntoIterator<Item = Field>) {
        let fields: Vec<Field> = fields.into_iter().collect();
        let mut answer = json!({ "description": when });
        if !fields.is_empty() {
            answer["content"] = json!({ "application/json": { "schema": object(&fields) } });
        }
        self.says["responses"][status.to_string()] = answer;
    }

    /// Answers so where it is not: JSON with these texts, or a text.
    pub(crate) fn refusal(&mut self, status: u16, when: &str, fields: &[&str]) {
        let content = if fields.is_empty() {
            json!({ "text/plain": { "schema": { "type": "string" } } })
        } else {
            let texts: Map<String, Value> =
                fields.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
            json!({ "application/json": { "schema": { "type": "object", "properties": texts, "required": fields } } })
        };
        self.says["responses"][status.to_string()] = json!({ "description": when, "content": content });
    }
}

/// All of them, as a description has them.
pub(super) fn document(operations: impl Iterator<Item = Operation>) -> Value {
    let mut paths = json!({});
    for Operation { method, path, says } in operations {
        paths[path][method] = says;
    }
    json!({ "paths": paths })
}

/// The schema of fields, each where its name puts it.
fn object(fields: &[Field]) -> Value {
    let mut root = json!({});
    for field in fields.iter().filter(|field| field.name != "*") {
        let mut steps: Vec<&str> = field.name.split('.').collect();
        let last = steps.pop().unwrap_or_default();
        let place = steps.into_iter().fold(&mut root, into);
        default_type(place, "object");
        let mut schema = kind(&field.kind);
        say(&mut schema, &field.meaning);
        place["properties"][last] = schema;
        if field.needed {
            push(&mut place["required"], last.into());
        }
    }
    if root.get("type").is_none() {
        root["type"] = "object".into();
    }
    root
}

/// What stands in a field: an object, or the items of a list; `[]` alone is the list itself.
fn into<'a>(place: &'a mut Value, step: &str) -> &'a mut Value {
    let (name, is_list) = match step.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (step, false),
    };
    let inner = match name {
        "" => place,
        "*" => &mut place["additionalProperties"],
        name => &mut place["properties"][name],
    };
    if !is_list {
        return inner;
    }
    default_type(inner, "array");
    &mut inner["items"]
}

/// Says of what type it is, unless its own field has: that knows whether it may be null.
fn default_type(place: &mut Value, kind: &str) {
    if place["type"].is_null() {
        place["type"] = kind.into();
    }
}

/// Says of every object in it that it has no other fields.
fn close(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(close);
        if schema.get("additionalProperties").is_none() {
            schema["additionalProperties"] = false.into();
        }
    }
    if let Some(items) = schema.get_mut("items") {
        close(items);
    }
}

/// A type in the words of the reference, as a schema.
fn kind(words: &str) -> Value {
    if let Some(words) = words.strip_suffix(" or null") {
        let mut schema = kind(words);
        push(&mut schema["type"], "null".into());
        return schema;
    }
    match words {
        "text" | "path" => json!({ "type": "string" }),
        "integer" | "number" | "boolean" => json!({ "type": words }),
        "table" => json!({ "type": "object" }),
        // A text such as 5m, or seconds.
        "duration" => json!({ "type": ["string", "integer"] }),
        "any" | "any value" => json!({}),
        "list" => json!({ "type": "array" }),
        words => match words.strip_prefix("list of ") {
            Some(items) => json!({ "type": "array", "items": kind(items.trim_end_matches('s')) }),
            None => json!({ "type": "string", "description": words }),
        },
    }
}

fn say(schema: &mut Value, meaning: &str) {
    if !meaning.is_empty() {
        schema["description"] = meaning.into();
    }
}

/// One more item; what is no list becomes the first of one.
fn push(list: &mut Value, item: Value) {
    *list = match list.take() {
        Value::Null => json!([item]),
        Value::Array(there) => there.into_iter().chain([item]).collect(),
        one => json!([one, item]),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str, needed: bool) -> Field {
        Field { name: name.to_owned(), kind: kind.to_owned(), meaning: String::new(), needed }
    }

    #[test]
    fn names_put_fields_where_they_belong() {
        let fields = [
            field("next", "number", true),
            field("messages", "list of tables", true),
            field("messages[].key", "text", false),
            field("messages[].tags", "list of texts", true),
            field("inner", "table", false),
            field("inner.at", "duration", true),
        ];
        let expected = json!({
            "type": "object",
            "required": ["next", "messages"],
            "properties": {
                "next": { "type": "number" },
                "messages": { "type": "array", "items": {
                    "type": "object",
                    "required": ["tags"],
                    "properties": { "key": { "type": "string" }, "tags": { "type": "array", "items": { "type": "string" } } },
                } },
                "inner": { "type": "object", "required": ["at"],
                    "properties": { "at": { "type": ["string", "integer"] } } },
            },
        });
        assert_eq!(object(&fields), expected);
        let list = object(&[field("[].name", "text", true)]);
        let item = json!({ "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } });
        assert_eq!(list, json!({ "type": "array", "items": item }));
    }

    #[test]
    fn what_may_be_null_says_so_whatever_stands_in_it() {
        let fields = [
            field("at", "duration or null", true),
            field("inner", "table or null", true),
            field("inner.x", "text or null", true),
            field("list", "list of tables or null", false),
            field("list[].y", "number", true),
        ];
        let expected = json!({
            "type": "object",
            "required": ["at", "inner"],
            "properties": {
                "at": { "type": ["string", "integer", "null"] },
                "inner": { "type": ["object", "null"], "required": ["x"],
                    "properties": { "x": { "type": ["string", "null"] } } },
                "list": { "type": ["array", "null"], "items": {
                    "type": "object", "required": ["y"], "properties": { "y": { "type": "number" } },
                } },
            },
        });
        assert_eq!(object(&fields), expected);
    }

    #[test]
    fn a_body_has_no_other_fields_unless_it_may_have_any() {
        let schema = |fields: Vec<Field>| {
            let mut operation = Operation::new("POST", "/x", "Do", "x");
            operation.body(fields.into_iter());
            operation.says["requestBody"]["content"]["application/json"]["schema"].clone()
        };
        let closed = schema(vec![field("list", "list of tables", false), field("list[].x", "text", false)]);
        assert_eq!(closed["additionalProperties"], false);
        assert_eq!(closed["properties"]["list"]["items"]["additionalProperties"], false);
        assert_eq!(schema(vec![field("*", "any", false)]), json!({ "type": "object" }));
    }
}

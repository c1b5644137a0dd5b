use serde_json::{Map, Value, json};

/// What an API says of itself, as OpenAPI 3.1.
#[derive(Clone, PartialEq, Debug)]
pub struct Description(Value);

impl Description {
    /// That of the routes of this crate.
    pub fn own() -> Self {
        let mut own = Description(serde_json::to_value(super::own()).unwrap_or_default());
        own.name_places();
        own
    }

    /// With what another crate says: its `paths`, its `components.schemas`. What both have is this one's.
    #[must_use]
    pub fn with(mut self, other: Value) -> Self {
        for place in ["/paths", "/components/schemas"] {
            let Some(more) = other.pointer(place).and_then(Value::as_object) else { continue };
            let Some(here) = self.0.pointer_mut(place).and_then(Value::as_object_mut) else { continue };
            for (name, value) in more {
                let mine = here.entry(name).or_insert_with(|| json!({}));
                add(mine, value);
            }
        }
        self.name_places();
        self
    }

    /// The document.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Every method with its path and what is said about it.
    pub fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
    }

    /// Each name in braces in a path has to be a parameter: it is one without a word.
    fn name_places(&mut self) {
        for (path, methods) in self.0["paths"].as_object_mut().into_iter().flatten() {
            let names: Vec<&str> =
                path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
            for operation in methods.as_object_mut().into_iter().flatten().map(|(_, operation)| operation) {
                let parameters = match operation.get("parameters").and_then(Value::as_array) {
                    Some(there) => there.clone(),
                    None => Vec::new(),
                };
                let is_there = |name: &str| parameters.iter().any(|one| one["in"] == "path" && one["name"] == name);
                let missing = names.iter().filter(|name| !is_there(name));
                let added = missing.map(
                    |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
                );
                let all: Vec<Value> = added.chain(parameters.iter().cloned()).collect();
                if !all.is_empty() {
                    operation["parameters"] = all.into();
                }
            }
        }
    }
}

/// Puts in what is not there.
fn add(mine: &mut Value, other: &Value) {
    let nothing = Map::new();
    let Some(here) = mine.as_object_mut() else { return };
    for (name, value) in other.as_object().unwrap_or(&nothing) {
        here.entry(name).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_become_one_and_every_place_of_a_path_is_a_parameter() {
        let more = json!({
            "paths": {
                "/token/{id}": { "put": { "summary": "new" }, "get": { "summary": "not this one" } },
                "/x/{one}/{two}": { "get": { "parameters": [{ "name": "two", "in": "path" }, { "name": "q", "in": "query" }] } },
            },
            "components": { "schemas": { "X": { "type": "string" } } },
        });
        let joined = Description::own().with(more);
        let token = &joined.json()["paths"]["/token/{id}"];
        assert_eq!((&token["put"]["summary"], &token["get"]["summary"]), (&json!("new"), &json!("Show a token")));
        let names = |operation: &Value| -> Vec<String> {
            operation["parameters"].as_array().unwrap().iter().map(|one| one["name"].to_string()).collect()
        };
        assert_eq!(names(&token["put"]), ["\"id\""]);
        assert_eq!(names(&joined.json()["paths"]["/x/{one}/{two}"]["get"]), ["\"one\"", "\"two\"", "\"q\""]);
        assert_eq!(joined.json()["components"]["schemas"]["X"]["type"], "string");
        assert_eq!(joined.clone().with(json!({})), joined, "a place is named once");
    }
}

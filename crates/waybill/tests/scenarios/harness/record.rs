//! Log records: from files, and their order of keys.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Every record in a directory's files, in order of their names. A file that is still written, or was when the daemon
/// was killed, gives what is there.
pub(crate) fn read_files(dir: &Path) -> Vec<Value> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.iter().flat_map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> Vec<Value> {
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    let Ok(mut stream) = zstd::stream::read::Decoder::new(file) else { return Vec::new() };
    let mut text = Vec::new();
    let mut piece = [0; 8192];
    // An error is the end of what was written so far.
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        text.extend_from_slice(&piece[..count]);
    }
    let whole_lines = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole_lines].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap_or_else(|_| panic!("no record in {}", path.display())))
        .collect()
}

/// The members of a JSON object in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Members(pub(crate) Vec<(String, Value)>);

impl Members {
    pub(crate) fn of(json: &[u8]) -> Members {
        serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(json)))
    }

    /// Names and types: two records are of one shape when these are equal. Of an object inside, its members' names and
    /// types as well, but for those that are the operator's (headers, meta).
    pub(crate) fn shape(&self) -> Vec<String> {
        self.0.iter().map(|(name, value)| format!("{name}: {}", kind(name, value))).collect()
    }
}

/// The same of a record whose order does not matter.
pub(crate) fn shape(record: &Value) -> Vec<String> {
    let members = record.as_object().expect("a record");
    members.iter().map(|(name, value)| format!("{name}: {}", kind(name, value))).collect()
}

fn kind(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if number.is_f64() => "float".into(),
        Value::Number(_) => "integer".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) if matches!(name, "headers" | "meta") => "object".into(),
        Value::Object(members) => {
            let inside = members.iter().map(|(name, value)| format!("{name}: {}", kind(name, value)));
            format!("{{{}}}", inside.collect::<Vec<_>>().join(", "))
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

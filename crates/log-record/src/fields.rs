use serde_json::Value;

/// Captured headers or meta fields: names in their original spelling, values as JSON text, in order.
///
/// Held in the very form in which it stands in a journal entry, so that capturing once at reception is all the work:
/// per field a `u16` name length, a flag byte, a `u32` value length (little endian), the name, the value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
}

/// Flag: the value holds a null or an empty list somewhere inside, so its null-free form differs.
pub(crate) const NEEDS_CLEANING: u8 = 1;

/// One field as it stands in the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) json: &'a [u8],
    pub(crate) flags: u8,
}

impl Fields {
    /// None.
    pub const fn empty() -> Self {
        Fields { bytes: Vec::new() }
    }

    /// From bytes that [`Fields::as_bytes`] gave; `None` when they are torn.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (_, behind) = split(rest)?;
            rest = behind;
        }
        Some(Fields { bytes: bytes.to_vec() })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Name and JSON text of each field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        iterate(&self.bytes).map(|field| (field.name, field.json))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Walks over fields; stops at a tear.
pub(crate) fn iterate(bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (field, behind) = split(rest)?;
        rest = behind;
        Some(field)
    })
}

fn split(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(7)?;
    let name_len = usize::from(u16::from_le_bytes([head[0], head[1]]));
    let json_len = usize::try_from(u32::from_le_bytes([head[3], head[4], head[5], head[6]])).ok()?;
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (json, rest) = rest.split_at_checked(json_len)?;
    Some((Field { name: std::str::from_utf8(name).ok()?, json, flags: head[2] }, rest))
}

/// Collects [`Fields`].
#[derive(Debug, Default)]
pub struct FieldsBuilder {
    fields: Fields,
}

impl FieldsBuilder {
    /// Adds a field. A null is left out, and so is a name that is longer than 64 KiB.
    pub fn push(&mut self, name: &str, value: &Value) {
        let Ok(name_len) = u16::try_from(name.len()) else { return };
        if value.is_null() {
            return;
        }
        let flags = if needs_cleaning(value) { NEEDS_CLEANING } else { 0 };
        let start = self.fields.bytes.len();
        self.fields.bytes.extend_from_slice(&name_len.to_le_bytes());
        self.fields.bytes.push(flags);
        self.fields.bytes.extend_from_slice(&[0; 4]);
        self.fields.bytes.extend_from_slice(name.as_bytes());
        let json_start = self.fields.bytes.len();
        // Writing a Value into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.fields.bytes, value);
        let json_len = self.fields.bytes.len() - json_start;
        match u32::try_from(json_len) {
            Ok(len) => self.fields.bytes[start + 3..start + 7].copy_from_slice(&len.to_le_bytes()),
            Err(_) => self.fields.bytes.truncate(start),
        }
    }

    /// Adds headers: the values of equal names (in any case) become one string or, from two on, a list under the
    /// spelling that came first.
    pub fn push_headers<'a>(&mut self, headers: impl IntoIterator<Item = (&'a str, String)>) {
        let mut groups: Vec<(&'a str, Vec<Value>)> = Vec::new();
        for (name, value) in headers {
            match groups.iter_mut().find(|(first, _)| first.eq_ignore_ascii_case(name)) {
                Some((_, values)) => values.push(Value::String(value)),
                None => groups.push((name, vec![Value::String(value)])),
            }
        }
        for (name, mut values) in groups {
            match values.len() {
                1 => self.push(name, &values.remove(0)),
                _ => self.push(name, &Value::Array(values)),
            }
        }
    }

    /// What was collected.
    pub fn finish(self) -> Fields {
        self.fields
    }
}

/// Nulls and empty lists look different once a value has been a Lua table: the null is gone, the list is `{}`.
fn needs_cleaning(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty() || items.iter().any(|item| item.is_null() || needs_cleaning(item)),
        Value::Object(map) => map.values().any(|item| item.is_null() || needs_cleaning(item)),
        _ => false,
    }
}

/// The value as it is after having been a Lua table.
pub(crate) fn clean(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            // A Lua list ends before its first nil.
            let items: Vec<_> = items.into_iter().take_while(|item| !item.is_null()).map(clean).collect();
            if items.is_empty() { Value::Object(serde_json::Map::new()) } else { Value::Array(items) }
        }
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, clean(v))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_round_trip_and_leave_nulls_out() {
        let mut builder = FieldsBuilder::default();
        builder.push("a", &json!(1));
        builder.push("gone", &Value::Null);
        builder.push("b", &json!({"x": null}));
        let fields = builder.finish();
        let again = Fields::from_bytes(fields.as_bytes()).unwrap();
        let seen: Vec<_> = again.iter().map(|(n, j)| (n.to_owned(), String::from_utf8(j.to_vec()).unwrap())).collect();
        assert_eq!(seen, [("a".into(), "1".into()), ("b".into(), r#"{"x":null}"#.into())]);
        assert_eq!(iterate(again.as_bytes()).map(|f| f.flags).collect::<Vec<_>>(), [0, NEEDS_CLEANING]);
    }

    #[test]
    fn equal_header_names_become_a_list_under_the_first_spelling() {
        let mut builder = FieldsBuilder::default();
        builder.push_headers([("X-A", "1".to_owned()), ("Subject", "s".to_owned()), ("x-a", "2".to_owned())]);
        let fields = builder.finish();
        let seen: Vec<_> = fields.iter().map(|(n, j)| (n, std::str::from_utf8(j).unwrap())).collect();
        assert_eq!(seen, [("X-A", r#"["1","2"]"#), ("Subject", r#""s""#)]);
    }

    #[test]
    fn torn_bytes_are_refused() {
        let mut builder = FieldsBuilder::default();
        builder.push("a", &json!("value"));
        let bytes = builder.finish().as_bytes().to_vec();
        for len in 1..bytes.len() {
            assert_eq!(Fields::from_bytes(&bytes[..len]), None, "{len}");
        }
    }
}

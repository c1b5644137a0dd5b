//! Keys of a form that describe an object: `config.headers.content-type`, `config.functions[]`, `config.functions[1]`.

use super::DocumentError;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Fields of a form.
const MOST_FIELDS: usize = 512;
/// Names within each other.
const DEEPEST: usize = 8;
/// Items of a list.
const MOST_ITEMS: usize = 256;

/// The object that a form describes. Every value is a text.
pub(super) fn parse<'a>(
    fields: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<Map<String, Value>, DocumentError> {
    let mut root = Map::new();
    for (count, (key, value)) in fields.enumerate() {
        if count == MOST_FIELDS {
            return Err(DocumentError::Form(format!("it has more than {MOST_FIELDS} fields")));
        }
        let wrong = |why: &str| DocumentError::Form(format!("{key:?}: {why}"));
        let (path, list) = split(&key).ok_or_else(|| wrong("this is no name of a field, such as config.headers.x"))?;
        insert(&mut root, &path, list, value.into_owned()).map_err(wrong)?;
    }
    Ok(root)
}

/// The names, and whether `[]` or `[n]` stands behind them.
fn split(key: &str) -> Option<(Vec<&str>, Option<usize>)> {
    let (names, list) = match key.strip_suffix(']').and_then(|key| key.rsplit_once('[')) {
        Some((names, "")) => (names, Some(0)),
        // Lists begin with 1 here, as Kong's do.
        Some((names, number)) => (names, Some(number.parse().ok().filter(|number| *number > 0)?)),
        None => (key, None),
    };
    let path: Vec<&str> = names.split('.').collect();
    (path.len() <= DEEPEST && path.iter().all(|name| !name.is_empty())).then_some((path, list))
}

fn insert(map: &mut Map<String, Value>, path: &[&str], list: Option<usize>, value: String) -> Result<(), &'static str> {
    const BOTH: &str = "it is a value in one place and holds fields in another";
    match (path, list) {
        ([], _) => Ok(()),
        ([name], None) => match map.insert((*name).to_owned(), value.into()) {
            None => Ok(()),
            Some(_) => Err("it is there twice; a list is written with [] behind the name"),
        },
        ([name], Some(number)) => {
            let Value::Array(items) = map.entry(*name).or_insert_with(|| Value::Array(Vec::new())) else {
                return Err(BOTH);
            };
            if items.len() >= MOST_ITEMS {
                return Err("the list is too long");
            }
            if number != 0 && number != items.len() + 1 {
                return Err("items of a list come in order, from [1] on");
            }
            items.push(value.into());
            Ok(())
        }
        ([name, rest @ ..], _) => match map.entry(*name).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => insert(inner, rest, list, value),
            _ => Err(BOTH),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(form: &str) -> Result<Value, String> {
        parse(url::form_urlencoded::parse(form.as_bytes())).map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn the_seed_s_form_becomes_the_object_that_it_describes() {
        let form = "source=log&event=Bounce&handler=webhook-custom&config.method=POST\
                    &config.headers.content-type=application/json\
                    &config.payload.text=Bounce of '{{ recipient }}' (on server owned by $USER) &config.url=https://x";
        assert_eq!(
            read(form).unwrap(),
            json!({
                "source": "log", "event": "Bounce", "handler": "webhook-custom",
                "config": {
                    "method": "POST",
                    "headers": {"content-type": "application/json"},
                    "payload": {"text": "Bounce of '{{ recipient }}' (on server owned by $USER) "},
                    "url": "https://x",
                },
            })
        );
    }

    #[test]
    fn brackets_make_a_list() {
        let expected = json!({"config": {"functions": ["a", "b"]}});
        assert_eq!(read("config.functions[]=a&config.functions[]=b").unwrap(), expected);
        assert_eq!(read("config.functions[1]=a&config.functions[2]=b").unwrap(), expected);
        assert!(read("f[2]=a").unwrap_err().contains("come in order"));
        assert!(read("f[0]=a").is_err() && read("f[x]=a").is_err());
    }

    #[test]
    fn keys_that_make_no_sense_are_refused() {
        for form in ["=1", "a..b=1", ".a=1", "a.=1", "a.b.c.d.e.f.g.h.i=1"] {
            assert!(read(form).unwrap_err().contains("no name of a field"), "{form}");
        }
        assert!(read("a=1&a=2").unwrap_err().contains("there twice"));
        assert!(read("a=1&a.b=2").unwrap_err().contains("holds fields in another"));
        assert!(read("a.b=1&a[]=2").unwrap_err().contains("holds fields in another"));
        let many: String = (0..513).map(|n| format!("k{n}=&")).collect();
        assert!(read(&many).unwrap_err().contains("more than 512"));
    }
}

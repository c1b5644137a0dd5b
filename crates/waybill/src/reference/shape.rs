//! What a type asks serde for, found by letting it ask: no list of keys has to be kept by hand beside a struct.
//!
//! A [`Probe`] is a deserializer that holds nothing. It follows a path into the type, notes what is asked for at the end
//! of it, and fails.

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use std::cell::RefCell;

/// What a value looks like in a policy or a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value, in the words of whoever reads it.
    Plain(String),
    /// One of these words.
    Choice(Vec<&'static str>),
    /// A list.
    List(Box<Shape>),
    /// A table with keys of the policy's choice.
    Table(Box<Shape>),
    /// A table with these keys.
    Record(Vec<(&'static str, Shape)>),
}

/// Keys that some table with free keys takes: a record type, a network, any name.
const FREE_KEYS: [&str; 3] = ["Any", "127.0.0.1/32", "name"];

/// The shape of a type.
pub(super) fn shape_of<T: Deserialize<'static>>() -> Shape {
    walk::<T>(&mut Vec::new(), &mut Vec::new()).unwrap_or_else(|| Shape::Plain("any".to_owned()))
}

/// One step from a value into it.
#[derive(Clone, Copy)]
enum Step {
    Inside,
    Item,
    Entry(&'static str),
}

/// What was asked for where a path ends.
enum Asked {
    Plain(String),
    Optional,
    List,
    Table,
    Record(&'static [&'static str]),
    Choice(&'static [&'static str]),
}

/// `None`: the path leads to nothing that is read.
fn walk<T: Deserialize<'static>>(path: &mut Vec<Step>, above: &mut Vec<&'static [&'static str]>) -> Option<Shape> {
    let asked = RefCell::new(None);
    // It fails by design.
    let _ = T::deserialize(Probe { path, asked: &asked });
    let mut into = |step: Step, above: &mut Vec<_>| {
        path.push(step);
        let shape = walk::<T>(path, above);
        path.pop();
        shape
    };
    let any = || Shape::Plain("any".to_owned());
    Some(match asked.into_inner()? {
        Asked::Plain(words) => Shape::Plain(words),
        Asked::Choice(words) => Shape::Choice(words.to_vec()),
        Asked::Optional => into(Step::Inside, above)?,
        Asked::List => Shape::List(Box::new(into(Step::Item, above).unwrap_or_else(any))),
        Asked::Table => {
            let found = FREE_KEYS.into_iter().find_map(|key| into(Step::Entry(key), above));
            Shape::Table(Box::new(found.unwrap_or_else(any)))
        }
        Asked::Record(fields) if above.iter().any(|other| std::ptr::eq(*other, fields)) => {
            Shape::Plain("the same options".to_owned())
        }
        Asked::Record(fields) => {
            above.push(fields);
            let shapes =
                fields.iter().map(|name| (*name, into(Step::Entry(name), above).unwrap_or_else(any))).collect();
            above.pop();
            Shape::Record(shapes)
        }
    })
}

struct Probe<'a> {
    path: &'a [Step],
    asked: &'a RefCell<Option<Asked>>,
}

impl<'a> Probe<'a> {
    /// At the end of the path notes what is asked for; before it, says where the path goes.
    fn at(&self, asked: impl FnOnce() -> Asked) -> Result<(Step, Probe<'a>), Error> {
        match self.path.split_first() {
            Some((step, path)) => Ok((*step, Probe { path, asked: self.asked })),
            None => {
                *self.asked.borrow_mut() = Some(asked());
                Err(Error::custom("noted"))
            }
        }
    }

    /// Goes on along the path.
    fn go<'de, V: Visitor<'de>>(step: Step, rest: Probe<'a>, visitor: V) -> Result<V::Value, Error> {
        match step {
            Step::Inside => visitor.visit_some(rest),
            Step::Item => visitor.visit_seq(One { key: "", rest: Some(rest) }),
            Step::Entry(key) => visitor.visit_map(One { key, rest: Some(rest) }),
        }
    }
}

/// The words of a visitor for what it takes, as a page says them.
fn plain(expecting: &dyn Expected) -> Asked {
    let words = expecting.to_string();
    let whole =
        |word: &str| word.len() <= 5 && word.starts_with(['u', 'i']) && word.ends_with(['8', '6', '2', '4', 'e']);
    match words.as_str() {
        "a sequence" | "a list" => Asked::List,
        "a string" => Asked::Plain("text".to_owned()),
        "path string" => Asked::Plain("path".to_owned()),
        "any valid JSON value" | "any value" => Asked::Plain("any".to_owned()),
        word if whole(word) || word.starts_with("a nonzero ") => Asked::Plain("number".to_owned()),
        words => Asked::Plain(words.trim_start_matches("an ").trim_start_matches("a ").to_owned()),
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| plain(&visitor))?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| Asked::Optional)?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| Asked::List)?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| Asked::Table)?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| Asked::Record(fields))?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (step, rest) = self.at(|| Asked::Choice(variants))?;
        Probe::go(step, rest, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct identifier ignored_any
    }
}

/// A list or a table with one entry, which is a probe.
struct One<'a> {
    key: &'static str,
    rest: Option<Probe<'a>>,
}

impl One<'_> {
    fn value<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let probe = self.rest.take().ok_or_else(|| Error::custom("there is one entry"))?;
        seed.deserialize(probe)
    }
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.rest.is_none() { Ok(None) } else { self.value(seed).map(Some) }
    }
}

impl<'de> MapAccess<'de> for One<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let key: StrDeserializer<'_, Error> = self.key.into_deserializer();
        if self.rest.is_none() { Ok(None) } else { seed.deserialize(key).map(Some) }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.value(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use waybill_types::{LimitSpec, serde_duration_opt};

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only their names and types are looked at")]
    struct Sample {
        name: String,
        ready: Option<usize>,
        #[serde(default, with = "serde_duration_opt")]
        age: Option<Duration>,
        limit: LimitSpec,
        word: Option<Word>,
        hosts: Vec<std::net::IpAddr>,
        by_name: BTreeMap<String, bool>,
        inner: Option<Box<Sample>>,
        rest: serde_json::Value,
    }

    #[derive(serde::Deserialize)]
    enum Word {
        One,
        Two,
    }

    #[test]
    fn a_type_tells_its_keys_and_what_each_takes() {
        let Shape::Record(fields) = shape_of::<Sample>() else { panic!("a record") };
        let plain = |words: &str| Shape::Plain(words.to_owned());
        assert_eq!(
            fields,
            [
                ("name", plain("text")),
                ("ready", plain("number")),
                ("age", plain("duration")),
                ("limit", plain("limit such as 10 or \"local:10\"")),
                ("word", Shape::Choice(vec!["One", "Two"])),
                ("hosts", Shape::List(Box::new(plain("IP address")))),
                ("by_name", Shape::Table(Box::new(plain("boolean")))),
                ("inner", plain("the same options")),
                ("rest", plain("any")),
            ]
        );
    }
}

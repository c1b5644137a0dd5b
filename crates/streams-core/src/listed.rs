use crate::Limits;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// A list of a body. Three bytes of JSON can be an item of many in memory: of a list that is too long whatever the limits
/// say, the length is kept and what is behind [`Limits::MOST_MESSAGES`] is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) kept: Vec<T>,
    pub(crate) length: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List(PhantomData))
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Listed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Listed<T>, A::Error> {
        let mut listed = Listed { kept: Vec::new(), length: 0 };
        while listed.kept.len() < Limits::MOST_MESSAGES {
            let Some(item) = items.next_element()? else { return Ok(listed) };
            listed.kept.push(item);
            listed.length += 1;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {
            listed.length += 1;
        }
        Ok(listed)
    }
}

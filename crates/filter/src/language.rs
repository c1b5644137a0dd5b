/// What conditions may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Language {
    pub(crate) names: &'static [&'static str],
    pub(crate) long: &'static [&'static str],
}

impl Language {
    /// These names, of things that are small.
    pub const fn of(names: &'static [&'static str]) -> Self {
        Language { names, long: &[] }
    }

    /// These names, of which some may stand for a megabyte: a condition may name those outside of loops only, may read
    /// them as JSON (`toJson(name)`), and adds up only a few texts.
    pub const fn with_long(names: &'static [&'static str], long: &'static [&'static str]) -> Self {
        Language { names, long }
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// An object.
    Object(&'a serde_json::Map<String, serde_json::Value>),
    /// Bytes, which are a text if they are UTF-8; none are null.
    Bytes(Option<&'a [u8]>),
}

use std::fmt;

/// A key of a [`crate::Table`]: texts and numbers put together so that byte order is the order of the parts.
///
/// Texts end with a zero byte (zeros within a text are dropped), numbers are big endian.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// Nothing yet: before every other key.
    pub const fn new() -> Self {
        Key(Vec::new())
    }

    /// Nothing yet, with room for so many bytes: keys of which there are many.
    pub fn with_capacity(bytes: usize) -> Self {
        Key(Vec::with_capacity(bytes))
    }

    /// From bytes of a store.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Key(bytes.into())
    }

    /// Appends a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        if text.as_bytes().contains(&0) {
            self.0.extend(text.bytes().filter(|byte| *byte != 0));
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(0);
        self
    }

    /// Appends a number.
    #[must_use]
    pub fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The first key that does not begin with this one.
    #[must_use]
    pub fn end(&self) -> Key {
        let mut end = self.0.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Key(end);
            }
        }
        // An empty key, or nothing but 0xff: there is no next one; this is behind all that we write.
        Key(vec![u8::MAX; 64])
    }

    /// The key directly behind this one.
    #[must_use]
    pub fn after(&self) -> Key {
        let mut next = self.0.clone();
        next.push(0);
        Key(next)
    }

    /// Takes the parts out again.
    pub fn read(&self) -> KeyReader<'_> {
        KeyReader(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// Reads the parts of a [`Key`] in order.
#[derive(Clone, Debug)]
pub struct KeyReader<'a>(&'a [u8]);

impl<'a> KeyReader<'a> {
    /// The next part as a text.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = std::str::from_utf8(&self.0[..end]).ok()?;
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    /// The next part as a number.
    pub fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_their_parts() {
        let key = |a: &str, n: u64| Key::new().text(a).number(n);
        let mut keys = vec![key("b", 1), key("a", 300), key("ab", 0), key("a", 2)];
        keys.sort();
        assert_eq!(keys, [key("a", 2), key("a", 300), key("ab", 0), key("b", 1)]);
        let all_of_a = Key::new().text("a");
        assert!(key("a", u64::MAX) < all_of_a.end() && key("ab", 0) > all_of_a.end());
        assert_eq!(Key::new().text("a\0b\0"), Key::new().text("ab"), "a text ends at its zero");
        let stored = key("a", 300);
        let mut parts = stored.read();
        assert_eq!((parts.text(), parts.number(), parts.number()), (Some("a"), Some(300), None));
    }
}

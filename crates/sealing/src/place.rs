/// Where a value is stored: the table, the row, the field. A value sealed for one place does not open at another.
///
/// It is computed where the value is read, never stored beside it. Choose parts that stay: renaming one shuts what was sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place(Vec<u8>);

impl Place {
    /// The outermost part, say the name of a table.
    pub fn new(what: &str) -> Self {
        Place(Vec::new()).part(what)
    }

    /// The next part inwards.
    #[must_use]
    pub fn part(mut self, part: &str) -> Self {
        // With its length, or "ab", "c" would be the place "a", "bc".
        self.0.extend_from_slice(&(part.len() as u64).to_le_bytes());
        self.0.extend_from_slice(part.as_bytes());
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Place::new("ab").part("c"), Place::new("a").part("bc"));
        assert_ne!(Place::new("a").part(""), Place::new("a"));
        assert_eq!(Place::new("a").part("b"), Place::new("a").part("b"));
    }
}

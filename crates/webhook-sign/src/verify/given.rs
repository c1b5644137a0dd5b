use super::Refusal;

/// What came: headers with the bytes of their values, and the exact bytes of the body.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Names in any case.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// As it came, before anything decoded or parsed it.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The one value of a header. Two would leave open which of them was signed.
    pub(super) fn one(&self, name: &'static str) -> Result<&'a str, Refusal> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = values.next().ok_or(Refusal::Missing(name))?;
        if values.next().is_some() {
            return Err(Refusal::Twice(name));
        }
        std::str::from_utf8(value).map_err(|_| Refusal::Malformed(name))
    }
}

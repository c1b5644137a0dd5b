//! A mail as signatures see it: fields in their order, and a body.

use std::collections::HashMap;

use mail_auth::dkim::Canonicalization;

/// Name and value of a field, the line end with the value.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

/// A mail come apart.
pub(crate) struct Mail<'a> {
    fields: Vec<Field<'a>>,
    pub(crate) body: &'a [u8],
}

impl<'a> Mail<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        let mut fields: Vec<(usize, usize, usize)> = Vec::new();
        let (mut start, mut within_a_field) = (0, false);
        while start < data.len() {
            let end = data[start..].iter().position(|byte| *byte == b'\n').map_or(data.len(), |at| start + at + 1);
            let line = &data[start..end];
            if matches!(line, b"\r\n" | b"\n") {
                start = end;
                break;
            }
            match (line[0], line.iter().position(|byte| *byte == b':')) {
                // Folded: it belongs to the field before.
                (b' ' | b'\t', _) if within_a_field => fields.last_mut().into_iter().for_each(|field| field.2 = end),
                // No field at all, or what goes on with it: nobody can sign it.
                (b' ' | b'\t', _) | (_, None) => within_a_field = false,
                (_, Some(colon)) => {
                    fields.push((start, start + colon, end));
                    within_a_field = true;
                }
            }
            start = end;
        }
        let fields = fields.into_iter().map(|(name, colon, end)| (&data[name..colon], &data[colon + 1..end])).collect();
        Mail { fields, body: &data[start..] }
    }

    /// The fields of this name, from the top.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = Field<'a>> {
        self.fields.iter().copied().filter(move |(known, _)| known.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The fields that a list of names signs (RFC 6376, section 5.4.2): each name takes the lowest that is left of it, and
    /// one that has none left takes nothing.
    pub(crate) fn signed<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<Field<'a>> {
        let lower = |name: &[u8]| name.trim_ascii().to_ascii_lowercase();
        let mut left: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        for (index, (name, _)) in self.fields.iter().enumerate() {
            left.entry(lower(name)).or_default().push(index);
        }
        let take = |name: &str| left.get_mut(&lower(name.as_bytes()))?.pop();
        names.into_iter().filter_map(take).map(|index| self.fields[index]).collect()
    }
}

/// What is signed: fields in the order in which they are listed, and behind them the signature's own, without its value.
pub(crate) fn canonical<'a>(form: Canonicalization, fields: impl IntoIterator<Item = Field<'a>>) -> Vec<u8> {
    let mut text = Vec::with_capacity(1024);
    form.canonicalize_headers(fields.into_iter(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_takes_fields_from_the_bottom() {
        let mail = Mail::new(b"A: 1\r\nB: 2\r\na : 3\r\n\tmore\r\n\r\nA: body\r\n");
        let taken = |names: &[&str]| -> Vec<String> {
            let fields = mail.signed(names.iter().copied());
            fields.iter().map(|(_, value)| String::from_utf8_lossy(value.trim_ascii()).into_owned()).collect()
        };
        assert_eq!(taken(&["a", "b", "A", "a", "c"]), ["3\r\n\tmore", "2", "1"]);
        assert_eq!(mail.named("A").count(), 2);
        assert_eq!(mail.body, b"A: body\r\n");
        let odd = Mail::new(b" folded\r\nA: 1\r\nno colon\r\n folded\r\nB: 2\r\n\r\n");
        let values: Vec<&[u8]> = odd.signed(["a", "b"]).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [b" 1\r\n", b" 2\r\n"]);
        for data in [&b""[..], b"\r\n", b"no colon", b": \r\n\r\n", b"A: 1"] {
            Mail::new(data).signed(["a"]);
        }
    }
}

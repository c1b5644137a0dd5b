//! Fields like headers: `Name: value`, folded, in groups between empty lines.

use crate::cut;
use mail_parser::DateTime;
use serde::Serialize;
use waybill_types::Timestamp;

/// Groups that are read: one about the message, and one for each recipient.
const MAX_GROUPS: usize = 1001;
/// Fields of one group.
const MAX_FIELDS: usize = 64;
/// Bytes of one value.
const MAX_VALUE: usize = 2048;

/// A mail server, as a report names it: `dns; mx.example.com`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mta {
    /// How to read the name; nearly always `dns`.
    pub mta_type: String,
    /// Its name.
    pub name: String,
}

/// One group of fields, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a field that is not empty.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.first(name).map(str::to_owned)
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| value.clone()).collect()
    }

    /// `type; rest`. What has no type is all rest.
    pub(crate) fn typed(&self, name: &str) -> Option<(String, String)> {
        let value = self.first(name)?;
        Some(match value.split_once(';') {
            Some((kind, rest)) => (kind.trim().to_ascii_lowercase(), rest.trim().to_owned()),
            None => (String::new(), value.to_owned()),
        })
    }

    pub(crate) fn mta(&self, name: &str) -> Option<Mta> {
        self.typed(name).map(|(mta_type, name)| Mta { mta_type, name })
    }

    /// A date as mail writes it. One that no calendar has is none.
    pub(crate) fn date(&self, name: &str) -> Option<Timestamp> {
        let date = DateTime::parse_rfc822(self.first(name)?).filter(DateTime::is_valid)?;
        Some(Timestamp::from_secs(date.to_timestamp()))
    }

    /// Every field whose name is none of these: names in lower case, in order, with all their values.
    pub(crate) fn others(&self, known: &[&str]) -> Vec<(&str, Vec<&str>)> {
        let mut others: Vec<(&str, Vec<&str>)> = Vec::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            match others.iter_mut().find(|(own, _)| own == name) {
                Some((_, values)) => values.push(value),
                None => others.push((name, vec![value])),
            }
        }
        others
    }
}

/// Reads groups of fields. Lines that are none are skipped.
pub(crate) fn groups(bytes: &[u8]) -> Vec<Fields> {
    let mut groups = Vec::new();
    let mut group = Fields::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.trim().is_empty() {
            if group != Fields::default() {
                groups.push(std::mem::take(&mut group));
            }
            if groups.len() >= MAX_GROUPS {
                return groups;
            }
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.0.last_mut().filter(|(_, value)| value.len() < MAX_VALUE) {
                value.push(' ');
                value.push_str(cut(line.trim(), MAX_VALUE));
            }
        } else if let Some((name, value)) = line.split_once(':')
            && group.0.len() < MAX_FIELDS
        {
            let name = cut(name.trim(), MAX_VALUE).to_ascii_lowercase();
            group.0.push((name, cut(value.trim(), MAX_VALUE).to_owned()));
        }
    }
    if group != Fields::default() {
        groups.push(group);
    }
    groups
}

/// A moment as JSON shows it: RFC 3339.
pub(crate) fn as_rfc3339<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(Timestamp::to_rfc3339).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_unfolded_and_grouped() {
        let groups = groups(b"A: 1\r\n 2\r\n\t3\r\nnonsense\r\nb:x\r\n\r\n\r\nA:\r\na: y\n\n c\n");
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].first("a"), Some("1 2 3"));
        assert_eq!(groups[0].first("b"), Some("x"));
        assert_eq!((groups[1].first("a"), groups[1].all("a")), (Some("y"), vec![String::new(), "y".into()]));
    }

    #[test]
    fn a_line_that_continues_nothing_is_skipped() {
        assert_eq!(groups(b" a: 1\r\n\tb\r\n"), []);
    }

    #[test]
    fn what_a_sender_repeats_without_end_is_cut() {
        let many = "A: 1\r\n\r\n".repeat(5000);
        assert_eq!(groups(many.as_bytes()).len(), MAX_GROUPS);
        let many = "A: 1\r\n".repeat(5000);
        assert_eq!(groups(many.as_bytes())[0].0.len(), MAX_FIELDS);
        let long = format!("A: {}\r\n {}\r\n", "é".repeat(3000), "x".repeat(3000));
        assert!(groups(long.as_bytes())[0].first("a").unwrap().len() <= MAX_VALUE);
    }

    #[test]
    fn dates_are_those_of_mail() {
        let groups =
            groups(b"A: Thu, 7 Jul 1994 17:15:49 -0400\r\nB: yesterday\r\nC: Thu, 99 Jul 1994 17:15:49 -0400\r\n");
        assert_eq!(groups[0].date("a").unwrap().to_rfc3339(), "1994-07-07T21:15:49Z");
        assert_eq!((groups[0].date("b"), groups[0].date("c")), (None, None));
    }
}

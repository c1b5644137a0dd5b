use crate::field::is_name;
use std::fmt;

/// What a record must begin with to count at all.
const VERSION: &str = "v=STSv1;";

/// Which policy a domain has now: another id means another policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyId(Box<str>);

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the texts at `_mta-sts.DOMAIN` announce (RFC 8461 section 3.1). Texts about something else are passed over. `None`
/// where there is no record, more than one, or one that is not well-formed: the domain announces nothing then.
pub fn announced(texts: &[Vec<u8>]) -> Option<PolicyId> {
    let mut records = texts.iter().filter_map(|text| std::str::from_utf8(text).ok()?.strip_prefix(VERSION));
    let (first, second) = (records.next()?, records.next());
    if second.is_some() {
        return None;
    }
    let mut fields: Vec<&str> = first.split(';').map(|field| field.trim_matches([' ', '\t'])).collect();
    // A semicolon may stand behind the last one.
    if fields.len() > 1 && fields.last() == Some(&"") {
        fields.pop();
    }
    let mut id = None;
    for field in fields {
        let (name, value) = field.split_once('=')?;
        if !is_name(name) || value.is_empty() || !value.bytes().all(is_value) {
            return None;
        }
        // Of several the first counts.
        if name == "id" && id.is_none() {
            let sound = value.len() <= 32 && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
            id = Some(PolicyId(sound.then_some(value)?.into()));
        }
    }
    id
}

fn is_value(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'=' | b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(texts: &[&str]) -> Option<String> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        announced(&texts).map(|id| id.to_string())
    }

    #[test]
    fn the_one_record_gives_the_id() {
        for text in ["v=STSv1; id=a1", "v=STSv1;id=a1;", "v=STSv1; ext.x=y; id=a1 ;", "v=STSv1; id=a1; id=b2"] {
            assert_eq!(id(&[text]).as_deref(), Some("a1"), "{text}");
        }
        assert_eq!(id(&["something else", "v=STSv1; id=a1;", "v=STSv10; id=b;"]).as_deref(), Some("a1"));
    }

    #[test]
    fn none_several_or_a_broken_one_announce_nothing() {
        assert_eq!(id(&[]), None);
        assert_eq!(id(&["v=STSv1; id=a", "v=STSv1; id=a"]), None, "which of the two?");
        let long = format!("v=STSv1; id={}", "a".repeat(33));
        for text in [
            "v=STSv1",
            "v=STSv1;",
            "v=STSv1; id=",
            "v=STSv1; id=a-b",
            "v=STSv1; id",
            "v=STSv1; =a",
            "v=STSv1; id=a;; x=y",
            "v=STSv1; x=y=z; id=a",
            "V=STSv1; id=a",
            " v=STSv1; id=a",
            "v=STSv1; x=\u{fc}; id=a",
            long.as_str(),
        ] {
            assert_eq!(id(&[text]), None, "{text}");
        }
    }
}

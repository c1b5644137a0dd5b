use std::fmt;

/// A host, or all hosts one label below a name: `mx.example.com`, `*.example.com` (RFC 8461 section 4.1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pattern {
    /// Lower case, without a dot at the end.
    name: Box<str>,
    below: bool,
}

impl Pattern {
    /// Reads one. `None` where the text is no name: labels of letters, digits and hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let label = |label: &str| {
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(sound)
        };
        let sound = name.len() <= 253 && name.split('.').all(label);
        sound.then(|| Pattern { name: name.to_ascii_lowercase().into(), below })
    }

    /// Whether it means this host, with or without a dot at the end.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let name = match host.split_once('.') {
            Some((label, rest)) if self.below && !label.is_empty() => rest,
            _ if self.below => return false,
            _ => host,
        };
        name.eq_ignore_ascii_case(&self.name)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.below {
            f.write_str("*.")?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let below = Pattern::parse("*.Example.com").unwrap();
        for (host, matches) in [
            ("mx.example.com", true),
            ("MX.EXAMPLE.COM.", true),
            ("example.com", false),
            ("a.mx.example.com", false),
            (".example.com", false),
            ("mxexample.com", false),
        ] {
            assert_eq!(below.matches(host), matches, "{host}");
        }
        let one = Pattern::parse("mx.example.com").unwrap();
        assert!(one.matches("Mx.example.com.") && !one.matches("a.mx.example.com") && !one.matches("example.com"));
    }

    #[test]
    fn what_is_no_name_is_no_pattern() {
        for text in ["", "*", "*.", "*.*.example", "a.*.example", "mx*.example", "a..b", "a b", "m\u{fc}.example", "a."]
        {
            assert_eq!(Pattern::parse(text), None, "{text}");
        }
        assert_eq!(Pattern::parse("*.Mx.example").unwrap().to_string(), "*.mx.example");
    }
}

use crate::QueueName;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// What is behind the URL in the name of a queue whose mail goes to another node.
const SUFFIX: &str = ".xfer.kumomta.internal";
/// Longer than any that is meant.
const LONGEST: usize = 1024;

/// The URL of another node's HTTP listener: `http://node2.example:8000`.
///
/// It is part of a queue's name ([`NodeUrl::queue`]), so it holds nothing that means something there: no user, no
/// query, no fragment, and of punctuation only what host, port and path need. Without a slash at its end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeUrl(Arc<str>);

/// The text is no URL of a node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is no URL of a node: {why}; expected one such as http://node2.example:8000")]
pub struct NodeUrlError {
    text: String,
    why: &'static str,
}

impl NodeUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NodeUrlError> {
        let wrong = |why| NodeUrlError { text: text.chars().take(LONGEST).collect(), why };
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        if text.contains('@') {
            // Not repeated: it may be a password.
            let text = "(user@host)".to_owned();
            return Err(NodeUrlError { text, why: "it holds a user or a password, which a queue's name would show" });
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(wrong("its scheme is neither http nor https"));
        }
        let rest = rest.trim_end_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_' | '~');
        if !path.chars().all(plain) {
            return Err(wrong("its path holds more than letters, digits, / - . _ and ~"));
        }
        check_authority(authority).map_err(wrong)?;
        Ok(NodeUrl(format!("{scheme}://{}{path}", authority.to_ascii_lowercase()).into()))
    }

    /// The node that mail of this queue goes to, when it is one that an order of the operator made.
    pub fn of_queue(queue: &QueueName) -> Option<Self> {
        let url = NodeUrl::parse(queue.as_str().strip_suffix(SUFFIX)?).ok()?;
        // Anything else by this ending is a domain of somebody who likes it.
        (url.queue() == *queue).then_some(url)
    }

    /// The queue whose mail goes there: `URL.xfer.kumomta.internal`.
    pub fn queue(&self) -> QueueName {
        QueueName::new(format!("{}{SUFFIX}", self.0))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host and port, as they stand in it.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("its address has no ]")?;
            host.parse::<Ipv6Addr>().map_err(|_| "what is between [ and ] is no IPv6 address")?;
            (host, port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if !host.chars().all(fits) {
                return Err("its host holds more than letters, digits, - . and _");
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.parse::<u16>().is_ok_and(|port| port != 0) && !digits.starts_with('+') => Ok(()),
        _ => Err("its port is no number from 1 to 65535"),
    }
}

impl fmt::Display for NodeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_known_by_the_name_of_its_queue_and_the_other_way_round() {
        for (text, url) in [
            ("http://n2.example:8000", "http://n2.example:8000"),
            ("HTTPS://N2.example/", "https://n2.example"),
            ("http://[2001:db8::1]:8000", "http://[2001:db8::1]:8000"),
            ("http://127.0.0.1/mail/b", "http://127.0.0.1/mail/b"),
        ] {
            let node = NodeUrl::parse(text).unwrap();
            assert_eq!(node.as_str(), url);
            let queue = node.queue();
            assert_eq!(queue.as_str(), format!("{url}.xfer.kumomta.internal"));
            assert_eq!(queue.parts().domain, queue.as_str(), "nothing of it is a tenant or a routing domain");
            assert_eq!(NodeUrl::of_queue(&queue), Some(node));
        }
        assert_eq!(NodeUrl::parse("http://n2:8000/x").unwrap().authority(), "n2:8000");
    }

    #[test]
    fn what_is_no_url_of_a_node_is_refused_with_the_reason() {
        for (text, why) in [
            ("n2:8000", "no scheme"),
            ("ftp://n2", "neither http nor https"),
            ("http://", "no host"),
            ("http://:8000", "no host"),
            ("http://u:p@n2", "a user or a password"),
            ("http://n2!r", "its host holds"),
            ("http://n2:0", "its port"),
            ("http://n2:+80", "its port"),
            ("http://n2:", "its port"),
            ("http://[::1", "no ]"),
            ("http://[n2]", "no IPv6 address"),
            ("http://n2/a?b", "its path"),
            ("http://n2/a b", "its path"),
        ] {
            let error = NodeUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("u:p"), "{error}");
        }
        assert!(NodeUrl::parse(&format!("http://n2/{}", "a".repeat(LONGEST))).is_err());
    }

    #[test]
    fn a_queue_of_another_name_leads_to_no_node() {
        for name in [
            "a.example",
            "t@http://n2.xfer.kumomta.internal",
            "x.xfer.kumomta.internal",
            "HTTP://n2.xfer.kumomta.internal",
        ] {
            assert_eq!(NodeUrl::of_queue(&QueueName::new(name)), None, "{name}");
        }
    }
}

use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use url::Url;

/// Plain or over TLS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// Who is called.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    /// A name: lower-case ASCII without the dot at the end.
    Name(String),
    /// An address, however it was spelled.
    Address(IpAddr),
}

/// A URL that can be called: `http` or `https`, with a host, without a user, a password or a fragment. `Debug` shows no
/// path.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Target {
    scheme: Scheme,
    host: Host,
    port: u16,
    path: String,
    bracketed: String,
}

/// This is no URL that can be called. The URL is not repeated: it may hold a token.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// No URL at all.
    #[error("is no URL: {0}")]
    Form(String),
    /// Longer than anybody needs.
    #[error("has {0} characters, at most {LONGEST} are taken")]
    TooLong(usize),
    /// White space, a control character or a backslash, which parsers read differently.
    #[error("holds {0:?}, which must be percent-encoded")]
    Character(char),
    /// Neither http nor https.
    #[error("has the scheme {0:?}, only http and https can be called")]
    Scheme(String),
    /// `user:password@`.
    #[error("holds a user or password; give them as \"auth\", where they are kept secret")]
    Userinfo,
    /// `#...`.
    #[error("holds a fragment (#), which is never sent to a server")]
    Fragment,
}

const LONGEST: usize = 8192;

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it cannot be called, or different parsers would read it differently.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > LONGEST {
            return Err(TargetError::TooLong(text.len()));
        }
        if let Some(wrong) = text.chars().find(|c| c.is_control() || c.is_whitespace() || *c == '\\') {
            return Err(TargetError::Character(wrong));
        }
        let url = Url::parse(text).map_err(|error| TargetError::Form(error.to_string()))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() || userinfo(text) {
            return Err(TargetError::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => Host::Name(name.trim_end_matches('.').to_ascii_lowercase()),
            Some(url::Host::Ipv4(address)) => Host::Address(address.into()),
            Some(url::Host::Ipv6(address)) => Host::Address(address.into()),
            None => return Err(TargetError::Form("it names no host".to_owned())),
        };
        if host == Host::Name(String::new()) {
            return Err(TargetError::Form("it names no host".to_owned()));
        }
        let port = url.port_or_known_default().unwrap_or(if scheme == Scheme::Https { 443 } else { 80 });
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let bracketed = match &host {
            Host::Name(name) => name.clone(),
            Host::Address(IpAddr::V4(address)) => address.to_string(),
            Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        };
        Ok(Target { scheme, host, port, path, bracketed })
    }

    /// Plain or over TLS.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Who is called.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path and query as they are sent; at least `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name, where it is one.
    pub fn name(&self) -> Option<&str> {
        match &self.host {
            Host::Name(name) => Some(name),
            Host::Address(_) => None,
        }
    }

    /// The host as it stands in a URL: an IPv6 address has brackets.
    pub fn bracketed(&self) -> &str {
        &self.bracketed
    }

    /// What the header `Host` carries: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => self.bracketed.clone(),
            (_, port) => format!("{}:{port}", self.bracketed),
        }
    }

    /// Whether it means this machine without asking anybody (RFC 6761, section 6.3).
    pub fn is_localhost(&self) -> bool {
        self.name().is_some_and(|name| name == "localhost" || name.ends_with(".localhost"))
    }
}

/// Whether the authority of the text holds an `@`: a URL parser drops an empty user without a word.
fn userinfo(text: &str) -> bool {
    let behind = text.split_once("://").map_or(text, |(_, behind)| behind);
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

impl TryFrom<String> for Target {
    type Error = TargetError;
    fn try_from(text: String) -> Result<Self, TargetError> {
        Target::parse(&text)
    }
}

/// Scheme, host and port: never path or query, which may hold a token.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.scheme == Scheme::Https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn ssrf_3_an_address_is_one_however_it_is_spelled() {
        for text in [
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
            "HTTP://127.0.0.1/",
        ] {
            assert_eq!(*target(text).host(), Host::Address("127.0.0.1".parse().unwrap()), "{text}");
        }
        assert_eq!(*target("http://[::ffff:7f00:1]/").host(), Host::Address("::ffff:127.0.0.1".parse().unwrap()));
        assert_eq!(*target("http://LocalHost./").host(), Host::Name("localhost".into()));
        assert!(target("http://a.localhost/").is_localhost());
        assert!(!target("http://notlocalhost/").is_localhost());
    }

    #[test]
    fn ssrf_3_what_parsers_read_differently_is_refused() {
        for (text, why) in [
            ("http://user@127.0.0.1/", TargetError::Userinfo),
            ("http://user:secret@good.example/", TargetError::Userinfo),
            ("http://@127.0.0.1/", TargetError::Userinfo),
            ("http://good.example#@127.0.0.1/", TargetError::Fragment),
            ("http://good.example\\@127.0.0.1/", TargetError::Character('\\')),
            ("http://good.example/\r\nX-Evil: 1", TargetError::Character('\r')),
            ("http://good.example/a b", TargetError::Character(' ')),
            (" http://good.example/", TargetError::Character(' ')),
            ("http://good.example/\0", TargetError::Character('\0')),
            ("file:///etc/passwd", TargetError::Scheme("file".into())),
            ("gopher://good.example/", TargetError::Scheme("gopher".into())),
            ("unix:/run/docker.sock", TargetError::Scheme("unix".into())),
        ] {
            assert_eq!(Target::parse(text), Err(why), "{text:?}");
        }
        for text in
            ["", "good.example", "http://", "http://[fe80::1%25eth0]/", "http://a..b:99999/", "http://.", "http:///"]
        {
            assert!(Target::parse(text).is_err(), "{text:?}");
        }
        assert!(matches!(Target::parse(&format!("http://a/{}", "a".repeat(9000))), Err(TargetError::TooLong(_))));
    }

    #[test]
    fn a_refusal_never_repeats_a_password() {
        let error = Target::parse("http://user:hunter2@good.example/").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn what_is_sent_is_cut_out_of_it() {
        let plain = target("https://Hooks.Example:443/a/../b?x=1&y=%20");
        assert_eq!((plain.path(), plain.port()), ("/b?x=1&y=%20", 443));
        assert_eq!(plain.authority(), "hooks.example");
        assert_eq!(target("http://[2606:4700::1]:8080").authority(), "[2606:4700::1]:8080");
        assert_eq!(target("http://bücher.example").authority(), "xn--bcher-kva.example");
        let secret = target("https://hooks.example/services/x?token=x");
        assert_eq!(
            (secret.to_string(), format!("{secret:?}")),
            ("https://hooks.example".into(), "Target(https://hooks.example)".into())
        );
    }
}

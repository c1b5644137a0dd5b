use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::str::FromStr;

/// Where a daemon's HTTP listener is: `http://[user:password@]host[:port]`, or `https://`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    host: String,
    port: u16,
    secure: bool,
    authorization: Option<String>,
    text: String,
}

/// A text is no endpoint that this command can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("endpoint {text:?}: {why}; expected http://HOST:PORT or https://HOST:PORT")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// `host:port`, to connect to and for the Host header.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The name that its certificate has to carry, where TLS is spoken: an IPv6 address without its brackets.
    pub(crate) fn tls_name(&self) -> Option<&str> {
        self.secure.then(|| self.host.trim_matches(['[', ']']))
    }

    /// The value of the Authorization header, where the endpoint names a user.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |why| EndpointError { text: text.to_owned(), why };
        let (scheme, default_port, secure) =
            if text.starts_with("https://") { ("https://", 443, true) } else { ("http://", 80, false) };
        let rest = text.strip_prefix(scheme).ok_or_else(|| wrong("it begins with neither http:// nor https://"))?;
        let rest = rest.trim_end_matches('/');
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("it has a path"));
        }
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, rest),
        };
        // An IPv6 address stands in brackets, and has colons of its own.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| wrong("the port is no number below 65536"))?)
            }
            _ => (authority, default_port),
        };
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let authorization = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
        let shown = format!("{scheme}{host}:{port}");
        Ok(Endpoint { host: host.to_owned(), port, secure, authorization, text: shown })
    }
}

impl std::fmt::Display for Endpoint {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_shown_without_a_password() {
        for (text, authority) in [
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://mta.example/", "mta.example:80"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("http://[::1]", "[::1]:80"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.authority().as_str(), endpoint.authorization()), (authority, None));
        }
        for (text, authority, name) in
            [("https://mta.example/", "mta.example:443", "mta.example"), ("https://[::1]:8443", "[::1]:8443", "::1")]
        {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.authority().as_str(), endpoint.tls_name()), (authority, Some(name)));
            assert!(endpoint.to_string().starts_with("https://"), "{endpoint}");
        }
        let endpoint: Endpoint = "http://joe:a@b@127.0.0.1:8000".parse().unwrap();
        assert_eq!(endpoint.authorization(), Some("Basic am9lOmFAYg=="));
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:8000");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, why) in [
            ("127.0.0.1:8000", "http://"),
            ("http://", "no host"),
            ("http://x:99999", "port"),
            ("http://x/api", "path"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(
                error.contains(why) && error.ends_with("expected http://HOST:PORT or https://HOST:PORT"),
                "{error}"
            );
        }
    }
}

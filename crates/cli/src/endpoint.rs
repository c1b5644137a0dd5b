use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::str::FromStr;

/// Where a daemon's HTTP listener is: `http://[user:password@]host[:port]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    host: String,
    port: u16,
    authorization: Option<String>,
    text: String,
}

/// A text is no endpoint that this command can use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("endpoint {text:?}: {why}; expected http://HOST:PORT")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Endpoint {
    /// `host:port`, to connect to and for the Host header.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
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
        if text.starts_with("https://") {
            return Err(wrong("this command does not speak TLS yet; use the admin socket, or a listener on loopback"));
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| wrong("it does not begin with http://"))?;
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
            _ => (authority, 80),
        };
        if host.is_empty() {
            return Err(wrong("there is no host"));
        }
        let authorization = user.map(|user| format!("Basic {}", STANDARD.encode(user)));
        let shown = format!("http://{host}:{port}");
        Ok(Endpoint { host: host.to_owned(), port, authorization, text: shown })
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
        let endpoint: Endpoint = "http://joe:a@b@127.0.0.1:8000".parse().unwrap();
        assert_eq!(endpoint.authorization(), Some("Basic am9lOmFAYg=="));
        assert_eq!(endpoint.to_string(), "http://127.0.0.1:8000");
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, why) in [
            ("https://x", "TLS"),
            ("127.0.0.1:8000", "http://"),
            ("http://", "no host"),
            ("http://x:99999", "port"),
            ("http://x/api", "path"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(why) && error.ends_with("expected http://HOST:PORT"), "{error}");
        }
    }
}

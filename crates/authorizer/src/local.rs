//! Whether a request of a loopback peer was also meant for this machine: a page in the operator's browser (DNS rebinding, a
//! form on another site) and a proxy betray themselves by what they send along.

use http::{HeaderMap, Uri, header};
use std::net::IpAddr;

/// Headers by which a proxy gives itself away: behind one, a loopback peer may be anybody. Those that begin with
/// `x-forwarded` are looked for by their beginning.
const FORWARDING: [&str; 15] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-url",
    "x-proxyuser-ip",
    "x-envoy-external-address",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "proxy-connection",
];
const FORWARDED: &str = "x-forwarded";

/// Host, target and Origin are loopback, no proxy has had it, and no browser says that another site had it sent.
pub(crate) fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host_is_local = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback_authority),
        _ => false,
    };
    let target_is_local = uri.authority().is_none_or(|authority| is_loopback_authority(authority.as_str()));
    let origin_is_local = headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(is_loopback_authority)
    });
    // An image or a link on another site sends a GET without Origin; browsers tell it here.
    let other_site = headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes() == b"cross-site");
    let forwarded = headers.keys().any(|name| {
        let name = name.as_str();
        FORWARDING.contains(&name) || name.starts_with(FORWARDED)
    });
    host_is_local && target_is_local && origin_is_local && !other_site && !forwarded
}

/// `localhost`, `127.x.y.z` or `[::1]`, with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) => (host, port),
            None => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port_ok = port.is_empty() || port.strip_prefix(':').is_some_and(digits);
    port_ok
        && (host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn only_loopback_names_are_local() {
        for text in ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:8000"] {
            assert!(is_loopback_authority(text), "{text}");
        }
        for text in [
            "",
            "localhost.evil.example",
            "evil.example:8000",
            "127.0.0.1@evil.example",
            "[::1",
            "[::1]x",
            "0.0.0.0",
            "2130706433",
            "::1",
            "localhost:80:80",
        ] {
            assert!(!is_loopback_authority(text), "{text}");
        }
    }

    #[test]
    fn a_browser_or_a_proxy_gives_itself_away() {
        let local = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_local(&Uri::from_static("/api/hooks/v1"), &map)
        };
        assert!(local(&[("host", "127.0.0.1:8000")]));
        assert!(local(&[
            ("host", "localhost"),
            ("origin", "http://localhost:8000"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(local(&[("host", "localhost"), ("sec-fetch-site", "none")]), "typed by the operator");
        for headers in [
            &[][..],
            &[("host", "rebound.example:8000")],
            &[("host", "127.0.0.1"), ("host", "evil.example")],
            &[("host", "127.0.0.1"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1"), ("origin", "null")],
            &[("host", "127.0.0.1"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!local(headers), "{headers:?}");
        }
        for name in FORWARDING.into_iter().chain(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-anything"]) {
            assert!(!local(&[("host", "127.0.0.1"), (name, "")]), "{name}");
        }
        assert!(!is_local(
            &Uri::from_static("http://evil.example/"),
            &HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))])
        ));
    }
}

//! Which routes are open to whom (contract/kumomta.md section 7.1, ARCHITECTURE.md section 8).

use crate::api::Clock;
use crate::auth::{AuthInfo, Authenticator};
use crate::body;
use crate::connection::{Connection, Peer};
use crate::reply::Refusal;
use crate::rights::Rights;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;

/// Who may use a route, as far as neither the operator's `get_acl_definition` nor KumoMTA's own list says otherwise
/// (`acl.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Access {
    /// Anybody: liveness.
    Anyone,
    /// Trusted hosts, and whoever authenticates: injection.
    Inject,
    /// Trusted hosts only; credentials do not help: KumoMTA's administration and metrics.
    Trusted,
    /// The admin socket, and a client on this machine that is plainly no browser of somebody else's page and no proxy.
    /// `trusted_hosts` does not open it: it is for what KumoMTA has not. Tokens will open it too.
    Control,
    /// The router asks who somebody is itself, and answers in its own way: klev's API. Handlers find no [`AuthInfo`],
    /// only `Extension<Connection>`.
    Itself,
}

/// Headers by which a proxy gives itself away: behind one, a loopback peer may be anybody.
const FORWARDING: [&str; 7] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-server", "x-real-ip"];

/// What the guard of one router needs.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) access: Access,
    pub(crate) trusted: Arc<[IpNet]>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) rights: Arc<Rights>,
    pub(crate) clock: Clock,
}

/// Lets a request through with an [`AuthInfo`], or answers it.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let refusal = match guard.check(&head).await {
        Ok(who) => {
            head.extensions.insert(Arc::new(who));
            return next.run(Request::from_parts(head, body)).await;
        }
        Err(refusal) => refusal,
    };
    body::discard(&head.headers, body).await;
    let unauthorized = refusal.status == StatusCode::UNAUTHORIZED;
    let mut response = refusal.into_response();
    if unauthorized {
        let challenge = HeaderValue::from_static("Basic realm=\"waybill\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

impl Guard {
    async fn check(&self, request: &Parts) -> Result<AuthInfo, Refusal> {
        let connection = request.extensions.get::<Connection>();
        let who = self.authenticator.authenticate(connection, &self.trusted, &request.headers).await?;
        let allowed = match (self.access, who.peer) {
            // The operator.
            (_, Peer::Admin) => true,
            (Access::Control, Peer::Ip(address)) => address.is_loopback() && is_local(&request.uri, &request.headers),
            (access, Peer::Ip(_)) => {
                let via = connection.map_or("?", |connection| &*connection.via);
                let (path, method, now) = (request.uri.path(), &request.method, (self.clock)());
                self.rights.allow(&who, via, path, method, access, now).await?
            }
        };
        if allowed { Ok(who) } else { Err(not_permitted(self.access, &who, connection, request)) }
    }
}

/// 401 that ends as KumoMTA's does, with the reason in front.
fn not_permitted(access: Access, who: &AuthInfo, connection: Option<&Connection>, request: &Parts) -> Refusal {
    let via = connection.map_or("?", |connection| &*connection.via);
    let name: String = who.name().chars().filter(|c| !c.is_control()).take(256).collect();
    let why = match access {
        Access::Control => "only for this machine: use `waybill hooks` or the admin socket there",
        Access::Anyone | Access::Inject | Access::Trusted | Access::Itself => "not in trusted_hosts",
    };
    let text = format!("{name} ({why}) not permitted {} on http_listener/{via}{}", request.method, request.uri.path());
    Refusal::new(StatusCode::UNAUTHORIZED, text)
}

/// Whether a request of a loopback peer was also meant for this machine: a page in the operator's browser (DNS
/// rebinding, a form on another site) and a proxy betray themselves by Host, Origin or a forwarding header.
pub fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
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
    let forwarded = FORWARDING.iter().any(|name| headers.contains_key(HeaderName::from_static(name)));
    host_is_local && target_is_local && origin_is_local && !forwarded
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
        assert!(local(&[("host", "localhost"), ("origin", "http://localhost:8000")]));
        for headers in [
            &[][..],
            &[("host", "rebound.example:8000")],
            &[("host", "127.0.0.1"), ("host", "evil.example")],
            &[("host", "127.0.0.1"), ("origin", "http://evil.example")],
            &[("host", "127.0.0.1"), ("origin", "null")],
            &[("host", "127.0.0.1"), ("x-forwarded-for", "192.0.2.1")],
            &[("host", "127.0.0.1"), ("via", "1.1 proxy")],
        ] {
            assert!(!local(headers), "{headers:?}");
        }
        assert!(!is_local(
            &Uri::from_static("http://evil.example/"),
            &HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))])
        ));
    }
}

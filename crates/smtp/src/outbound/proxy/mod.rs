//! The way to a server through a proxy, where the egress source has one.

mod haproxy;
mod socks5;

use super::failure::{ProxyTrouble, Refusal};
use super::secret::Secret;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use waybill_delivery::SourceFacts;
use waybill_queue_core::config::EgressSource;
use waybill_types::format_duration;

/// A proxy, checked and ready to be used.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    server: SocketAddr,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Is told in a header (PROXY protocol, version 2) from where to connect and whereto.
    HaProxy { source: IpAddr },
    /// RFC 1928.
    Socks5 { source: Option<IpAddr>, login: Option<Login> },
}

/// RFC 1929.
#[derive(Clone, Debug)]
struct Login {
    user: String,
    password: Secret,
}

impl Proxy {
    /// The proxy of a source, if it has one.
    ///
    /// # Errors
    /// A sentence that begins with the option.
    pub(super) fn of(source: &EgressSource) -> Result<Option<Self>, String> {
        match (source.ha_proxy_server, source.socks5_proxy_server) {
            (Some(_), Some(_)) => {
                Err("ha_proxy_server and socks5_proxy_server: a source goes through one proxy, not two".into())
            }
            (Some(server), None) => {
                // The proxy could not say whom it speaks for, and mail would leave from who knows where.
                let source = source
                    .ha_proxy_source_address
                    .ok_or("ha_proxy_server needs ha_proxy_source_address, the address that the proxy connects from")?;
                Ok(Some(Proxy { server, kind: Kind::HaProxy { source } }))
            }
            (None, Some(server)) => {
                let login = login(source)?;
                Ok(Some(Proxy { server, kind: Kind::Socks5 { source: source.socks5_proxy_source_address, login } }))
            }
            (None, None) => Ok(None),
        }
    }

    /// The address that the proxy connects from, where policy says.
    pub(super) fn source(&self) -> Option<IpAddr> {
        match &self.kind {
            Kind::HaProxy { source } => Some(*source),
            Kind::Socks5 { source, .. } => *source,
        }
    }

    /// Where it listens.
    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Has the proxy connect to a server, within the time that is `left` of a `limit`.
    pub(super) async fn connect_to(
        &self,
        stream: &mut TcpStream,
        target: SocketAddr,
        left: Duration,
        limit: Duration,
    ) -> Result<SourceFacts, Refusal> {
        let talk = async {
            match &self.kind {
                Kind::HaProxy { source } => haproxy::announce(stream, *source, target).await,
                Kind::Socks5 { source, login } => socks5::connect(stream, target, *source, login.as_ref()).await,
            }
        };
        let silent = || Said::Proxy(format!("no answer within {}", format_duration(limit)));
        let address = timeout(left, talk).await.unwrap_or_else(|_| Err(silent())).map_err(|said| match said {
            Said::Proxy(what) => Refusal::Proxy(ProxyTrouble { server: self.server, what }),
            Said::Target(what) => Refusal::beyond(self.server, &what),
        })?;
        let protocol = match self.kind {
            Kind::HaProxy { .. } => "haproxy",
            Kind::Socks5 { .. } => "socks5",
        };
        Ok(SourceFacts {
            address: address.to_string(),
            server: Some(self.server.to_string()),
            protocol: Some(protocol),
        })
    }
}

/// Why a proxy did not do as it was asked.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// It is at fault itself: no other server can be reached through it.
    Proxy(String),
    /// It could not reach the server.
    Target(String),
}

impl From<std::io::Error> for Said {
    fn from(error: std::io::Error) -> Self {
        Said::Proxy(error.to_string())
    }
}

fn login(source: &EgressSource) -> Result<Option<Login>, String> {
    match (&source.socks5_proxy_username, &source.socks5_proxy_password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => {
            let password = Secret::new(password.given()).map_err(|why| format!("socks5_proxy_password: {why}"))?;
            Ok(Some(Login { user: user.clone(), password }))
        }
        (Some(_), None) => Err("socks5_proxy_username: there is no socks5_proxy_password".into()),
        (None, Some(_)) => Err("socks5_proxy_password: there is no socks5_proxy_username".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn proxy(mut fields: Value) -> Result<Option<Proxy>, String> {
        fields["name"] = json!("s");
        Proxy::of(&serde_json::from_value(fields).unwrap())
    }

    #[test]
    fn a_source_has_one_proxy_or_none() {
        assert!(proxy(json!({})).unwrap().is_none());
        let ours = proxy(json!({"ha_proxy_server": "192.0.2.1:5000", "ha_proxy_source_address": "192.0.2.9"}));
        assert_eq!(ours.unwrap().unwrap().source(), "192.0.2.9".parse().ok());
        let ours = proxy(json!({"socks5_proxy_server": "[::1]:1080"})).unwrap().unwrap();
        assert_eq!((ours.source(), ours.server()), (None, "[::1]:1080".parse().unwrap()));
    }

    #[test]
    fn nonsense_names_its_option() {
        for (fields, why) in [
            (json!({"ha_proxy_server": "192.0.2.1:1"}), "ha_proxy_server needs ha_proxy_source_address"),
            (
                json!({"socks5_proxy_server": "192.0.2.1:1", "ha_proxy_server": "192.0.2.1:1"}),
                "ha_proxy_server and socks5_proxy_server: ",
            ),
            (json!({"socks5_proxy_server": "192.0.2.1:1", "socks5_proxy_username": "u"}), "socks5_proxy_username: "),
            (
                json!({"socks5_proxy_server": "192.0.2.1:1", "socks5_proxy_password": {"key_data": "p"}}),
                "socks5_proxy_password: there is no",
            ),
        ] {
            let error = proxy(fields).unwrap_err();
            assert!(error.starts_with(why), "{error}");
        }
    }
}

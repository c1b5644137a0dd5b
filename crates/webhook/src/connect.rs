//! Getting to a server: an open connection, or a new one to an address that was checked.

use crate::dial::dial;
use crate::endpoint::Road;
use crate::failure::{Failure, told};
use crate::guard::{Guard, addresses};
use crate::link::Link;
use crate::metered::Wire;
use crate::progress::{Peer, Progress};
use crate::proxy::open_way;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use waybill_dns::Resolver;
use waybill_runtime::Supervisor;
use waybill_webhook_core::{Blocked, Host, HttpVersion, Limits, Proxy, ProxyNames, Refused, Stage, Target, Trouble};

/// What connecting needs to know of the daemon.
pub(crate) struct Ground<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) guard: &'a Guard,
    pub(crate) resolver: &'a dyn Resolver,
    pub(crate) supervisor: &'a Supervisor,
    /// How a target that is refused is told.
    pub(crate) blocked: fn(Refused) -> Blocked,
}

impl Ground<'_> {
    /// An open connection whose addresses are still permitted.
    pub(crate) fn reuse(&self, road: &Road) -> Option<Link> {
        road.pool.take(|peer| self.permits(road, peer))
    }

    fn permits(&self, road: &Road, peer: Peer) -> bool {
        let target = peer.address.is_none_or(|address| self.guard.targets.check(road.target.name(), address).is_ok());
        let name = road.proxy.as_ref().and_then(|proxy| proxy.url.name());
        target && peer.proxy.is_none_or(|address| self.guard.proxies.check(name, address).is_ok())
    }

    /// A connection, and whether it was open already.
    pub(crate) async fn link(&self, road: &Road, progress: &Progress) -> Result<(Link, bool), Failure> {
        if let Some(link) = self.reuse(road) {
            return Ok((link, true));
        }
        // Where one connection takes all requests, the others wait for the one that opens it.
        let opening = if road.is_shared() { Some(road.opening.lock().await) } else { None };
        if let (Some(_), Some(link)) = (&opening, self.reuse(road)) {
            return Ok((link, true));
        }
        let link = self.open(road, progress).await?;
        road.saw(matches!(link, Link::Many(_)));
        if let Link::Many(many) = &link {
            road.pool.share(many);
        }
        Ok((link, false))
    }

    /// A new connection.
    pub(crate) async fn open(&self, road: &Road, progress: &Progress) -> Result<Link, Failure> {
        let (stream, peer) = match &road.proxy {
            Some(proxy) => self.through(proxy, &road.target, progress).await?,
            None => {
                let found = self.targets(&road.target, progress).await?;
                progress.enter(Stage::Connecting);
                let (stream, address) = dial(&found).await?;
                (stream, Peer { address: Some(address), proxy: None })
            }
        };
        progress.peer(peer);
        let (wire, http2): (Box<dyn Wire>, bool) = match &road.tls {
            None => (Box::new(stream), road.version == HttpVersion::Http2),
            Some((config, name)) => {
                progress.enter(Stage::Tls);
                let connector = TlsConnector::from(Arc::clone(config));
                let tls = connector.connect(name.clone(), stream).await;
                let tls = tls.map_err(|error| Trouble::Tls(told(&error)))?;
                let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                (Box::new(tls), http2 || road.version == HttpVersion::Http2)
            }
        };
        Link::open(wire, http2, peer, self.limits, self.supervisor).await
    }

    async fn targets(&self, target: &Target, progress: &Progress) -> Result<Vec<SocketAddr>, Failure> {
        progress.enter(Stage::Resolving);
        let blocked = |why| Failure::Blocked((self.blocked)(why));
        addresses(self.resolver, &self.guard.targets, target, self.limits.addresses, blocked).await
    }

    /// A way through a proxy. The target is checked as if there were none, unless the proxy was made responsible.
    async fn through(&self, proxy: &Proxy, target: &Target, progress: &Progress) -> Result<(TcpStream, Peer), Failure> {
        let ways: Vec<(String, Option<SocketAddr>)> = match (proxy.names, target.host()) {
            (ProxyNames::Proxy, Host::Name(name)) if !target.is_localhost() => {
                vec![(format!("{name}:{}", target.port()), None)]
            }
            _ => {
                let found = self.targets(target, progress).await?;
                found.into_iter().map(|address| (address.to_string(), Some(address))).collect()
            }
        };
        progress.enter(Stage::Resolving);
        let blocked = |why| Failure::Blocked(Blocked::Proxy(why));
        let proxies = addresses(self.resolver, &self.guard.proxies, &proxy.url, self.limits.addresses, blocked).await?;
        progress.enter(Stage::Connecting);
        let mut last = Failure::Trouble(Trouble::Proxy("there is nothing to ask it for".to_owned()));
        for (authority, address) in ways {
            let (mut stream, at) = dial(&proxies).await.map_err(|error| Trouble::Proxy(error.to_string()))?;
            progress.peer(Peer { address, proxy: Some(at) });
            match open_way(proxy, &mut stream, &authority).await {
                Ok(()) => return Ok((stream, Peer { address, proxy: Some(at) })),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

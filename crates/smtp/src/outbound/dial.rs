//! From nothing to a stream: straight, or through a proxy.

use super::failure::{ProxyTrouble, Refusal, Step, Trouble};
use super::settings::Settings;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use waybill_delivery::SourceFacts;
use waybill_types::format_duration;

/// Connects to a server. Gives the stream, and where records say that it comes from.
pub(super) async fn dial(target: SocketAddr, settings: &Settings) -> Result<(TcpStream, SourceFacts), Refusal> {
    let limit = settings.path.connect_timeout;
    let Some(proxy) = &settings.proxy else {
        let stream = open(target, settings, limit).await.map_err(|failed| match failed {
            Failed::Bind(error) => unplumbed(settings, error),
            Failed::Connect(error) => Trouble::new(Step::Connect, error).into(),
            Failed::Late => Trouble::silent(Step::Connect, limit).into(),
        })?;
        let address = stream.local_addr().map_err(|error| Trouble::new(Step::Connect, error))?;
        return Ok((stream, SourceFacts { address: address.to_string(), ..SourceFacts::default() }));
    };
    let begun = Instant::now();
    let trouble = |what: String| Refusal::Proxy(ProxyTrouble { server: proxy.server(), what });
    let mut stream = open(proxy.server(), settings, limit).await.map_err(|failed| match failed {
        Failed::Bind(error) => unplumbed(settings, error),
        Failed::Connect(error) => trouble(error.to_string()),
        Failed::Late => trouble(format!("no answer within {}", format_duration(limit))),
    })?;
    // One limit for both steps: a proxy gives nobody more patience than the path has.
    let facts = proxy.connect_to(&mut stream, target, limit.saturating_sub(begun.elapsed()), limit).await?;
    Ok((stream, facts))
}

enum Failed {
    /// The source address cannot be used.
    Bind(io::Error),
    Connect(io::Error),
    Late,
}

async fn open(target: SocketAddr, settings: &Settings, limit: Duration) -> Result<TcpStream, Failed> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(Failed::Connect)?;
    if let Some(source) = settings.source {
        socket.bind(SocketAddr::new(source, 0)).map_err(Failed::Bind)?;
    }
    let stream = timeout(limit, socket.connect(target)).await.map_err(|_| Failed::Late)?.map_err(Failed::Connect)?;
    // Commands are small, and their answers are waited for.
    stream.set_nodelay(true).map_err(Failed::Connect)?;
    Ok(stream)
}

fn unplumbed(settings: &Settings, error: io::Error) -> Refusal {
    let source = settings.source.map(|source| source.to_string()).unwrap_or_default();
    let trouble = Trouble::new(Step::Connect, format_args!("from {source}: {error}"));
    if error.kind() == io::ErrorKind::AddrNotAvailable { Refusal::Unplumbed(trouble) } else { trouble.into() }
}

use super::{Ends, Shared, serve};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// The first wait after `accept` failed, mostly for want of file descriptors; doubled each time.
const BACKOFF: Duration = Duration::from_millis(10);
/// The longest wait.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Serves a listener that the caller has bound, until `shutdown` is done; then says goodbye and waits for sessions in
/// DATA, no longer than [`Shared::shutdown_grace`]. All sessions are joined when it returns.
///
/// Dropping the future ends all sessions at once.
pub async fn run(listener: TcpListener, shared: Arc<Shared>, shutdown: impl Future<Output = ()>) {
    let (stop, stopping) = watch::channel(false);
    let mut sessions = JoinSet::new();
    let mut backoff = BACKOFF;
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(ended) = sessions.join_next() => {
                report(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                backoff = BACKOFF;
                let Ok(via) = stream.local_addr() else { continue };
                if sessions.len() >= shared.config.max_connections {
                    turn_away(stream, &shared);
                    continue;
                }
                // Replies are written in one piece: waiting for more would only delay the client.
                let _ = stream.set_nodelay(true);
                sessions.spawn(serve(stream, Ends::new(peer, via), shared.clone(), stopping.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = sleep(backoff) => backoff = (backoff * 2).min(MAX_BACKOFF),
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async {
        while let Some(ended) = sessions.join_next().await {
            report(ended);
        }
    };
    if timeout(shared.shutdown_grace, drained).await.is_err() {
        tracing::warn!(sessions = sessions.len(), "sessions did not end within the grace time");
        sessions.shutdown().await;
    }
}

/// One connection too many. The reply fits into any socket's buffer, so nobody has to wait for it to go out.
fn turn_away(stream: TcpStream, shared: &Shared) {
    shared.stats.deny();
    let Ok(mut stream) = stream.into_std() else { return };
    let ip = |addr: std::io::Result<std::net::SocketAddr>| addr.map(|addr| addr.ip());
    let (Ok(peer), Ok(via)) = (ip(stream.peer_addr()), ip(stream.local_addr())) else { return };
    let host = shared.config.params_for(peer, via).hostname;
    let host = host.as_deref().unwrap_or(&shared.hostname);
    // A client that is gone already does not want to know.
    let _ = stream.write_all(format!("421 4.3.2 {host} too many connections\r\n").as_bytes());
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "an SMTP session failed");
    }
}

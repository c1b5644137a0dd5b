use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use waybill_tls::{Acceptors, ServerParams};

/// How long a client may take over the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client that speaks HTTP/2 only is refused in the handshake, where it is told why.
const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];

/// What HTTP is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// TLS of one listener.
pub(crate) struct Tls {
    params: ServerParams,
    host: Arc<str>,
    acceptors: Acceptors,
}

impl Tls {
    pub(crate) fn new(params: ServerParams, host: Arc<str>) -> Self {
        Tls { params, host, acceptors: Acceptors::speaking(PROTOCOLS) }
    }

    /// Shakes hands, within a time limit.
    ///
    /// # Errors
    /// Why not. A certificate that cannot be read is the operator's business, and was told.
    pub(crate) async fn secure(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, String> {
        let acceptor = self.acceptors.get(&self.params, &self.host).await.inspect_err(|why| {
            tracing::error!(why, "an HTTPS client is turned away");
        })?;
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no handshake within {} seconds", HANDSHAKE.as_secs())),
        }
    }
}

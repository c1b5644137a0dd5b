use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What a connection reads and writes: a socket, or TLS or a tunnel on top of one.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How many more bytes a peer may send. Every request grants some; a peer that sends more than all requests together
/// may get loses its connection. This is what holds against floods that are no response: informational responses, h2
/// frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Arc<AtomicI64>);

impl Allowance {
    /// One request is sent; `most` is what all that are under way may have together.
    pub(crate) fn grant(&self, bytes: usize, most: usize) {
        let (bytes, most) = (i64::try_from(bytes).unwrap_or(i64::MAX), i64::try_from(most).unwrap_or(i64::MAX));
        let more = |left: i64| Some(left.saturating_add(bytes).min(most));
        // The closure always gives a value, so that this cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Counts what is read.
pub(crate) struct Metered<W> {
    inner: W,
    allowance: Allowance,
}

impl<W> Metered<W> {
    pub(crate) fn new(inner: W, allowance: Allowance) -> Self {
        Metered { inner, allowance }
    }
}

impl<W: AsyncRead + Unpin> AsyncRead for Metered<W> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let read = i64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or(i64::MAX);
        if this.allowance.0.fetch_sub(read, Ordering::Relaxed) < read {
            return Poll::Ready(Err(io::Error::other("more came than any answer may have")));
        }
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Metered<W> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_peer_that_sends_more_than_was_granted_is_cut_off() {
        let allowance = Allowance::default();
        let mut wire = Metered::new(&b"0123456789"[..], allowance.clone());
        allowance.grant(6, 6);
        allowance.grant(6, 6);
        let mut some = [0; 6];
        wire.read_exact(&mut some).await.unwrap();
        assert!(wire.read_u8().await.unwrap_err().to_string().contains("more came"));
    }
}

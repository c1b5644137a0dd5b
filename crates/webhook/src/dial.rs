use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use waybill_webhook_core::Trouble;

/// How long one address has a head start before the next is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first of these addresses that answers. The caller limits the time.
pub(crate) async fn dial(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Trouble> {
    let mut waiting = addresses.iter().copied();
    let mut under_way = FuturesUnordered::new();
    let mut failures: Vec<String> = Vec::new();
    loop {
        match waiting.next() {
            Some(address) => under_way.push(connect(address)),
            None if under_way.is_empty() => return Err(Trouble::Connect(failures.join("; "))),
            None => {}
        }
        tokio::select! {
            Some((address, result)) = under_way.next() => match result {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => failures.push(format!("{address}: {error}")),
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

async fn connect(address: SocketAddr) -> (SocketAddr, io::Result<TcpStream>) {
    let result = TcpStream::connect(address).await;
    let result = result.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    (address, result)
}

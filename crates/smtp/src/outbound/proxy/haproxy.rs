//! The header of the PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt, section 2.2), to a proxy that connects
//! as it says. The proxy never answers: a wrong source shows as a connection that breaks or stays silent.

use super::Said;
use std::net::{IpAddr, SocketAddr};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on behalf of somebody.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Sends the header. Gives the address that the proxy was told to connect from; the port is its choice, shown as 0.
pub(super) async fn announce(stream: &mut TcpStream, source: IpAddr, target: SocketAddr) -> Result<SocketAddr, Said> {
    let source = SocketAddr::new(source, 0);
    let header = header(source, target)
        .ok_or_else(|| Said::Target(format!("{target} and {source} are not of one family of addresses")))?;
    stream.write_all(&header).await?;
    stream.flush().await?;
    Ok(source)
}

/// `None` where the two are not of one family.
fn header(source: SocketAddr, target: SocketAddr) -> Option<Vec<u8>> {
    let (family, addresses) = match (source.ip(), target.ip()) {
        (IpAddr::V4(source), IpAddr::V4(target)) => (TCP4, [source.octets(), target.octets()].concat()),
        (IpAddr::V6(source), IpAddr::V6(target)) => (TCP6, [source.octets(), target.octets()].concat()),
        _ => return None,
    };
    let length = u16::try_from(addresses.len() + 4).ok()?;
    let ports = [source.port().to_be_bytes(), target.port().to_be_bytes()].concat();
    Some([SIGNATURE, &[PROXY, family], &length.to_be_bytes(), &addresses, &ports].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::Ends;
    use crate::inbound::proxy_header::{Header, parse};

    #[test]
    fn our_own_listener_reads_what_we_write() {
        for (source, target) in [("192.0.2.9:0", "198.51.100.7:25"), ("[2001:db8::9]:0", "[2001:db8:1::7]:2525")] {
            let (source, target): (SocketAddr, SocketAddr) = (source.parse().unwrap(), target.parse().unwrap());
            let header = header(source, target).unwrap();
            let whole = Header::Whole { len: header.len(), ends: Some(Ends { peer: source, via: target }) };
            assert_eq!(parse(&header), Ok(whole));
        }
        assert_eq!(header("192.0.2.9:0".parse().unwrap(), "[::1]:25".parse().unwrap()), None);
    }
}

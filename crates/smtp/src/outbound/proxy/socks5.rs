//! SOCKS version 5: RFC 1928, with user name and password of RFC 1929.

use super::{Login, Said};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Has the proxy connect to `target`; gives the address that it says it connected from.
///
/// SOCKS has no word for the address that a proxy is to connect from: where `source` is given, an answer that names
/// another one, or none, ends the matter, so that no mail leaves from an address that nobody meant. Without `source` an
/// unspecified address is what the proxy said, and what records show.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    target: SocketAddr,
    source: Option<IpAddr>,
    login: Option<&Login>,
) -> Result<SocketAddr, Said> {
    greet(stream, login).await?;
    let mut request = vec![VERSION, CONNECT, 0];
    match target.ip() {
        IpAddr::V4(address) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        IpAddr::V6(address) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
    }
    request.extend(target.port().to_be_bytes());
    send(stream, &request).await?;
    let bound = answer(stream).await?;
    match source {
        Some(source) if bound.ip().is_unspecified() => Err(Said::Proxy(format!(
            "it does not say from where it connects, and socks5_proxy_source_address is {source}"
        ))),
        Some(source) if bound.ip().to_canonical() != source.to_canonical() => {
            Err(Said::Proxy(format!("it connects from {}, and socks5_proxy_source_address is {source}", bound.ip())))
        }
        _ => Ok(bound),
    }
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, login: Option<&Login>) -> Result<(), Said> {
    // Whoever gives a password means to be asked for it: a proxy that lets everybody in is not the one that was meant.
    let method = if login.is_some() { USER_AND_PASSWORD } else { NO_AUTHENTICATION };
    send(stream, &[VERSION, 1, method]).await?;
    let [version, method] = read::<2, S>(stream).await?;
    if version != VERSION {
        return Err(Said::Proxy("it does not speak SOCKS 5".into()));
    }
    match (method, login) {
        (NO_AUTHENTICATION, None) => Ok(()),
        (USER_AND_PASSWORD, Some(login)) => authenticate(stream, login).await,
        (NONE_ACCEPTABLE, None) => Err(Said::Proxy("it wants to know who we are: set socks5_proxy_username".into())),
        (_, Some(_)) => Err(Said::Proxy(
            "it asks for no user name and password: if that is meant, take socks5_proxy_username out of the policy"
                .into(),
        )),
        (other, None) => Err(Said::Proxy(format!("it asks for authentication method {other}, which we do not have"))),
    }
}

async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, login: &Login) -> Result<(), Said> {
    let failed = |why: String| Said::Proxy(format!("socks5_proxy_password: {why}"));
    let password = login.password.load().await.map_err(failed)?;
    let length = |text: &str| u8::try_from(text.len()).map_err(|_| failed("it is longer than 255 bytes".into()));
    let mut request = vec![1, length(&login.user)?];
    request.extend(login.user.as_bytes());
    request.push(length(&password)?);
    request.extend(password.as_bytes());
    send(stream, &request).await?;
    match read::<2, S>(stream).await? {
        [_, 0] => Ok(()),
        _ => Err(Said::Proxy(format!("it does not accept the name {} and its password", login.user))),
    }
}

/// The answer to CONNECT: the address at the proxy's end.
async fn answer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<SocketAddr, Said> {
    let [version, reply, _, kind] = read::<4, S>(stream).await?;
    if version != VERSION {
        return Err(Said::Proxy("its answer makes no sense".into()));
    }
    let address = match kind {
        IPV4 => IpAddr::from(Ipv4Addr::from(read::<4, S>(stream).await?)),
        IPV6 => IpAddr::from(Ipv6Addr::from(read::<16, S>(stream).await?)),
        NAME => {
            let [length] = read::<1, S>(stream).await?;
            let mut name = vec![0; usize::from(length)];
            stream.read_exact(&mut name).await?;
            Ipv4Addr::UNSPECIFIED.into()
        }
        _ => return Err(Said::Proxy("its answer makes no sense".into())),
    };
    let port = u16::from_be_bytes(read::<2, S>(stream).await?);
    match reply {
        0 => Ok(SocketAddr::new(address, port)),
        1 => Err(Said::Target("general failure".into())),
        2 => Err(Said::Target("its rules do not allow this connection".into())),
        3 => Err(Said::Target("network unreachable".into())),
        4 => Err(Said::Target("host unreachable".into())),
        5 => Err(Said::Target("connection refused".into())),
        6 => Err(Said::Target("time to live expired".into())),
        7 => Err(Said::Proxy("it cannot connect for others".into())),
        8 => Err(Said::Target("it does not know this kind of address".into())),
        other => Err(Said::Target(format!("failure {other}"))),
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Result<(), Said> {
    stream.write_all(bytes).await?;
    Ok(stream.flush().await?)
}

async fn read<const N: usize, S: AsyncRead + Unpin>(stream: &mut S) -> Result<[u8; N], Said> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

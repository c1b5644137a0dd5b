//! Delivery through proxies: little ones of our own, over real sockets.

use crate::common::*;
use crate::server::Server;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use waybill_delivery::SourceFacts;

/// What a SOCKS server does beside what RFC 1928 asks of it.
#[derive(Clone, Default)]
struct Ways {
    /// The only name and password that it accepts.
    login: Option<(&'static str, &'static str)>,
    /// Answers CONNECT with this, and connects nobody.
    refuses: Option<u8>,
    /// Says that it connected from here.
    claims: Option<[u8; 4]>,
    /// Never answers the greeting.
    silent: bool,
    /// Speaks another protocol.
    other: bool,
    /// Asks nobody for a name, whatever is offered.
    careless: bool,
}

/// A proxy, and how often it was asked.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Proxy {
    async fn socks(ways: Ways) -> Proxy {
        Proxy::start(move |stream, asked| {
            let ways = ways.clone();
            async move { socks(stream, &ways, &asked).await }
        })
        .await
    }

    async fn ha() -> Proxy {
        Proxy::start(|stream, asked| async move { ha(stream, &asked).await }).await
    }

    async fn start<F: Future<Output = std::io::Result<()>> + Send + 'static>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<SocketAddr>>>) -> F + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = proxy.asked.clone();
        #[expect(clippy::disallowed_methods, reason = "a peer of the test, gone with its runtime")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, asked.clone()));
            }
        });
        proxy
    }
}

async fn socks(mut client: TcpStream, ways: &Ways, asked: &Mutex<Vec<SocketAddr>>) -> std::io::Result<()> {
    if ways.silent {
        return std::future::pending().await;
    }
    if ways.other {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    }
    let mut hello = vec![0; 2];
    client.read_exact(&mut hello).await?;
    let mut methods = vec![0; usize::from(hello[1])];
    client.read_exact(&mut methods).await?;
    if let Some((user, password)) = ways.login {
        if !methods.contains(&2) {
            return client.write_all(&[5, 0xff]).await;
        }
        client.write_all(&[5, 2]).await?;
        let mut said = vec![0; 3 + user.len() + password.len()];
        client.read_exact(&mut said).await?;
        let length = |text: &str| u8::try_from(text.len()).unwrap();
        let right = [&[1, length(user)], user.as_bytes(), &[length(password)], password.as_bytes()].concat() == said;
        client.write_all(&[1, u8::from(!right)]).await?;
        if !right {
            return Ok(());
        }
    } else if methods.contains(&0) || ways.careless {
        client.write_all(&[5, 0]).await?;
    } else {
        return client.write_all(&[5, 0xff]).await;
    }
    let mut request = [0; 10];
    client.read_exact(&mut request).await?;
    assert_eq!(request[..4], [5, 1, 0, 1], "CONNECT to an IPv4 address");
    let target = target(&request[4..8], &request[8..]);
    asked.lock().push(target);
    if let Some(code) = ways.refuses {
        return client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    }
    let mut server = TcpStream::connect(target).await?;
    let SocketAddr::V4(bound) = server.local_addr()? else { unreachable!("it is an IPv4 address") };
    let address = ways.claims.unwrap_or_else(|| bound.ip().octets());
    client.write_all(&[&[5, 0, 0, 1][..], &address, &bound.port().to_be_bytes()].concat()).await?;
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Reads a PROXY header of version 2 and connects as it says.
async fn ha(mut client: TcpStream, asked: &Mutex<Vec<SocketAddr>>) -> std::io::Result<()> {
    let mut header = [0; 28];
    client.read_exact(&mut header).await?;
    assert_eq!(header[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c");
    let (source, target) = (target(&header[16..20], &header[24..26]), target(&header[20..24], &header[26..]));
    asked.lock().push(target);
    let socket = TcpSocket::new_v4()?;
    socket.bind(source)?;
    let mut server = socket.connect(target).await?;
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

fn target(address: &[u8], port: &[u8]) -> SocketAddr {
    let address: [u8; 4] = address.try_into().unwrap();
    SocketAddr::new(Ipv4Addr::from(address).into(), u16::from_be_bytes(port.try_into().unwrap()))
}

fn through(server: &Server, source: Json) -> Way {
    let mut way = Way::to(server);
    way.source = source;
    way.source["name"] = json!("s");
    way
}

fn login(user: &str, password: &str) -> Json {
    json!({"socks5_proxy_username": user, "socks5_proxy_password": {"key_data": password}})
}

fn over(proxy: &Proxy, more: Json) -> Json {
    let mut source = json!({"socks5_proxy_server": proxy.address.to_string()});
    source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    source
}

#[tokio::test]
async fn mail_goes_through_a_socks_proxy_and_the_facts_tell_from_where() {
    for (ways, more) in [
        (Ways::default(), json!({})),
        (Ways::default(), json!({"source_address": "127.0.0.8", "socks5_proxy_source_address": "127.0.0.1"})),
        (Ways { login: Some(("joe", "s3cret")), ..Ways::default() }, login("joe", "s3cret")),
    ] {
        let (server, proxy) = (Server::start().await, Proxy::socks(ways).await);
        let way = through(&server, over(&proxy, more));
        let mut session = way.session().await;
        let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
        assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
        let facts = SourceFacts {
            address: server.heard()[0].client.unwrap().to_string(),
            server: Some(proxy.address.to_string()),
            protocol: Some("socks5"),
        };
        assert_eq!(session.facts().source, Some(facts));
        assert_eq!(*proxy.asked.lock(), [server.address]);
        session.close().await;
    }
}

#[tokio::test]
async fn mail_goes_through_a_proxy_that_is_told_by_a_header() {
    let (server, proxy) = (Server::start().await, Proxy::ha().await);
    let source = json!({"ha_proxy_server": proxy.address.to_string(), "ha_proxy_source_address": "127.0.0.9"});
    let way = through(&server, source);
    let mut session = way.session().await;
    let got = deliver(&mut *session, &message(&["rcpt@there.example"])).await;
    assert_eq!(shown(&got.outcomes[0]), "delivered 250 2.0.0 OK id=1 [.]");
    assert_eq!(server.heard()[0].client.unwrap().ip().to_string(), "127.0.0.9");
    let facts = SourceFacts {
        address: "127.0.0.9:0".into(),
        server: Some(proxy.address.to_string()),
        protocol: Some("haproxy"),
    };
    assert_eq!(session.facts().source, Some(facts));
}

#[tokio::test]
async fn a_proxy_that_does_not_do_its_part_is_named_and_asked_once() {
    // Port 1 has no listener.
    let nobody = Proxy { address: ([127, 0, 0, 1], 1).into(), asked: Arc::default() };
    let wants_a_name = Ways { login: Some(("joe", "s3cret")), ..Ways::default() };
    for (proxy, more, why) in [
        (nobody, json!({}), "Connection refused"),
        (Proxy::socks(Ways { other: true, ..Ways::default() }).await, json!({}), "it does not speak SOCKS 5"),
        (Proxy::socks(Ways { silent: true, ..Ways::default() }).await, json!({}), "no answer within 2s"),
        (Proxy::socks(wants_a_name.clone()).await, json!({}), "it wants to know who we are"),
        // What it was to be told stays unsaid, and somebody should know.
        (Proxy::socks(Ways::default()).await, login("joe", "s3cret"), "it asks for no user name and password: if"),
        (
            Proxy::socks(Ways { careless: true, ..Ways::default() }).await,
            login("joe", "s3cret"),
            "it asks for no user name and password: if",
        ),
        (
            Proxy::socks(Ways { claims: Some([0; 4]), ..Ways::default() }).await,
            json!({"socks5_proxy_source_address": "127.0.0.1"}),
            "it does not say from where it connects, and socks5_proxy_source_address is 127.0.0.1",
        ),
        (Proxy::socks(wants_a_name).await, login("joe", "wrong!"), "it does not accept the name joe and its password"),
        (
            Proxy::socks(Ways { claims: Some([10, 0, 0, 1]), ..Ways::default() }).await,
            json!({"socks5_proxy_source_address": "127.0.0.1"}),
            "it connects from 10.0.0.1, and socks5_proxy_source_address is 127.0.0.1",
        ),
    ] {
        let (one, two) = (Server::start().await, Server::start().await);
        let mut way = Way::to_all(&[&one, &two]).path(json!({"connect_timeout": "2s"}));
        way.source = over(&proxy, more);
        way.source["name"] = json!("s");
        let text = way.refused().await;
        assert!(text.contains(&format!(": the proxy {}: {why}", proxy.address)), "{text}");
        assert!(text.contains("mx1.test") && !text.contains("mx2.test"), "one failure is enough: {text}");
        assert!(!text.contains("s3cret") && !text.contains("wrong!"), "{text}");
        assert!(one.lines().is_empty() && two.lines().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_the_proxy_cannot_reach_is_followed_by_the_next_one() {
    let (one, two) = (Server::start().await, Server::start().await);
    let proxy = Proxy::socks(Ways { refuses: Some(5), ..Ways::default() }).await;
    let mut way = Way::to_all(&[&one, &two]);
    way.source = over(&proxy, json!({"name": "s"}));
    let text = way.refused().await;
    let said = format!("connect: the proxy {} says: connection refused", proxy.address);
    assert_eq!(text.matches(&said).count(), 2, "{text}");
    assert_eq!(*proxy.asked.lock(), [one.address, two.address]);
}

#[tokio::test]
async fn a_server_of_another_family_than_the_proxys_source_is_not_asked_for() {
    let (server, proxy) = (Server::start().await, Proxy::ha().await);
    let source = json!({"ha_proxy_server": proxy.address.to_string(), "ha_proxy_source_address": "2001:db8::9"});
    let text = through(&server, source).refused().await;
    assert!(text.contains("has an address of the same family as the source"), "{text}");
    assert!(proxy.asked.lock().is_empty());
}

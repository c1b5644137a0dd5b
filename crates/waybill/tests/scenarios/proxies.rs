//! Mail that leaves through a proxy, or with a certificate of ours.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, wait_until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Mail for `there.example` goes to this peer, by a source that has these lines.
fn policy(peer: &Peer, source: &str, path: &str) -> Policy {
    Policy::new(format!(
        "kumo.on('get_egress_path_config', function()
           return kumo.make_egress_path {{ prohibited_hosts = {{}}, {path} }}
         end)
         kumo.on('get_egress_pool', function(name)
           return kumo.make_egress_pool {{ name = name, entries = {{ {{ name = 'out' }} }} }}
         end)
         kumo.on('get_egress_source', function(name)
           return kumo.make_egress_source {{ name = name, {source} }}
         end)"
    ))
    .before(&format!(
        "kumo.on('get_queue_config', function(domain)
           if domain == 'there.example' then
             return kumo.make_queue_config {{
               protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }},
               egress_pool = 'pool', retry_interval = '1s',
             }}
           end
         end)",
        peer.address()
    ))
}

fn record(home: &Home, kind: &str) -> Value {
    wait_until(&format!("a {kind}"), || home.records().into_iter().find(|record| record["type"] == kind))
}

/// A proxy for one protocol, in threads of its own. Ends with the test's process.
fn proxy(greet: impl Fn(&mut TcpStream) -> io::Result<TcpStream> + Send + Sync + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a loopback address");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let server = greet(&mut client)?;
                let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    to.shutdown(Shutdown::Write)
                });
                let (mut from, mut to) = (server, client);
                io::copy(&mut from, &mut to)?;
                to.shutdown(Shutdown::Write)
            });
        }
    });
    address
}

fn target(address: &[u8], port: &[u8]) -> SocketAddr {
    let [a, b, c, d] = address else { panic!("an IPv4 address, not {address:?}") };
    let [high, low] = port else { panic!("a port, not {port:?}") };
    (Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*high, *low])).into()
}

/// RFC 1928 and 1929: lets in `joe` with `s3cret`.
fn socks(client: &mut TcpStream) -> io::Result<TcpStream> {
    let mut hello = [0; 3];
    client.read_exact(&mut hello)?;
    client.write_all(&[5, if hello == [5, 1, 2] { 2 } else { 0xff }])?;
    let mut login = [0; 12];
    client.read_exact(&mut login)?;
    let right = login == *b"\x01\x03joe\x06s3cret";
    client.write_all(&[1, u8::from(!right)])?;
    let mut request = [0; 10];
    client.read_exact(&mut request)?;
    let server = TcpStream::connect(target(&request[4..8], &request[8..]))?;
    let SocketAddr::V4(bound) = server.local_addr()? else { return Err(io::ErrorKind::Unsupported.into()) };
    client.write_all(&[&[5, 0, 0, 1][..], &bound.ip().octets(), &bound.port().to_be_bytes()].concat())?;
    Ok(server)
}

/// The PROXY protocol, version 2, over IPv4.
fn header(client: &mut TcpStream) -> io::Result<TcpStream> {
    let mut header = [0; 28];
    client.read_exact(&mut header)?;
    if header[..16] != *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" || header[16..20] != [127, 0, 0, 9] {
        return Err(io::ErrorKind::InvalidData.into());
    }
    TcpStream::connect(target(&header[20..24], &header[26..]))
}

#[test]
fn mail_leaves_through_a_socks_proxy_that_wants_a_password_and_its_record_says_so() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let server = proxy(socks);
    let login = "socks5_proxy_username = 'joe', socks5_proxy_password = { key_data = 's3cret' }";
    let source = format!("socks5_proxy_server = '{server}', {login}");
    let daemon = Daemon::start(&home, &policy(&peer, &source, ""));
    daemon.connect().send(&Mail::to("ann@there.example"));
    peer.takes(1);
    let seen = peer.clients()[0].to_string();
    let expected = json!({ "address": seen, "server": server.to_string(), "protocol": "socks5" });
    assert_eq!(record(&home, "Delivery")["source_address"], expected);
    daemon.stop();
}

#[test]
fn a_socks_proxy_that_takes_no_password_gets_no_mail_and_the_record_names_it() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let server = proxy(socks);
    let daemon = Daemon::start(&home, &policy(&peer, &format!("socks5_proxy_server = '{server}'"), ""));
    daemon.connect().send(&Mail::to("ann@there.example"));
    let failure = record(&home, "TransientFailure");
    let text = failure["response"]["content"].as_str().expect("a text").to_owned();
    assert!(text.contains(&format!("the proxy {server}: it wants to know who we are")), "{text}");
    assert!(peer.clients().is_empty());
    daemon.stop();
}

#[test]
fn mail_leaves_through_a_proxy_that_is_told_by_a_header() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let server = proxy(header);
    let source = format!("ha_proxy_server = '{server}', ha_proxy_source_address = '127.0.0.9'");
    let daemon = Daemon::start(&home, &policy(&peer, &source, ""));
    daemon.connect().send(&Mail::to("ann@there.example"));
    peer.takes(1);
    let expected = json!({ "address": "127.0.0.9:0", "server": server.to_string(), "protocol": "haproxy" });
    assert_eq!(record(&home, "Delivery")["source_address"], expected);
    daemon.stop();
}

#[test]
fn a_next_hop_that_asks_for_a_certificate_gets_the_one_of_the_path() {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let ours = CertificateParams::new(vec!["us.example".to_owned()]).expect("a name");
    let ours = ours.signed_by(&key, &authority).expect("a certificate");
    let (home, peer) = (Home::new(), Peer::that_asks(authority.der().clone()));
    let (certificate, key_file) = (home.file("us.pem"), home.file("us.key"));
    std::fs::write(&certificate, ours.pem()).expect("write the certificate");
    std::fs::write(&key_file, key.serialize_pem()).expect("write the key");
    let path = format!(
        "enable_tls = 'RequiredInsecure', tls_certificate = '{}', tls_private_key = '{}'",
        certificate.display(),
        key_file.display()
    );
    let daemon = Daemon::start(&home, &policy(&peer, "", &path));
    daemon.connect().send(&Mail::to("ann@there.example"));
    peer.takes(1);
    assert_eq!(record(&home, "Delivery")["tls_protocol_version"], "TLSv1.3");
    daemon.stop();
}

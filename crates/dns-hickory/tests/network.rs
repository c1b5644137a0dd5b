//! Against a server of our own, over real sockets.

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR, TLSA, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use waybill_dns::{LookupError, Resolver, Tlsa, Zones, conformance};
use waybill_dns_hickory::NetworkResolver;

/// Answers out of these zones until the test ends.
async fn server(zones: Zones) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let zones = Arc::new(zones);
    let serve = async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
            let answer = answer(&zones, &asked).await.to_vec().unwrap();
            let _ = socket.send_to(&answer, from).await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a peer of the test, gone with its runtime")]
    tokio::spawn(serve);
    address
}

async fn answer(zones: &Zones, asked: &Message) -> Message {
    let query = asked.queries[0].clone();
    let name = query.name().to_ascii();
    let found: Result<(bool, Vec<RData>), LookupError> = match query.query_type() {
        RecordType::MX => zones.mx(&name).await.map(|found| {
            let found = found.map(|mx| RData::MX(MX::new(mx.preference, Name::from_ascii(mx.exchange + ".").unwrap())));
            (found.exists, found.records)
        }),
        RecordType::A => zones
            .ipv4(&name)
            .await
            .map(|found| (found.exists, found.records.into_iter().map(|address| RData::A(A(address))).collect())),
        RecordType::AAAA => zones
            .ipv6(&name)
            .await
            .map(|found| (found.exists, found.records.into_iter().map(|address| RData::AAAA(AAAA(address))).collect())),
        RecordType::TXT => zones.txt(&name).await.map(|found| {
            let text = |text| RData::TXT(TXT::new(vec![String::from_utf8(text).unwrap()]));
            (found.exists, found.records.into_iter().map(text).collect())
        }),
        RecordType::TLSA => zones.tlsa(&name).await.map(|found| {
            let tlsa = |t: Tlsa| RData::TLSA(TLSA::new(t.usage.into(), t.selector.into(), t.matching.into(), t.data));
            (found.exists, found.records.into_iter().map(tlsa).collect())
        }),
        _ => zones.ptr("192.0.2.1".parse().unwrap()).await.map(|found| {
            let name = |name: String| RData::PTR(PTR(Name::from_ascii(name + ".").unwrap()));
            (found.exists, found.records.into_iter().map(name).collect())
        }),
    };
    let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(query.clone());
    match found {
        Err(_) => message.metadata.response_code = ResponseCode::ServFail,
        Ok((exists, records)) => {
            if !exists {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            message.add_answers(records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 30, data)));
        }
    }
    message
}

#[tokio::test]
async fn the_network_resolver_keeps_the_contract() {
    let server = server(Zones::parse([conformance::ZONE]).unwrap()).await;
    conformance::check(&NetworkResolver::with_servers(vec![server])).await;
}

#[tokio::test]
async fn a_server_in_trouble_is_not_a_missing_name() {
    let server = server(Zones::default().failing("broken.waybill.test")).await;
    let resolver = NetworkResolver::with_servers(vec![server]);
    assert!(matches!(resolver.mx("broken.waybill.test").await, Err(LookupError::Failed(_))));
}

//! Against a server that signs what it says, or leaves that out, or lies.

use data_encoding::BASE64;
use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG};
use hickory_resolver::proto::dnssec::{DnssecSigner, PublicKey, SigningKey};
use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX, SOA, TLSA};
use hickory_resolver::proto::rr::{DNSClass, Name, RData, Record, RecordSet, RecordType};
use std::net::SocketAddr;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::net::UdpSocket;
use waybill_dns::{LookupError, Resolver};
use waybill_dns_hickory::NetworkResolver;

/// What a server does with signatures.
#[derive(Clone, Copy, PartialEq)]
enum Signs {
    /// As it should.
    Well,
    /// Leaves them out.
    Never,
    /// Signs something else than it says.
    Wrongly,
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// The root, and the only zone.
struct Root {
    signer: DnssecSigner,
    signs: Signs,
}

impl Root {
    fn new(key: &Ed25519SigningKey, pkcs8: &rustls_pki_types::PrivatePkcs8KeyDer<'_>, signs: Signs) -> Root {
        let dnskey = DNSKEY::new(true, true, false, key.to_public_key().unwrap());
        let key = Box::new(Ed25519SigningKey::from_pkcs8(pkcs8).unwrap());
        Root { signer: DnssecSigner::new(dnskey, key, Name::root(), Duration::from_secs(86_400)), signs }
    }

    fn known(&self, asked: &Name, kind: RecordType) -> Vec<RData> {
        match (asked.to_ascii().to_ascii_lowercase().as_str(), kind) {
            (".", RecordType::DNSKEY) => vec![RData::DNSSEC(DNSSECRData::DNSKEY(self.signer.to_dnskey()))],
            ("signed.", RecordType::MX) => vec![RData::MX(MX::new(10, name("mx.signed.")))],
            ("mx.signed.", RecordType::A) => vec![RData::A(A("192.0.2.1".parse().unwrap()))],
            ("_25._tcp.mx.signed.", RecordType::TLSA) => {
                vec![RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![7; 32]))]
            }
            _ => Vec::new(),
        }
    }

    /// A set of records and its signature.
    fn set(&self, owner: &Name, kind: RecordType, all: Vec<RData>) -> Vec<Record> {
        let mut set = RecordSet::with_ttl(owner.clone(), kind, 60);
        for data in all {
            set.add_rdata(data);
        }
        let mut records: Vec<Record> = set.records_without_rrsigs().cloned().collect();
        if self.signs != Signs::Never {
            let inception = OffsetDateTime::now_utc() - Duration::from_secs(60);
            let signature = RRSIG::from_rrset(&set, DNSClass::IN, inception, &self.signer).unwrap();
            records.push(Record::from_rdata(owner.clone(), 60, RData::DNSSEC(DNSSECRData::RRSIG(signature))));
        }
        if self.signs == Signs::Wrongly && kind == RecordType::TLSA {
            records[0].data = RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), vec![8; 32]));
        }
        records
    }

    fn answer(&self, asked: &Message) -> Message {
        let query = asked.queries[0].clone();
        let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        message.metadata.recursion_available = true;
        message.add_query(query.clone());
        let mut edns = Edns::new();
        edns.set_dnssec_ok(true);
        message.edns = Some(edns);
        let found = self.known(query.name(), query.query_type());
        if found.is_empty() {
            message.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(name("ns."), name("admin."), 1, 60, 60, 60, 60);
            message.add_authorities(self.set(&Name::root(), RecordType::SOA, vec![RData::SOA(soa)]));
            // There is nothing between the root and itself, it says: nothing but the root.
            let types = [RecordType::SOA, RecordType::NS, RecordType::DNSKEY, RecordType::NSEC, RecordType::RRSIG];
            let nsec = NSEC::new_cover_self(Name::root(), types);
            let nsec = RData::DNSSEC(DNSSECRData::NSEC(nsec));
            message.add_authorities(self.set(&Name::root(), RecordType::NSEC, vec![nsec]));
        } else {
            message.add_answers(self.set(query.name(), query.query_type(), found));
        }
        message
    }
}

/// A resolver that believes the key of a server that signs like this.
async fn resolver(signs: Signs) -> NetworkResolver {
    let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
    let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
    let public = BASE64.encode(key.to_public_key().unwrap().public_bytes());
    let root = Root::new(&key, &pkcs8, signs);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = socket.local_addr().unwrap();
    let serve = async move {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
            let _ = socket.send_to(&root.answer(&asked).to_vec().unwrap(), from).await;
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a peer of the test, gone with its runtime")]
    tokio::spawn(serve);
    NetworkResolver::with_servers(vec![address]).trusting(&format!(". 3600 IN DNSKEY 257 3 15 {public}")).unwrap()
}

#[tokio::test]
async fn what_signatures_vouch_for_is_secure_to_those_who_ask_for_that() {
    let plain = resolver(Signs::Well).await;
    let validated = plain.validated();
    let mx = validated.mx("signed").await.unwrap();
    assert_eq!((mx.records[0].exchange.as_str(), mx.secure), ("mx.signed", true));
    assert!(validated.ipv4("mx.signed").await.unwrap().secure);
    let tlsa = validated.tlsa("_25._tcp.mx.signed").await.unwrap();
    assert_eq!((tlsa.records[0].data.clone(), tlsa.secure), (vec![7; 32], true));
    assert!(!plain.mx("signed").await.unwrap().secure, "nobody looked");
}

#[tokio::test]
async fn that_there_is_nothing_is_an_answer_where_it_is_proven() {
    let validated = resolver(Signs::Well).await.validated();
    let none = validated.tlsa("_25._tcp.other.signed").await.unwrap();
    assert!(none.records.is_empty(), "{none:?}");
}

#[tokio::test]
async fn what_should_be_signed_and_is_not_fails() {
    for (signs, tlsa_alone) in [(Signs::Never, false), (Signs::Wrongly, true)] {
        let plain = resolver(signs).await;
        let validated = plain.validated();
        let failed = |answer: Result<_, LookupError>| matches!(answer, Err(LookupError::Failed(_)));
        assert!(failed(validated.tlsa("_25._tcp.mx.signed").await.map(|_| ())));
        assert_eq!(failed(validated.mx("signed").await.map(|_| ())), !tlsa_alone);
        assert_eq!(failed(validated.tlsa("_25._tcp.other.signed").await.map(|_| ())), !tlsa_alone);
        assert_eq!(plain.tlsa("_25._tcp.mx.signed").await.unwrap().records.len(), 1, "nobody looked");
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    assert!(NetworkResolver::system().trusting("no key").is_err());
}

use futures::future::BoxFuture;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What the DNS knows of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// The records, in the order in which they came. None where the name has none of this type, or does not exist.
    pub records: Vec<T>,
    /// Whether the name exists. False is the DNS's word for it (NXDOMAIN), never a guess.
    pub exists: bool,
    /// Whether DNSSEC vouches for the answer.
    pub secure: bool,
}

impl<T> Answer<T> {
    /// These records.
    pub fn of(records: Vec<T>) -> Self {
        Answer { records, exists: true, secure: false }
    }

    /// The name exists, without records of this type.
    pub fn empty() -> Self {
        Answer::of(Vec::new())
    }

    /// There is no such name.
    pub fn no_such_name() -> Self {
        Answer { records: Vec::new(), exists: false, secure: false }
    }

    /// The same answer with DNSSEC's word for it.
    #[must_use]
    pub fn secured(self, secure: bool) -> Self {
        Answer { secure, ..self }
    }

    /// The same answer with other records.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Answer<U> {
        let Answer { records, exists, secure } = self;
        Answer { records: records.into_iter().map(change).collect(), exists, secure }
    }
}

/// One host of a domain's mail.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Mx {
    /// The lower, the sooner.
    pub preference: u16,
    /// Its name, lower case, without the dot at the end; empty for the root, as in a null MX (RFC 7505).
    pub exchange: String,
}

/// What a host says of its certificates (RFC 6698): the four fields as they stand in the record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tlsa {
    /// Which certificate it is about.
    pub usage: u8,
    /// Which part of it.
    pub selector: u8,
    /// How that part is written.
    pub matching: u8,
    /// That part.
    pub data: Vec<u8>,
}

/// A question that nobody could answer. Asking again later may help.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LookupError {
    /// No server answered, or the answer was that of a server in trouble.
    #[error("{0}")]
    Failed(String),
    /// This is no name that the DNS could know: asking again is of no use.
    #[error("{0:?} is not a domain name")]
    NotAName(String),
}

/// Asks the DNS.
///
/// # Contract
/// - Names are asked as they are given, with or without a dot at the end; a search list is never applied.
/// - That a name or a record does not exist is an answer, not an error.
/// - CNAMEs are followed. Names in answers are lower case, without the dot at the end.
/// - Every call ends within a time limit of the resolver's own; dropping the future gives the question up.
/// - Answers may come from a cache, no longer than their time to live.
/// - `secure` is false unless the resolver is one that [`Resolver::validated`] gave.
pub trait Resolver: Send + Sync + 'static {
    /// The hosts of a domain's mail.
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>>;

    /// The IPv4 addresses of a host.
    fn ipv4<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv4Addr>, LookupError>>;

    /// The IPv6 addresses of a host.
    fn ipv6<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv6Addr>, LookupError>>;

    /// The texts of a name, the strings of each record joined.
    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>>;

    /// What a host says of the certificates that it shows at a port: the name is `_PORT._PROTOCOL.HOST`.
    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>>;

    /// One that asks the same servers and looks at DNSSEC: its answers are `secure` where a chain of signatures from the root
    /// vouches for all of them, and a question fails where there should be such a chain and is none.
    fn validated(&self) -> Arc<dyn Resolver>;

    /// The names of an address.
    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Answer<String>, LookupError>>;
}

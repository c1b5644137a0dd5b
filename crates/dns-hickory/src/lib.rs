//! The resolver that asks the network: [`waybill_dns::Resolver`] on hickory-resolver, which caches, and which looks at DNSSEC
//! itself for those who ask for that.
//!
//! It refuses to know mail: who takes a domain's mail is decided in `waybill-dns`. It must be used inside of a tokio
//! runtime.
//!
//! ```no_run
//! # async fn example() {
//! use waybill_dns::MailExchange;
//! let resolver = waybill_dns_hickory::NetworkResolver::system();
//! let found = MailExchange::find(&resolver, "example.com").await;
//! # }
//! ```

use futures::FutureExt;
use futures::future::BoxFuture;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use waybill_dns::name::{ascii, reverse};
use waybill_dns::{Answer, LookupError, Mx, Resolver, Tlsa};

/// One question to one server.
const ASK: Duration = Duration::from_secs(5);
/// So often is a question asked before nobody answers it.
const ATTEMPTS: usize = 2;
/// The longest that a question may take, whatever the library makes of the two above.
const TOTAL: Duration = Duration::from_secs(30);
/// How many answers are remembered.
const CACHED: u64 = 32 * 1024;
/// Nothing is remembered for longer, whatever its owner says: a wrong answer must have an end.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Asks the servers of a list. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct NetworkResolver {
    shared: Arc<Shared>,
    validating: bool,
}

struct Shared {
    servers: Servers,
    /// Keys that chains of signatures may begin with; those of the DNS' root unless others are given.
    anchors: Option<Arc<TrustAnchors>>,
    /// Made when the first question is asked: a machine without servers must still start and take mail.
    plain: Made,
    /// The same that looks at DNSSEC: it asks for more, and remembers for itself.
    validating: Made,
}

type Made = OnceLock<Result<TokioResolver, LookupError>>;

/// How far signatures vouch for each record that was found, aliases included.
fn proofs(found: &Lookup) -> impl Iterator<Item = Proof> {
    found.answers().iter().filter(|record| record.record_type() != RecordType::RRSIG).map(|record| record.proof)
}

fn is_secure(found: &Lookup) -> bool {
    let mut proofs = proofs(found).peekable();
    proofs.peek().is_some() && proofs.all(|proof| proof == Proof::Secure)
}

/// Neither vouched for, nor of a zone that is known not to be signed.
fn is_doubtful(found: &Lookup) -> bool {
    proofs(found).any(|proof| !matches!(proof, Proof::Secure | Proof::Insecure))
}

#[derive(Clone)]
enum Servers {
    System,
    These(Vec<SocketAddr>),
}

impl NetworkResolver {
    /// The servers in `/etc/resolv.conf`. A line of that file that cannot be read fails the questions, not the start.
    pub fn system() -> Self {
        NetworkResolver::new(Servers::System, None)
    }

    /// These servers.
    pub fn with_servers(servers: Vec<SocketAddr>) -> Self {
        NetworkResolver::new(Servers::These(servers), None)
    }

    /// The same with other keys for DNSSEC to begin with than those of the DNS' root: lines `NAME TTL IN DNSKEY …` of a zone
    /// file. What it remembered is forgotten.
    ///
    /// # Errors
    /// When the text is none.
    pub fn trusting(self, anchors: &str) -> Result<Self, String> {
        let anchors = anchors.parse::<TrustAnchors>().map_err(|error| error.to_string())?;
        Ok(NetworkResolver::new(self.shared.servers.clone(), Some(Arc::new(anchors))))
    }

    fn new(servers: Servers, anchors: Option<Arc<TrustAnchors>>) -> Self {
        let shared = Shared { servers, anchors, plain: OnceLock::new(), validating: OnceLock::new() };
        NetworkResolver { shared: Arc::new(shared), validating: false }
    }

    fn inner(&self) -> Result<&TokioResolver, LookupError> {
        let made = if self.validating { &self.shared.validating } else { &self.shared.plain };
        let made = made.get_or_init(|| self.build().inspect_err(|error| tracing::error!("there is no DNS: {error}")));
        made.as_ref().map_err(Clone::clone)
    }

    fn build(&self) -> Result<TokioResolver, LookupError> {
        let mut builder: ResolverBuilder<TokioRuntimeProvider> = match &self.shared.servers {
            Servers::System => TokioResolver::builder_tokio().map_err(|error| failed(&error))?,
            Servers::These(servers) => {
                let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(name_server).collect());
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        options(builder.options_mut());
        builder.options_mut().validate = self.validating;
        if let Some(anchors) = self.shared.anchors.as_ref().filter(|_| self.validating) {
            builder = builder.with_trust_anchor(anchors.clone());
        }
        builder.build().map_err(|error| failed(&error))
    }

    /// Records of one type, as far as `pick` takes them.
    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, LookupError> {
        let not_a_name = |_| LookupError::NotAName(name.to_owned());
        let mut asked = Name::from_ascii(ascii(name)?).map_err(not_a_name)?;
        asked.set_fqdn(true);
        let resolver = self.inner()?;
        match tokio::time::timeout(TOTAL, resolver.lookup(asked, kind)).await {
            Err(_) => Err(LookupError::Failed(format!("nobody answered for {name} in time"))),
            Ok(Ok(found)) if self.validating && is_doubtful(&found) => {
                Err(LookupError::Failed(format!("DNSSEC does not tell whether the answer for {name} is right")))
            }
            Ok(Ok(found)) => {
                let records = found.answers().iter().filter_map(|record| pick(&record.data)).collect();
                Ok(Answer::of(records).secured(self.validating && is_secure(&found)))
            }
            // There is nothing, and nobody has to prove it: the zone is not signed.
            Ok(Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. }))) => {
                let exists = response.metadata.response_code != ResponseCode::NXDomain;
                Ok(if exists { Answer::empty() } else { Answer::no_such_name() })
            }
            Ok(Err(error)) if error.is_nx_domain() => Ok(Answer::no_such_name()),
            Ok(Err(error)) if error.is_no_records_found() => Ok(Answer::empty()),
            Ok(Err(error)) => Err(failed(&error)),
        }
    }
}

fn options(options: &mut ResolverOpts) {
    options.timeout = ASK;
    options.attempts = ATTEMPTS;
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(LONGEST);
    options.edns0 = true;
    // Mail goes where the DNS says, not where this machine's /etc/hosts does.
    options.use_hosts_file = ResolveHosts::Never;
    // An answer over UDP that is cut off or damaged may be whole over TCP.
    options.try_tcp_on_error = true;
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = server.port();
    tcp.port = server.port();
    NameServerConfig::new(server.ip(), true, vec![udp, tcp])
}

fn failed(error: &NetError) -> LookupError {
    LookupError::Failed(error.to_string())
}

fn text(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    text.strip_suffix('.').map(str::to_owned).unwrap_or(text)
}

impl Resolver for NetworkResolver {
    fn mx<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Answer<Mx>, LookupError>> {
        let pick = |data: &RData| match data {
            RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: text(&mx.exchange) }),
            _ => None,
        };
        self.ask(domain, RecordType::MX, pick).boxed()
    }

    fn ipv4<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv4Addr>, LookupError>> {
        let pick = |data: &RData| if let RData::A(address) = data { Some(address.0) } else { None };
        self.ask(host, RecordType::A, pick).boxed()
    }

    fn ipv6<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Answer<Ipv6Addr>, LookupError>> {
        let pick = |data: &RData| if let RData::AAAA(address) = data { Some(address.0) } else { None };
        self.ask(host, RecordType::AAAA, pick).boxed()
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Vec<u8>>, LookupError>> {
        let pick = |data: &RData| if let RData::TXT(text) = data { Some(text.txt_data.concat()) } else { None };
        self.ask(name, RecordType::TXT, pick).boxed()
    }

    fn tlsa<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Answer<Tlsa>, LookupError>> {
        let pick = |data: &RData| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        };
        self.ask(name, RecordType::TLSA, pick).boxed()
    }

    fn validated(&self) -> Arc<dyn Resolver> {
        Arc::new(NetworkResolver { validating: true, ..self.clone() })
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Answer<String>, LookupError>> {
        let pick = |data: &RData| if let RData::PTR(name) = data { Some(text(&name.0)) } else { None };
        async move { self.ask(&reverse(address), RecordType::PTR, pick).await }.boxed()
    }
}

//! What is asked of the connection to one host, and why there is none to ask of.

use std::fmt;
use std::sync::Arc;
use waybill_dns::{LookupError, Resolver};
use waybill_tls::Association;

/// What is asked of the connection to one host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Guard {
    /// What the path asks.
    #[default]
    Path,
    /// TLS with a certificate that is checked: the MTA-STS policy of this domain says so.
    Sts(Arc<str>),
    /// TLS with a certificate that these TLSA records mean.
    Dane(Arc<[Association]>),
    /// TLS, whoever is there: there are TLSA records, and none that can be used (RFC 7672 section 2.2).
    Encrypted,
}

/// Why mail does not go to a host.
#[derive(Clone, Debug)]
pub(super) enum NoGuard {
    /// It must not: the sentence.
    Refused(String),
    /// Nobody could be asked what it wants.
    Failed(LookupError),
}

impl Guard {
    /// What TLSA records of a host ask, where the DNS vouches for its addresses and for them; `None` where it does not.
    ///
    /// `resolver` looks at DNSSEC. `known` is true when the host's address need not be asked for.
    pub(super) async fn of_tlsa(
        resolver: &dyn Resolver,
        host: &str,
        port: u16,
        known: bool,
    ) -> Result<Option<Guard>, LookupError> {
        // Zones that are not signed may have servers that stumble over the question (RFC 7672 section 2.2.2).
        if !known && !has_secure_address(resolver, host).await {
            return Ok(None);
        }
        let found = resolver.tlsa(&format!("_{port}._tcp.{host}")).await?;
        if !found.secure || found.records.is_empty() {
            return Ok(None);
        }
        let usable = |tlsa: &waybill_dns::Tlsa| Association::new(tlsa.usage, tlsa.selector, tlsa.matching, &tlsa.data);
        let usable: Arc<[Association]> = found.records.iter().filter_map(usable).collect();
        Ok(Some(if usable.is_empty() { Guard::Encrypted } else { Guard::Dane(usable) }))
    }

    /// What the certificate has to be, where TLSA records say.
    pub(super) fn associations(&self) -> Option<Arc<[Association]>> {
        match self {
            Guard::Dane(associations) => Some(associations.clone()),
            Guard::Path | Guard::Sts(_) | Guard::Encrypted => None,
        }
    }
}

async fn has_secure_address(resolver: &dyn Resolver, host: &str) -> bool {
    // One after the other: the second is asked for only where the first has nothing, and both come from memory later.
    let four = resolver.ipv4(host).await.map(|answer| (answer.secure, answer.records.is_empty()));
    match four {
        Ok((secure, false)) => secure,
        _ => resolver.ipv6(host).await.is_ok_and(|answer| answer.secure && !answer.records.is_empty()),
    }
}

/// Whose word it is, as in "… asks for TLS".
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Path => f.write_str("enable_tls"),
            Guard::Sts(domain) => write!(f, "the MTA-STS policy of {domain}"),
            Guard::Dane(_) | Guard::Encrypted => f.write_str("DANE (TLSA records of the host)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_dns::Zones;

    async fn guard(host: &str) -> Result<Option<Guard>, LookupError> {
        let digest = "07".repeat(32);
        let zones = Zones::parse([format!(
            "plain.example. A 192.0.2.1
             _25._tcp.plain.example. TLSA 3 1 1 {digest}
             half.example. A 192.0.2.1
             $SECURE
             signed.example. A 192.0.2.1
             _25._tcp.signed.example. TLSA 0 1 1 {digest}
             _25._tcp.signed.example. TLSA 3 1 1 {digest}
             six.example. AAAA ::1
             _25._tcp.six.example. TLSA 3 1 1 {digest}
             useless.example. A 192.0.2.1
             _25._tcp.useless.example. TLSA 1 1 1 {digest}
             none.example. A 192.0.2.1
             broken.example. A 192.0.2.1
             _25._tcp.half.example. TLSA 3 1 1 {digest}"
        )
        .as_str()]);
        let zones = zones.unwrap().failing("_25._tcp.broken.example");
        Guard::of_tlsa(&*zones.validated(), host, 25, false).await
    }

    #[tokio::test]
    async fn records_count_where_dnssec_vouches_for_address_and_record() {
        let good: Arc<[Association]> = [Association::new(3, 1, 1, &[7; 32]).unwrap()].into();
        for host in ["signed.example", "six.example"] {
            assert_eq!(guard(host).await, Ok(Some(Guard::Dane(good.clone()))), "{host}");
        }
        for host in ["plain.example", "half.example", "none.example"] {
            assert_eq!(guard(host).await, Ok(None), "{host}");
        }
    }

    #[tokio::test]
    async fn records_of_no_use_ask_for_encryption_and_a_failure_is_one() {
        assert_eq!(guard("useless.example").await, Ok(Some(Guard::Encrypted)));
        assert!(matches!(guard("broken.example").await, Err(LookupError::Failed(_))));
    }
}

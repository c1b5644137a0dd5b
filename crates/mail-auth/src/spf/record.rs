//! A domain's record.

use std::net::{Ipv4Addr, Ipv6Addr};

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::Spf;
use waybill_dns::{LookupError, Resolver};

use super::check::Stop;

/// A record, and its terms as they stand there.
pub(super) struct Record {
    pub(super) parsed: Spf,
    terms: Vec<String>,
}

impl Record {
    /// The record of a domain; `None` when it has none.
    pub(super) async fn find(resolver: &dyn Resolver, domain: &str) -> Result<Option<Record>, Stop> {
        let texts = match resolver.txt(domain).await {
            Ok(answer) => answer.records,
            Err(LookupError::NotAName(_)) => return Ok(None),
            Err(error) => return Err(Stop::temporary(format!("failed to resolve {domain}: {error}"))),
        };
        let mut records = texts.iter().filter(|text| is_spf(text));
        match (records.next(), records.next()) {
            (None, _) => Ok(None),
            (Some(record), None) => Record::parse(domain, record).map(Some),
            (Some(_), Some(_)) => Err(Stop::permanent(format!("{domain} has more than one SPF record"))),
        }
    }

    fn parse(domain: &str, text: &[u8]) -> Result<Record, Stop> {
        let unreadable = || Stop::permanent(format!("the SPF record of {domain} cannot be read"));
        let parsed = Spf::parse(text).map_err(|_| unreadable())?;
        let text = String::from_utf8_lossy(text);
        let terms = text.split(' ').skip(1).filter(|term| !term.is_empty() && !is_modifier(term));
        let terms: Vec<String> = terms.map(|term| term.trim_start_matches(['+', '-', '~', '?']).to_owned()).collect();
        // The library takes 192.0.2.300 for an address, and passes over mechanisms that it does not know: RFC 7208,
        // section 4.6, has errors there.
        let sound = terms.len() == parsed.directives.len() && terms.iter().all(|term| names_a_network(term));
        if sound { Ok(Record { parsed, terms }) } else { Err(unreadable()) }
    }

    /// The directive at this place, for people.
    pub(super) fn term(&self, index: usize) -> &str {
        self.terms.get(index).map_or("?", String::as_str)
    }
}

/// RFC 7208, section 4.5: the version, and then a space or nothing.
fn is_spf(text: &[u8]) -> bool {
    let Some((version, rest)) = text.split_at_checked(6) else { return false };
    version.eq_ignore_ascii_case(b"v=spf1") && matches!(rest.first(), None | Some(b' '))
}

/// `NAME=VALUE`, where nothing of a directive comes first.
fn is_modifier(term: &str) -> bool {
    term.find(['=', ':', '/', '%']).is_some_and(|at| term.as_bytes()[at] == b'=')
}

/// Whether what stands behind `ip4:` or `ip6:` is a network; other terms have none.
fn names_a_network(term: &str) -> bool {
    let Some((kind, network)) = term.split_once(':') else { return true };
    let (address, length) =
        network.split_once('/').map_or((network, None), |(address, length)| (address, Some(length)));
    let fits = |most: u8| length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= most));
    match kind.to_ascii_lowercase().as_str() {
        "ip4" => address.parse::<Ipv4Addr>().is_ok() && fits(32),
        "ip6" => address.parse::<Ipv6Addr>().is_ok() && fits(128),
        _ => true,
    }
}

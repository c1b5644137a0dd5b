//! DANE (RFC 6698, RFC 7671) as SMTP uses it (RFC 7672): what TLSA records say of a server's certificate.

use super::provider;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, OtherError, RootCertStore};
use sha2::{Digest, Sha256, Sha512};
use std::fmt;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A TLSA record that a client of SMTP can use.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Association {
    usage: Usage,
    selector: Selector,
    matching: Matching,
    data: Box<[u8]>,
}

/// Which certificate a record is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Usage {
    /// DANE-TA(2): one that vouches for the server's, which has to be for the host and not expired.
    Authority,
    /// DANE-EE(3): the server's own. Its names and dates do not matter.
    Server,
}

/// Which part of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Selector {
    /// Cert(0).
    Whole,
    /// SPKI(1): its public key.
    Key,
}

/// How that part is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Matching {
    /// Full(0).
    Exact,
    /// SHA2-256(1).
    Sha256,
    /// SHA2-512(2).
    Sha512,
}

impl Association {
    /// Of a record's four fields. `None` for one that cannot be used: of a usage that SMTP does not know (PKIX-TA(0) and
    /// PKIX-EE(1), RFC 7672 section 3.1.3), with numbers that nobody has given a meaning, or with data that cannot match.
    pub fn new(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Option<Self> {
        let usage = match usage {
            2 => Usage::Authority,
            3 => Usage::Server,
            _ => return None,
        };
        let selector = match selector {
            0 => Selector::Whole,
            1 => Selector::Key,
            _ => return None,
        };
        let (matching, sound) = match matching {
            0 => (Matching::Exact, !data.is_empty()),
            1 => (Matching::Sha256, data.len() == 32),
            2 => (Matching::Sha512, data.len() == 64),
            _ => return None,
        };
        sound.then(|| Association { usage, selector, matching, data: data.into() })
    }

    /// Whether it means this certificate.
    fn matches(&self, certificate: &[u8]) -> bool {
        let part = match self.selector {
            Selector::Whole => certificate,
            Selector::Key => match X509Certificate::from_der(certificate) {
                Ok((_, parsed)) => parsed.tbs_certificate.subject_pki.raw,
                Err(_) => return false,
            },
        };
        match self.matching {
            Matching::Exact => part == &*self.data,
            Matching::Sha256 => Sha256::digest(part)[..] == *self.data,
            Matching::Sha512 => Sha512::digest(part)[..] == *self.data,
        }
    }
}

/// As in a zone file, with the beginning of the data.
impl fmt::Debug for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLSA({:?} {:?} {:?} ", self.usage, self.selector, self.matching)?;
        self.data.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// Whether one of the records vouches for a server.
///
/// # Errors
/// When none does.
pub(super) fn verify(
    associations: &[Association],
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), Error> {
    let of = |usage| associations.iter().filter(move |association| association.usage == usage);
    if of(Usage::Server).any(|association| association.matches(end_entity)) {
        return Ok(());
    }
    let mut anchors = RootCertStore::empty();
    for association in of(Usage::Authority) {
        for shown in intermediates.iter().filter(|shown| association.matches(shown)) {
            // One that is no certificate for us vouches for nobody.
            let _ = anchors.add(shown.clone().into_owned());
        }
        // A record that is the certificate need not be shown again.
        if (association.selector, association.matching) == (Selector::Whole, Matching::Exact) {
            let _ = anchors.add(CertificateDer::from(association.data.to_vec()));
        }
    }
    if anchors.is_empty() {
        return Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NoMatch)))));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(anchors), provider()).build();
    let verifier = verifier.map_err(|error| Error::General(error.to_string()))?;
    verifier.verify_server_cert(end_entity, intermediates, name, &[], now).map(|_| ())
}

/// No record is about the certificates that the server showed.
struct NoMatch;

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no TLSA record of the host matches it")
    }
}

/// The same: errors of the library show what is within in this form.
impl fmt::Debug for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NoMatch {}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair, PublicKeyData};

    /// A server's certificate, that of who vouches for it, and of who vouches for that one.
    struct Chain {
        server: CertificateDer<'static>,
        server_key: Vec<u8>,
        middle: CertificateDer<'static>,
        root: CertificateDer<'static>,
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn chain(host: &str, last_year: i32) -> Chain {
        let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let middle = authority("middle").signed_by(&key, &root).unwrap();
        let issuer = Issuer::new(authority("middle"), key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let server = params.signed_by(&key, &issuer).unwrap().der().clone();
        let server_key = key.subject_public_key_info();
        Chain { server, server_key, middle: middle.der().clone(), root: root.der().clone() }
    }

    fn now() -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000))
    }

    impl Chain {
        fn verify(&self, records: &[(u8, u8, u8, Vec<u8>)]) -> Result<(), String> {
            let usable = |(usage, selector, matching, data): &(u8, u8, u8, Vec<u8>)| {
                Association::new(*usage, *selector, *matching, data).unwrap()
            };
            let records: Vec<Association> = records.iter().map(usable).collect();
            let name = ServerName::try_from("mx.example").unwrap();
            let shown = [self.middle.clone()];
            verify(&records, &self.server, &shown, &name, now()).map_err(|error| error.to_string())
        }
    }

    fn key_of(certificate: &[u8]) -> Vec<u8> {
        X509Certificate::from_der(certificate).unwrap().1.tbs_certificate.subject_pki.raw.to_vec()
    }

    /// Of each part, in each of the ways to write it.
    fn records(usage: u8, certificate: &[u8]) -> Vec<(u8, u8, u8, Vec<u8>)> {
        let parts = [(0, certificate.to_vec()), (1, key_of(certificate))];
        let written = |(selector, part): &(u8, Vec<u8>)| {
            let (short, long) = (Sha256::digest(part).to_vec(), Sha512::digest(part).to_vec());
            [(0, part.clone()), (1, short), (2, long)].map(|(matching, data)| (usage, *selector, matching, data))
        };
        parts.iter().flat_map(written).collect()
    }

    #[test]
    fn the_servers_own_certificate_is_enough_whatever_its_name_and_its_dates() {
        for chain in [chain("mx.example", 2100), chain("another.example", 2002)] {
            assert_eq!(key_of(&chain.server), chain.server_key);
            for record in records(3, &chain.server) {
                assert_eq!(chain.verify(&[record]), Ok(()));
            }
        }
    }

    #[test]
    fn an_authority_vouches_for_the_host_as_long_as_the_certificate_lasts() {
        let good = chain("mx.example", 2100);
        for record in records(2, &good.middle) {
            assert_eq!(good.verify(std::slice::from_ref(&record)), Ok(()));
        }
        let foreign = chain("another.example", 2100);
        let error = foreign.verify(&records(2, &foreign.middle)).unwrap_err();
        assert!(error.contains("not valid for name \"mx.example\""), "{error}");
        let expired = chain("mx.example", 2002);
        let error = expired.verify(&records(2, &expired.middle)).unwrap_err();
        assert!(error.contains("expired"), "{error}");
    }

    #[test]
    fn an_authority_that_is_not_shown_counts_only_when_the_record_is_its_certificate() {
        let good = chain("mx.example", 2100);
        for record in records(2, &good.root) {
            let whole = (record.1, record.2) == (0, 0);
            assert_eq!(good.verify(std::slice::from_ref(&record)).is_ok(), whole, "{record:?}");
        }
    }

    #[test]
    fn records_of_others_match_nothing_and_one_of_several_is_enough() {
        let (good, other) = (chain("mx.example", 2100), chain("mx.example", 2100));
        let mut all = Vec::new();
        for (usage, certificate) in [(3, &other.server), (2, &other.middle), (3, &good.middle), (2, &good.server)] {
            for record in records(usage, certificate) {
                // The whole certificate of another authority is one to begin from, and leads nowhere.
                let error = good.verify(std::slice::from_ref(&record)).unwrap_err();
                let whole = (record.0, record.1, record.2) == (2, 0, 0);
                assert!(whole || error.contains("no TLSA record of the host matches it"), "{record:?}: {error}");
                all.push(record);
            }
        }
        assert!(good.verify(&all).is_err());
        all.push((3, 1, 1, Sha256::digest(&good.server_key).to_vec()));
        assert_eq!(good.verify(&all), Ok(()));
        assert!(good.verify(&[]).is_err());
    }

    #[test]
    fn records_that_smtp_has_no_use_for_are_no_associations() {
        let digest = [7; 32];
        for (usage, selector, matching, data) in [
            (0, 1, 1, &digest[..]),
            (1, 1, 1, &digest),
            (4, 1, 1, &digest),
            (255, 1, 1, &digest),
            (3, 2, 1, &digest),
            (3, 1, 3, &digest),
            (3, 1, 2, &digest),
            (3, 1, 1, &digest[..31]),
            (3, 1, 0, &[]),
        ] {
            assert_eq!(Association::new(usage, selector, matching, data), None, "{usage} {selector} {matching}");
        }
        let shown = format!("{:?}", Association::new(3, 1, 1, &digest).unwrap());
        assert_eq!(shown, "TLSA(Server Key Sha256 07070707…)");
    }
}

//! Public keys, which domains have in the DNS (RFC 6376, section 3.6).

use mail_auth::Error;
use mail_auth::common::crypto::{Algorithm, CryptoError};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{Canonicalization, DkimError};
use waybill_dns::{LookupError, Resolver};

use crate::mail::Field;

/// Verifiers must not accept less: RFC 8301, section 3.2.
const FEWEST_BITS: usize = 1024;

/// A signature that cannot be checked, or that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// It is not the signature of this.
    Wrong(String),
    /// Nobody can ever check it.
    Never(String),
    /// Later, perhaps.
    Later(String),
}

/// The key of a signature.
pub(crate) struct PublicKey {
    key: DomainKey,
    /// The key signs for its domain, and not for those below it.
    pub(crate) exact: bool,
}

impl PublicKey {
    /// Asks for the key of `selector` at `domain`.
    pub(crate) async fn find(resolver: &dyn Resolver, selector: &str, domain: &str) -> Result<Self, Trouble> {
        let name = format!("{selector}._domainkey.{domain}");
        let records = match resolver.txt(&name).await {
            Ok(answer) => answer.records,
            Err(error @ LookupError::NotAName(_)) => return Err(Trouble::Never(error.to_string())),
            Err(error) => return Err(Trouble::Later(format!("failed to resolve {name}: {error}"))),
        };
        let mut found = records.iter().map(|record| PublicKey::parse(record));
        let first = found.next().ok_or_else(|| Trouble::Never(format!("there is no key {name}")))?;
        first.or_else(|why| found.find_map(Result::ok).ok_or_else(|| Trouble::Never(format!("{name}: {why}"))))
    }

    fn parse(record: &[u8]) -> Result<Self, String> {
        let key = DomainKey::parse(record).map_err(|error| match error {
            Error::Dkim(DkimError::RevokedPublicKey) => "the key is revoked".to_owned(),
            Error::Dkim(DkimError::UnsupportedKeyType) => "this type of key is not known".to_owned(),
            _ => "this is no key".to_owned(),
        })?;
        if !crate::tag::lists(record, "s", &["*", "email"]) {
            return Err("the key is not for mail".to_owned());
        }
        if !crate::tag::lists(record, "h", &["sha256"]) {
            return Err("the key is not for SHA-256".to_owned());
        }
        if key.p.public_key_bits() < FEWEST_BITS {
            return Err(format!("the key has less than {FEWEST_BITS} bits"));
        }
        let exact = crate::tag::find(record, "t").is_some() && crate::tag::lists(record, "t", &["s"]);
        Ok(PublicKey { key, exact })
    }

    /// Whether this is the signature of these fields.
    pub(crate) fn verify<'a>(
        &self,
        fields: impl IntoIterator<Item = Field<'a>>,
        form: Canonicalization,
        signature: &[u8],
        algorithm: Algorithm,
    ) -> Result<(), Trouble> {
        let mut fields = fields.into_iter();
        match self.key.p.verify(&mut fields, signature, form, algorithm) {
            Ok(()) => Ok(()),
            Err(Error::Crypto(CryptoError::IncompatibleAlgorithms)) => {
                Err(Trouble::Never(format!("the key is not one for {}", algorithm.name())))
            }
            Err(_) => Err(Trouble::Wrong("the signature does not fit the headers and the key".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_record_says_of_itself_counts() {
        let key = "p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        for (record, problem) in [
            (format!("v=DKIM1; k=ed25519; {key}"), None),
            (format!("v=DKIM1; k=ed25519; s=*; h=sha1:sha256; {key}"), None),
            (format!("v=DKIM1; k=ed25519; s=tlsrpt; {key}"), Some("the key is not for mail")),
            (format!("v=DKIM1; k=ed25519; h=sha1; {key}"), Some("the key is not for SHA-256")),
            (format!("v=DKIM1; k=dsa; {key}"), Some("this type of key is not known")),
            (format!("v=DKIM2; k=ed25519; {key}"), Some("this is no key")),
            ("v=DKIM1; k=ed25519; p=".to_owned(), Some("the key is revoked")),
            (
                "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANSmzYkh".to_owned(),
                Some("the key has less than 1024 bits"),
            ),
            ("hello".to_owned(), Some("this is no key")),
        ] {
            assert_eq!(PublicKey::parse(record.as_bytes()).err().as_deref(), problem, "{record}");
        }
        let exact = |flags: &str| PublicKey::parse(format!("k=ed25519; {flags} {key}").as_bytes()).unwrap().exact;
        assert!(exact("t=s;") && exact("t=y:s;") && !exact("t=y;") && !exact(""));
    }
}

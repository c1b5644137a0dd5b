//! Who signs, and how.

use std::sync::Arc;

use mail_auth::dkim::Canonicalization;
use serde::Deserialize;
use serde::de::IgnoredAny;
use waybill_dns::name::ascii;

use crate::key::Key;
use crate::mail::Mail;
use crate::signature::{self, Kind};

/// How strictly a text counts (RFC 6376, section 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
pub enum CanonicalForm {
    /// White space and case of names do not count.
    #[default]
    Relaxed,
    /// Everything counts.
    Simple,
}

/// How a third party's domain is written in the name that is asked for (RFC 6541).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtpsHash {
    /// As it is.
    None,
    /// Hashed.
    Sha1,
    /// Hashed.
    Sha256,
}

/// What `kumo.dkim.rsa_sha256_signer` and `ed25519_signer` take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of domain, selector, headers, key")]
pub struct SignerOptions {
    /// The domain that vouches for the mail.
    pub domain: String,
    /// Which of its keys: the public one stands at `SELECTOR._domainkey.DOMAIN`.
    pub selector: String,
    /// Names of headers that are signed; `From` has to be one.
    pub headers: Vec<String>,
    /// Where the private key is. Whoever knows how to read it gives it to [`Signer::new`].
    pub key: IgnoredAny,
    /// Signs for the mail of this other domain (RFC 6541).
    pub atps: Option<String>,
    /// How the signing domain is written in that domain's zone.
    pub atpsh: Option<AtpsHash>,
    /// On whose behalf: an address at the domain or below it.
    pub agent_user_identifier: Option<String>,
    /// Seconds until the signature is worth nothing.
    pub expiration: Option<u64>,
    /// Whether the length of the body is told, so that what is added behind it does not count.
    #[serde(default)]
    pub body_length: bool,
    /// Asks verifiers for reports of failures (RFC 6651).
    #[serde(default)]
    pub reporting: bool,
    /// How strictly headers count.
    #[serde(default)]
    pub header_canonicalization: CanonicalForm,
    /// How strictly the body counts.
    #[serde(default)]
    pub body_canonicalization: CanonicalForm,
    /// Whether each header is listed once more than it is there: then nobody can add another.
    #[serde(default)]
    pub over_sign: bool,
}

/// Why there is no signer, or no signature. The options are named as they are typed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SignerError {
    /// An option that cannot be used.
    #[error("{option}: {why}")]
    Option {
        /// Which.
        option: &'static str,
        /// What is wrong with it, and what is expected.
        why: String,
    },
    /// The key cannot sign.
    #[error("the key could not sign; make another one, of 2048 bits for RSA")]
    Unable,
}

fn wrong(option: &'static str, why: impl Into<String>) -> SignerError {
    SignerError::Option { option, why: why.into() }
}

/// Signs mail. It holds a private key and shows nothing of it.
#[derive(Debug)]
pub struct Signer {
    pub(crate) key: Arc<Key>,
    pub(crate) domain: String,
    pub(crate) selector: String,
    pub(crate) expiration: Option<u64>,
    pub(crate) body_length: bool,
    pub(crate) header_form: Canonicalization,
    pub(crate) body_form: Canonicalization,
    headers: Vec<String>,
    over_sign: bool,
    /// `i`, `r`, `atps`, `atpsh`: those that a DKIM signature has.
    dkim_tags: Vec<String>,
}

impl From<CanonicalForm> for Canonicalization {
    fn from(form: CanonicalForm) -> Self {
        match form {
            CanonicalForm::Relaxed => Canonicalization::Relaxed,
            CanonicalForm::Simple => Canonicalization::Simple,
        }
    }
}

impl Signer {
    /// Signs with this key.
    ///
    /// # Errors
    /// An option that would make signatures that nobody accepts.
    pub fn new(options: &SignerOptions, key: Arc<Key>) -> Result<Self, SignerError> {
        let domain = name("domain", &options.domain)?;
        let selector = name("selector", &options.selector)?;
        let headers = headers(&options.headers)?;
        if options.expiration == Some(0) {
            return Err(wrong("expiration", "expected seconds from now on, 1 or more"));
        }
        let mut dkim_tags = Vec::new();
        if let Some(user) = &options.agent_user_identifier {
            dkim_tags.push(format!("i={}", identifier(user, &domain)?));
        }
        if options.reporting {
            dkim_tags.push("r=y".to_owned());
        }
        match (&options.atps, options.atpsh) {
            (None, None) => {}
            (None, Some(_)) => {
                return Err(wrong("atpsh", "it says how the domain in atps is written, and there is none"));
            }
            (Some(atps), hash) => {
                dkim_tags.push(format!("atps={}", name("atps", atps)?));
                let hash = match hash {
                    None | Some(AtpsHash::None) => "none",
                    Some(AtpsHash::Sha1) => "sha1",
                    Some(AtpsHash::Sha256) => "sha256",
                };
                dkim_tags.push(format!("atpsh={hash}"));
            }
        }
        Ok(Signer {
            key,
            domain,
            selector,
            expiration: options.expiration,
            body_length: options.body_length,
            header_form: options.header_canonicalization.into(),
            body_form: options.body_canonicalization.into(),
            headers,
            over_sign: options.over_sign,
            dkim_tags,
        })
    }

    /// A `DKIM-Signature` field for a mail, with its line end. It belongs before all others. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn dkim_signature(&self, mail: &[u8], now: u64) -> Result<String, SignerError> {
        let kind = Kind { name: "DKIM-Signature", first: "v=1;", more: &self.dkim_tags };
        signature::field(self, &Mail::new(mail), now, &kind)
    }

    /// The names that are listed for a mail: each as often as it is there, and once more where it is over-signed. `From` is
    /// always listed.
    pub(crate) fn names(&self, mail: &Mail<'_>) -> Vec<String> {
        let mut names = Vec::new();
        for name in &self.headers {
            let there = mail.named(name).count();
            let least = usize::from(name.eq_ignore_ascii_case("From"));
            let times = (there + usize::from(self.over_sign)).max(least);
            names.extend(std::iter::repeat_n(name.clone(), times));
        }
        names
    }
}

fn name(option: &'static str, given: &str) -> Result<String, SignerError> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match ascii(given) {
        Ok(name) if name.chars().all(word) => Ok(name),
        _ => Err(wrong(option, format!("{given:?} is no name that the DNS could know"))),
    }
}

/// Each name once.
fn headers(given: &[String]) -> Result<Vec<String>, SignerError> {
    let mut names: Vec<String> = Vec::new();
    for name in given {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && !b":;=".contains(&byte)) {
            return Err(wrong("headers", format!("{name:?} is not a header name")));
        }
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.clone());
        }
    }
    match names.iter().any(|name| name.eq_ignore_ascii_case("From")) {
        true => Ok(names),
        false => Err(wrong("headers", "From has to be one of them (RFC 6376, section 5.4)")),
    }
}

/// The tag `i`, in the quoted-printable form of RFC 6376, section 2.11.
fn identifier(given: &str, domain: &str) -> Result<String, SignerError> {
    const OPTION: &str = "agent_user_identifier";
    let expected = || wrong(OPTION, format!("expected USER@{domain}, or a domain below it, got {given:?}"));
    let (user, host) = given.rsplit_once('@').ok_or_else(expected)?;
    let host = name(OPTION, host)?;
    if host != domain && !host.ends_with(&format!(".{domain}")) {
        return Err(expected());
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && !b";=".contains(&byte);
    let user = user.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("={byte:02X}") });
    Ok(format!("{}@{host}", user.collect::<String>()))
}

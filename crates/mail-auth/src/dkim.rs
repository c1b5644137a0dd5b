//! DKIM signatures verified (RFC 6376).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::{Canonicalization, Signature};
use waybill_dns::Resolver;

use crate::body::BodyHashes;
use crate::domain_key::{PublicKey, Trouble};
use crate::mail::{Field, Mail};
use crate::result::AuthenticationResult;
use crate::tag;

/// More signatures than this are not looked at: each costs questions to the DNS, and whoever sends the mail chooses how many
/// there are.
pub const MOST_SIGNATURES: usize = 10;

/// Bytes of `b` that tell signatures apart: 8 digits of base64 (RFC 6008).
const SHOWN: usize = 6;

/// Signatures whose hashes are computed; the keys are still to be asked for.
pub struct Verification<'a> {
    mail: Mail<'a>,
    checked: Vec<Checked<'a>>,
}

/// A signature as far as it can be checked without its key.
struct Checked<'a> {
    field: Field<'a>,
    parsed: Option<Signature>,
    /// What is known to be wrong with it.
    verdict: Option<(&'static str, String)>,
}

/// Checks every signature of a mail, from the top, and gives a result for each. `now` is in seconds since 1970.
pub async fn verify(mail: &[u8], resolver: &dyn Resolver, now: u64) -> Vec<AuthenticationResult> {
    Verification::begin(mail, now).finish(resolver).await
}

impl<'a> Verification<'a> {
    /// Reads the signatures and hashes the body: what takes time and asks nobody.
    pub fn begin(mail: &'a [u8], now: u64) -> Self {
        let mail = Mail::new(mail);
        let mut hashes = BodyHashes::new(mail.body);
        let fields = mail.named("DKIM-Signature").take(MOST_SIGNATURES);
        let checked = fields.map(|field| Checked::of(field, &mut hashes, now)).collect();
        Verification { mail, checked }
    }

    /// Asks for the keys, and compares.
    pub async fn finish(self, resolver: &dyn Resolver) -> Vec<AuthenticationResult> {
        let mut results = Vec::with_capacity(self.checked.len());
        for checked in &self.checked {
            let (result, reason) = match (&checked.verdict, &checked.parsed) {
                (Some((result, reason)), _) => (*result, Some(reason.clone())),
                (None, None) => ("neutral", None),
                (None, Some(signature)) => match signature_fits(&self.mail, checked.field, signature, resolver).await {
                    Ok(()) => ("pass", None),
                    Err(Trouble::Wrong(why)) => ("fail", Some(why)),
                    Err(Trouble::Never(why)) => ("permerror", Some(why)),
                    Err(Trouble::Later(why)) => ("temperror", Some(why)),
                },
            };
            let shown = AuthenticationResult { reason, ..AuthenticationResult::new("dkim", result) };
            results.push(match &checked.parsed {
                Some(signature) => described(shown, signature),
                None => shown,
            });
        }
        results
    }
}

fn described(result: AuthenticationResult, signature: &Signature) -> AuthenticationResult {
    let identity = match signature.i.as_str() {
        "" => format!("@{}", signature.d),
        identity => identity.to_owned(),
    };
    result
        .with("header.a", signature.a.name())
        .with("header.b", STANDARD.encode(&signature.b[..signature.b.len().min(SHOWN)]))
        .with("header.d", signature.d.as_str())
        .with("header.i", identity)
        .with("header.s", signature.s.as_str())
}

impl<'a> Checked<'a> {
    fn of(field: Field<'a>, hashes: &mut BodyHashes<'_>, now: u64) -> Self {
        let parsed = match Signature::parse(field.1) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Checked { field, parsed: None, verdict: Some(("neutral", error.to_string())) };
            }
        };
        let verdict = judged(&parsed, hashes, now);
        Checked { field, parsed: Some(parsed), verdict }
    }
}

/// What is wrong with a signature, whatever its key.
fn judged(signature: &Signature, hashes: &mut BodyHashes<'_>, now: u64) -> Option<(&'static str, String)> {
    let never = |why: &str| Some(("permerror", why.to_owned()));
    if signature.v != 1 {
        return never("the tag v is not 1");
    }
    if signature.a == Algorithm::RsaSha1 {
        return never("rsa-sha1 is not accepted (RFC 8301)");
    }
    if !signature.h.iter().any(|name| name.eq_ignore_ascii_case("from")) {
        return never("From is not signed");
    }
    if !identity_is_of_the_domain(signature, false) {
        return never("the tag i is not of the domain in d");
    }
    if signature.x != 0 && (signature.x <= signature.t || signature.x <= now) {
        return Some(("fail", "the signature has expired".to_owned()));
    }
    let limit = Some(signature.l).filter(|limit| *limit != 0);
    let body = hashes.of(signature.cb, limit);
    if body.hash != signature.bh {
        return Some(("fail", "the body is not the one that was signed".to_owned()));
    }
    match limit {
        Some(limit) if limit > body.len => never("the tag l is more than there is of the body"),
        // Whoever adds to a mail must not get the word of its first sender for what was added.
        Some(limit) if limit < body.len => {
            Some(("policy", format!("only the first {limit} of {} bytes of the body are signed", body.len)))
        }
        _ => None,
    }
}

/// Whether the tag `i` names the domain, or one below it where that may be.
fn identity_is_of_the_domain(signature: &Signature, exact: bool) -> bool {
    let Some((_, host)) = signature.i.rsplit_once('@') else { return signature.i.is_empty() };
    let host = host.to_ascii_lowercase();
    host == signature.d || !exact && host.ends_with(&format!(".{}", signature.d))
}

async fn signature_fits(
    mail: &Mail<'_>,
    (name, value): Field<'_>,
    signature: &Signature,
    resolver: &dyn Resolver,
) -> Result<(), Trouble> {
    let key = PublicKey::find(resolver, &signature.s, &signature.d).await?;
    if key.exact && !identity_is_of_the_domain(signature, true) {
        return Err(Trouble::Never("the key is not for domains below its own".to_owned()));
    }
    fits(mail, (name, value), &signature.h, signature.ch, &signature.b, signature.a, &key)
}

/// Whether a field signs the mail's headers with this key.
pub(crate) fn fits(
    mail: &Mail<'_>,
    (name, value): Field<'_>,
    signed: &[String],
    form: Canonicalization,
    signature: &[u8],
    algorithm: Algorithm,
    key: &PublicKey,
) -> Result<(), Trouble> {
    let unsigned = tag::unsigned(value);
    let fields = mail.signed(signed.iter().map(String::as_str)).into_iter().chain([(name, &unsigned[..])]);
    key.verify(fields, form, signature, algorithm)
}

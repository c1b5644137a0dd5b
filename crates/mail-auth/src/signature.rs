//! Fields that sign: `DKIM-Signature` and `ARC-Message-Signature` have the same tags.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::body;
use crate::fold::Folded;
use crate::mail::{Mail, canonical};
use crate::signer::{Signer, SignerError};

/// What tells one kind of field from the other.
pub(crate) struct Kind<'a> {
    pub(crate) name: &'static str,
    /// The tags before all others.
    pub(crate) first: &'a str,
    /// The tags of the signer that only one kind knows.
    pub(crate) more: &'a [String],
}

/// A field that signs this mail, with its line end. `now` is in seconds since 1970.
pub(crate) fn field(signer: &Signer, mail: &Mail<'_>, now: u64, kind: &Kind<'_>) -> Result<String, SignerError> {
    let names = signer.names(mail);
    let body = body::hash(mail.body, signer.body_form, None);
    let mut field = Folded::new(kind.name);
    field.word(kind.first);
    field.word(&format!("a={};", signer.key.algorithm().name()));
    field.word(&format!("c={}/{};", form(signer.header_form), form(signer.body_form)));
    field.word(&format!("d={};", signer.domain));
    field.word(&format!("s={};", signer.selector));
    kind.more.iter().for_each(|tag| field.word(&format!("{tag};")));
    field.word(&format!("t={now};"));
    if let Some(seconds) = signer.expiration {
        field.word(&format!("x={};", now.saturating_add(seconds)));
    }
    if signer.body_length {
        field.word(&format!("l={};", body.len));
    }
    for (index, name) in names.iter().enumerate() {
        let end = if index + 1 == names.len() { ';' } else { ':' };
        match index {
            0 => field.word(&format!("h={name}{end}")),
            _ => field.part(&format!("{name}{end}")),
        }
    }
    field.word("bh=");
    field.run(&format!("{};", STANDARD.encode(&body.hash)));
    field.word("b=");
    let unsigned = field.text().to_owned();
    let signed = sign(signer, mail.signed(names.iter().map(String::as_str)), &unsigned, signer.header_form)?;
    field.run(&STANDARD.encode(signed));
    Ok(field.into_text() + "\r\n")
}

/// The signature of fields and of a field that ends in `b=`.
pub(crate) fn sign(
    signer: &Signer,
    fields: Vec<(&[u8], &[u8])>,
    unsigned: &str,
    form: mail_auth::dkim::Canonicalization,
) -> Result<Vec<u8>, SignerError> {
    let (name, value) = unsigned.split_once(':').unwrap_or((unsigned, ""));
    let text = canonical(form, fields.into_iter().chain([(name.as_bytes(), value.as_bytes())]));
    signer.key.sign(&text).ok_or(SignerError::Unable)
}

fn form(form: mail_auth::dkim::Canonicalization) -> &'static str {
    match form {
        mail_auth::dkim::Canonicalization::Relaxed => "relaxed",
        mail_auth::dkim::Canonicalization::Simple => "simple",
    }
}

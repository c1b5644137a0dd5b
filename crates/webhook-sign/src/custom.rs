//! A signature in a header of the operator's own, for receivers that know another scheme.

use crate::mac::{self, Algorithm};
use crate::{EventId, Secret};
use data_encoding::{BASE64, HEXLOWER};

/// How the digest is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// Lower-case hex digits.
    #[default]
    Hex,
    /// Padded base64.
    Base64,
}

/// A header with an HMAC, both made from templates: `{id}`, `{timestamp}` and `{body}` in what is signed, `{id}`,
/// `{timestamp}` and `{signature}` in the value.
#[derive(Clone, Debug)]
pub struct CustomSignature {
    header: String,
    value: Vec<Piece>,
    signed: Vec<Piece>,
    secret: Secret,
    algorithm: Algorithm,
    encoding: Encoding,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Id,
    Timestamp,
    Body,
    Signature,
}

/// The template cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// A name that stands for nothing here.
    #[error("{{{found}}} stands for nothing here; known are {known}")]
    Unknown {
        /// What stands between the braces.
        found: String,
        /// What may stand there.
        known: &'static str,
    },
    /// A brace without its partner.
    #[error("a brace without its partner; a template holds no other braces than those of its names")]
    Brace,
    /// What must be covered is not.
    #[error("{0} must appear in it")]
    Missing(&'static str),
}

impl CustomSignature {
    /// `value` is what the header carries (`t={timestamp},v1={signature}`), `signed` what is signed
    /// (`{timestamp}.{body}`).
    ///
    /// # Errors
    /// An unknown name, a stray brace, a value without `{signature}`, a signed text without `{body}`.
    pub fn new(header: &str, value: &str, signed: &str, secret: Secret) -> Result<Self, (&'static str, TemplateError)> {
        let value = parse(value, "{id}, {timestamp}, {signature}", Piece::Signature).map_err(|why| ("value", why))?;
        let signed = parse(signed, "{id}, {timestamp}, {body}", Piece::Body).map_err(|why| ("signed", why))?;
        let header = header.to_ascii_lowercase();
        Ok(CustomSignature {
            header,
            value,
            signed,
            secret,
            algorithm: Algorithm::default(),
            encoding: Encoding::default(),
        })
    }

    /// With this hash.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Written like this.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// The name of the header, lower case.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The value of the header.
    pub fn sign(&self, id: &EventId, seconds: i64, body: &[u8]) -> String {
        let seconds = seconds.to_string();
        let parts: Vec<&[u8]> = self
            .signed
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Id => id.as_str().as_bytes(),
                Piece::Timestamp => seconds.as_bytes(),
                Piece::Body => body,
                // `parse` lets none in.
                Piece::Signature => b"",
            })
            .collect();
        let digest = mac::mac(self.algorithm, self.secret.reveal().as_bytes(), &parts);
        let digest = match self.encoding {
            Encoding::Hex => HEXLOWER.encode(&digest),
            Encoding::Base64 => BASE64.encode(&digest),
        };
        let pieces = self.value.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Id => id.as_str(),
            Piece::Timestamp => &seconds,
            Piece::Signature => &digest,
            Piece::Body => "",
        });
        pieces.collect()
    }
}

/// Cuts a template at its names. `own` is the name that this template must hold, and the other kind must not.
fn parse(template: &str, known: &'static str, own: Piece) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or(TemplateError::Brace)?;
        if text.contains('}') {
            return Err(TemplateError::Brace);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        pieces.push(match name {
            "id" => Piece::Id,
            "timestamp" => Piece::Timestamp,
            "body" if own == Piece::Body => Piece::Body,
            "signature" if own == Piece::Signature => Piece::Signature,
            _ => return Err(TemplateError::Unknown { found: name.to_owned(), known }),
        });
        rest = after;
    }
    if rest.contains('}') {
        return Err(TemplateError::Brace);
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    if !pieces.contains(&own) {
        return Err(TemplateError::Missing(if own == Piece::Body { "{body}" } else { "{signature}" }));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_scheme_can_be_written_as_a_template() {
        let custom =
            CustomSignature::new("Stripe-Signature", "t={timestamp},v1={signature}", "{timestamp}.{body}", secret());
        let made = custom.unwrap().sign(&EventId::new("e").unwrap(), 12, b"b");
        // printf '12.b' | openssl dgst -sha256 -hmac hunter2
        assert_eq!(made, "t=12,v1=72ae9d5d6f5fd2f7e1754473234e510d73a9a12dd4228536cba8431be716a5db");
    }

    #[test]
    fn a_body_that_looks_like_a_template_is_data() {
        let custom = CustomSignature::new("x-acme", "{signature}", "{body}", secret()).unwrap();
        let id = EventId::new("e").unwrap();
        assert_ne!(custom.sign(&id, 1, b"{id}"), custom.sign(&id, 1, b"e"));
    }

    #[test]
    fn a_template_that_says_nothing_is_refused_and_names_the_field() {
        let refused = |value: &str, signed: &str| CustomSignature::new("h", value, signed, secret()).unwrap_err();
        let unknown = |found: &str, known| TemplateError::Unknown { found: found.into(), known };
        assert_eq!(refused("v1", "{body}"), ("value", TemplateError::Missing("{signature}")));
        assert_eq!(refused("{signature}", "{id}"), ("signed", TemplateError::Missing("{body}")));
        assert_eq!(refused("{body}", "{body}"), ("value", unknown("body", "{id}, {timestamp}, {signature}")));
        assert_eq!(refused("{signature}", "{url}"), ("signed", unknown("url", "{id}, {timestamp}, {body}")));
        for stray in ["{signature", "}{signature}", "{signature}}"] {
            assert_eq!(refused(stray, "{body}").1, TemplateError::Brace, "{stray}");
        }
    }

    fn secret() -> Secret {
        Secret::new("hunter2")
    }
}

use crate::bearer::{NoEntropy, random};
use std::fmt;
use std::str::FromStr;
use waybill_types::{Ksuid, KsuidError, Timestamp};

const PREFIX: &str = "tok";

/// A token's id: `tok_` and a KSUID. It sorts by the second of its making, and is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TokenId(Ksuid);

/// Why a text is no token's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenIdError {
    /// There is no `_`.
    #[error("an id is a prefix, an underscore and {} characters", Ksuid::LENGTH)]
    Format,
    /// It is the id of something else.
    #[error("the id of a token begins with tok_")]
    Prefix,
    /// Too short or too long.
    #[error("an id has {} characters behind the underscore", Ksuid::LENGTH)]
    SuffixLen,
    /// Not base 62, or more than a KSUID can be.
    #[error("what stands behind the underscore is no KSUID")]
    Suffix,
}

impl TokenIdError {
    /// The code that klev's clients know.
    pub const fn code(self) -> &'static str {
        match self {
            TokenIdError::Format => "id-invalid-format",
            TokenIdError::Prefix => "id-invalid-prefix",
            TokenIdError::SuffixLen => "id-invalid-suffix-len",
            TokenIdError::Suffix => "id-invalid-suffix",
        }
    }
}

impl TokenId {
    /// A new one, of this second.
    ///
    /// # Errors
    /// When the operating system has no random bytes.
    pub fn mint(now: Timestamp) -> Result<Self, NoEntropy> {
        Ok(TokenId(Ksuid::new(now.secs(), random()?)))
    }

    /// The second of its making.
    pub fn created(self) -> Timestamp {
        self.0.created()
    }
}

impl FromStr for TokenId {
    type Err = TokenIdError;

    fn from_str(text: &str) -> Result<Self, TokenIdError> {
        let (prefix, suffix) = text.split_once('_').ok_or(TokenIdError::Format)?;
        if prefix != PREFIX {
            return Err(TokenIdError::Prefix);
        }
        match suffix.parse() {
            Ok(ksuid) => Ok(TokenId(ksuid)),
            Err(KsuidError::Length) => Err(TokenIdError::SuffixLen),
            Err(KsuidError::Digits) => Err(TokenIdError::Suffix),
        }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}_{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_second_and_comes_back_as_it_was() {
        let now = Timestamp::parse_rfc3339("2026-11-26T08:00:01.5Z").unwrap();
        let id = TokenId::mint(now).unwrap();
        let text = id.to_string();
        assert_eq!((text.len(), &text[..4]), (31, "tok_"));
        assert_eq!(text.parse::<TokenId>(), Ok(id));
        assert_eq!(id.created(), Timestamp::parse_rfc3339("2026-11-26T08:00:01Z").unwrap());
        assert_ne!(id, TokenId::mint(now).unwrap());
        assert!(id < TokenId::mint(now + std::time::Duration::from_secs(1)).unwrap());
        assert!(TokenId::mint(Timestamp::EPOCH).is_ok() && TokenId::mint(Timestamp::MAX).is_ok());
    }

    #[test]
    fn what_is_no_id_has_the_code_that_says_so() {
        for (text, code) in [
            ("", "id-invalid-format"),
            ("tok", "id-invalid-format"),
            ("log_2VnvpTOoNFQRf0G9peK1zKlfhlf", "id-invalid-prefix"),
            ("TOK_2VnvpTOoNFQRf0G9peK1zKlfhlf", "id-invalid-prefix"),
            ("tok_", "id-invalid-suffix-len"),
            ("tok_2VnvpTOoNFQRf0G9peK1zKlfhl", "id-invalid-suffix-len"),
            ("tok_2VnvpTOoNFQRf0G9peK1zKlfhlf0", "id-invalid-suffix-len"),
            ("tok_2VnvpTOoNFQRf0G9peK1zKlfhl_", "id-invalid-suffix"),
            ("tok_äääääääääääääääääääääääääää", "id-invalid-suffix"),
            ("tok_zzzzzzzzzzzzzzzzzzzzzzzzzzz", "id-invalid-suffix"),
        ] {
            assert_eq!(text.parse::<TokenId>().unwrap_err().code(), code, "{text}");
        }
        for text in ["tok_000000000000000000000000000", "tok_aWgEPTl1tmebfsQzFP4bxwgy80V"] {
            assert_eq!(text.parse::<TokenId>().unwrap().to_string(), text, "the first and the last there can be");
        }
    }
}

use crate::{Code, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use waybill_types::{Ksuid, KsuidError};

/// What an id is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A log.
    Log,
    /// A stored offset.
    Offset,
    /// A token.
    Token,
    /// An ingress webhook.
    Ingress,
    /// An egress webhook.
    Egress,
    /// A filter.
    Filter,
}

impl Kind {
    const ALL: [Kind; 6] = [Kind::Log, Kind::Offset, Kind::Token, Kind::Ingress, Kind::Egress, Kind::Filter];

    /// What its ids begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Kind::Log => "log",
            Kind::Offset => "off",
            Kind::Token => "tok",
            Kind::Ingress => "iwh",
            Kind::Egress => "ewh",
            Kind::Filter => "trf",
        }
    }
}

/// An id: `<prefix>_<27 base62 characters>`, the suffix a [KSUID](Ksuid).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    kind: Kind,
    ksuid: Ksuid,
}

impl Id {
    /// A new one, made at this time (unix seconds) of these random bytes.
    pub fn mint(kind: Kind, seconds: i64, random: [u8; 16]) -> Self {
        Id { kind, ksuid: Ksuid::new(seconds, random) }
    }

    /// Reads an id of this kind.
    ///
    /// # Errors
    /// One of klev's `id-invalid-…` codes.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, Error> {
        let wrong = |code, why: String| Err(Error::new(code, why));
        let Some((prefix, suffix)) = text.split_once('_') else {
            return wrong(Code::IdInvalidFormat, format!("an id is {}_ and 27 characters", kind.prefix()));
        };
        if prefix != kind.prefix() {
            return wrong(Code::IdInvalidPrefix, format!("the id must begin with {}_", kind.prefix()));
        }
        match suffix.parse() {
            Ok(ksuid) => Ok(Id { kind, ksuid }),
            Err(KsuidError::Length) => {
                let (wanted, given) = (Ksuid::LENGTH, suffix.chars().count());
                let why = format!("the suffix of an id has {wanted} characters, this has {given}");
                wrong(Code::IdInvalidSuffixLen, why)
            }
            Err(KsuidError::Digits) => wrong(Code::IdInvalidSuffix, "the suffix of the id is no KSUID".to_owned()),
        }
    }

    /// What it is of.
    pub const fn kind(self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.kind.prefix(), self.ksuid)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    /// Of whichever kind the prefix says: for what we stored ourselves.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = Kind::ALL.into_iter().find(|kind| text.split_once('_').is_some_and(|(p, _)| p == kind.prefix()));
        let kind = kind.ok_or_else(|| de::Error::custom("no id of a known kind"))?;
        Id::parse(kind, &text).map_err(|error| de::Error::custom(error.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Id::parse(Kind::Log, text).unwrap_err().code
    }

    #[test]
    fn the_ids_of_the_seed_are_read_and_written_as_they_are() {
        for (kind, text) in [
            (Kind::Log, "log_2VnvpTOoNFQRf0G9peK1zKlfhlf"),
            (Kind::Egress, "ewh_2VnwJdcym3NLEaA6MUkrPWzKWkQ"),
            (Kind::Egress, "ewh_2Vo4QwZuZy1sK1zwbgrUOgwOaZB"),
        ] {
            let id = Id::parse(kind, text).unwrap();
            assert_eq!((id.to_string().as_str(), id.kind()), (text, kind));
            assert_eq!(serde_json::from_value::<Id>(serde_json::to_value(id).unwrap()).unwrap(), id);
        }
    }

    #[test]
    fn a_new_id_holds_its_time_so_that_ids_sort_by_age() {
        // The example of the KSUID specification.
        let random = [0xB5, 0xA1, 0xCD, 0x34, 0xB5, 0xF9, 0x9D, 0x11, 0x54, 0xFB, 0x68, 0x53, 0x34, 0x5C, 0x97, 0x35];
        assert_eq!(Id::mint(Kind::Log, 1_507_608_047, random).to_string(), "log_0ujtsYcgvSTl8PAuAdqWYSMnLOv");
        let (old, new) = (Id::mint(Kind::Log, 1_500_000_000, [255; 16]), Id::mint(Kind::Log, 1_500_000_001, [0; 16]));
        assert!(old < new && old.to_string() < new.to_string());
        // A clock far off is no reason to panic.
        assert!(Id::mint(Kind::Log, i64::MIN, [0; 16]) < Id::mint(Kind::Log, i64::MAX, [0; 16]));
    }

    #[test]
    fn each_way_of_being_no_id_has_its_code() {
        assert_eq!(code("2VnvpTOoNFQRf0G9peK1zKlfhlf"), Code::IdInvalidFormat);
        assert_eq!(code(""), Code::IdInvalidFormat);
        assert_eq!(code("ewh_2VnvpTOoNFQRf0G9peK1zKlfhlf"), Code::IdInvalidPrefix);
        assert_eq!(code("LOG_2VnvpTOoNFQRf0G9peK1zKlfhlf"), Code::IdInvalidPrefix);
        assert_eq!(code("log_2VnvpTOoNFQRf0G9peK1zKlfhl"), Code::IdInvalidSuffixLen);
        assert_eq!(code("log_"), Code::IdInvalidSuffixLen);
        assert_eq!(code("log_2VnvpTOoNFQRf0G9peK1zKlf-lf"), Code::IdInvalidSuffix);
        assert_eq!(code("log_zzzzzzzzzzzzzzzzzzzzzzzzzzz"), Code::IdInvalidSuffix, "more than 20 bytes");
        assert_eq!(code("log_2VnvpTOoNFQRf0G9peK1zKlfh_f"), Code::IdInvalidSuffix);
        assert!(Id::parse(Kind::Log, "log_aWgEPTl1tmebfsQzFP4bxwgy80V").is_ok(), "the greatest KSUID");
    }
}

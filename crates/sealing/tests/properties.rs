//! What must hold of every secret, every place, and every way to tamper with what is stored.

use proptest::prelude::*;
use waybill_sealing::{Key, Keyring, Malformed, OpenError, Place, Sealed};

fn ring() -> Keyring {
    Keyring::of(Key::random().unwrap())
}

fn place(parts: &[String]) -> Place {
    parts.iter().fold(Place::new("test"), |place, part| place.part(part))
}

proptest! {
    #[test]
    fn a_secret_comes_back_in_its_place_and_nowhere_else(
        secret: Vec<u8>,
        here in prop::collection::vec(".{0,8}", 0..4),
        there in prop::collection::vec(".{0,8}", 0..4),
    ) {
        let ring = ring();
        let sealed = ring.seal(&place(&here), &secret).unwrap();
        let opened = ring.open(&place(&here), &sealed).unwrap();
        prop_assert_eq!(opened.reveal(), &secret[..]);
        if here != there {
            prop_assert_eq!(ring.open(&place(&there), &sealed).unwrap_err(), OpenError::Refused);
        }
    }

    #[test]
    fn text_and_bytes_and_json_of_a_sealed_value_lead_back_to_it(secret: Vec<u8>) {
        let sealed = ring().seal(&place(&[]), &secret).unwrap();
        prop_assert_eq!(&Sealed::from_bytes(sealed.as_bytes()).unwrap(), &sealed);
        prop_assert_eq!(&sealed.to_string().parse::<Sealed>().unwrap(), &sealed);
        let json = serde_json::to_string(&sealed).unwrap();
        prop_assert!(json.starts_with("\"sealed:"));
        prop_assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
    }

    #[test]
    fn a_secret_cannot_be_seen_in_what_is_stored(secret in prop::collection::vec(any::<u8>(), 8..64)) {
        let ring = ring();
        let (one, two) = (ring.seal(&place(&[]), &secret).unwrap(), ring.seal(&place(&[]), &secret).unwrap());
        prop_assert!(!one.as_bytes().windows(secret.len()).any(|window| window == secret));
        prop_assert_ne!(one, two, "equal secrets look different");
    }

    #[test]
    fn bytes_that_are_no_sealed_value_are_refused(bytes: Vec<u8>) {
        match Sealed::from_bytes(&bytes) {
            Ok(sealed) => prop_assert_eq!(ring().open(&place(&[]), &sealed).unwrap_err(), OpenError::UnknownKey(sealed.key())),
            Err(Malformed::Version(version)) => prop_assert_eq!(Some(&version), bytes.first()),
            Err(Malformed::Form) => prop_assert!(bytes.len() < 49),
        }
    }
}

#[test]
fn one_bit_changed_anywhere_keeps_a_value_shut() {
    let ring = ring();
    let sealed = ring.seal(&place(&[]), b"hunter2").unwrap();
    for bit in 0..sealed.as_bytes().len() * 8 {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let opened =
            Sealed::from_bytes(&bytes).map_err(OpenError::from).and_then(|sealed| ring.open(&place(&[]), &sealed));
        let error = opened.expect_err("altered");
        let expected = match bit / 8 {
            0 => matches!(error, OpenError::Malformed(Malformed::Version(_))),
            1..9 => matches!(error, OpenError::UnknownKey(_)),
            _ => error == OpenError::Refused,
        };
        assert!(expected, "bit {bit}: {error:?}");
    }
}

#[test]
fn a_value_cut_off_or_grown_stays_shut() {
    let ring = ring();
    let sealed = ring.seal(&place(&[]), b"hunter2").unwrap();
    let open = |bytes: &[u8]| {
        Sealed::from_bytes(bytes).map_err(OpenError::from).and_then(|sealed| ring.open(&place(&[]), &sealed))
    };
    for length in 0..sealed.as_bytes().len() {
        assert!(open(&sealed.as_bytes()[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(open(&[sealed.as_bytes(), b"\0"].concat()).unwrap_err(), OpenError::Refused);
    assert!(open(sealed.as_bytes()).is_ok());
}

#[test]
fn a_secret_that_was_never_sealed_is_not_repeated_by_the_error() {
    for json in [r#""hunter2""#, "4711", r#"{"secret":"hunter2"}"#] {
        let error = serde_json::from_str::<Sealed>(json).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
    }
}

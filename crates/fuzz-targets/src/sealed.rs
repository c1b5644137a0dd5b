//! Sealed values and rings of keys, as they come from a disk or a file that somebody wrote into.

use std::sync::LazyLock;
use waybill_sealing::{Key, Keyring, OpenError, Place, Sealed};

pub(crate) const WORDS: &[&str] =
    &["sealed:", "#", "\n", "=", "6Kd0pQ7V0sYh3n1jZJpT4R2mXw9uFbL8cAeGiKoSqUw=", "00010203", "\r\n", "\u{1}"];

/// The key that nothing of the corpus was sealed by.
static RING: LazyLock<Option<Keyring>> = LazyLock::new(|| Key::random().ok().map(Keyring::of));

/// What parses prints as it was; nothing that a stranger made up opens; a ring opens what it seals.
pub(crate) fn sealed(data: &[u8]) {
    let place = Place::new("fuzz");
    let text = std::str::from_utf8(data).ok().and_then(|text| text.parse::<Sealed>().ok());
    for value in [Sealed::from_bytes(data).ok(), text].into_iter().flatten() {
        assert_eq!(value.to_string().parse(), Ok(value.clone()));
        let opened = RING.as_ref().map(|ring| ring.open(&place, &value));
        assert!(!matches!(opened, Some(Ok(_))), "{value} opened");
    }
    let Ok(ring) = Keyring::parse(data) else { return };
    let sealed = ring.seal(&place, data).expect("random bytes");
    assert!(ring.is_current(&sealed) && ring.holds(sealed.key()));
    assert_eq!(ring.open(&place, &sealed).expect("its own").reveal(), data);
    let elsewhere = ring.open(&Place::new("elsewhere"), &sealed);
    assert_eq!(elsewhere.err(), Some(OpenError::Refused));
}

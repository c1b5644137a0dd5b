//! What a number looks like once a Lua table is JSON, and serde does not expect.

use serde::de::{self, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads a number above zero. Lua writes `1e9` as a float: a whole one is taken.
pub fn above_zero<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    struct Visitor<T>(PhantomData<T>);
    impl<T: TryFrom<u64>> de::Visitor<'_> for Visitor<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number above zero")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
            let wrong = |visitor: &Self| E::invalid_value(de::Unexpected::Unsigned(number), visitor);
            if number == 0 { Err(wrong(&self)) } else { T::try_from(number).map_err(|_| wrong(&self)) }
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            match u64::try_from(number) {
                Ok(number) => self.visit_u64(number),
                Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
            }
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
            match whole(number) {
                Some(number) => self.visit_u64(number),
                None => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
            }
        }
    }
    deserializer.deserialize_any(Visitor(PhantomData))
}

/// The number, when it is whole, not negative, and small enough to be exact as a float.
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
    ((0.0..=EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

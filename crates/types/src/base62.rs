//! Base 62 as KSUIDs have it: digits, capitals, small letters, in the order of ASCII.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The last `width` digits of the number that these bytes are, big endian.
pub fn encode(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits: Vec<char> = (0..width).map(|_| digit(divide(&mut number))).collect();
    digits.reverse();
    digits.into_iter().collect()
}

/// The number that these digits are, as `N` bytes; `None` for another character or a number that does not fit.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut number = [0u8; N];
    for byte in text.bytes() {
        let mut carry = u32::try_from(ALPHABET.iter().position(|known| *known == byte)?).ok()?;
        for place in number.iter_mut().rev() {
            let sum = u32::from(*place) * 62 + carry;
            let [.., low] = sum.to_be_bytes();
            *place = low;
            carry = sum >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

/// Divides by 62 in place, and gives what remains.
fn divide(number: &mut [u8]) -> u32 {
    let mut rest = 0u32;
    for place in number {
        let value = (rest << 8) | u32::from(*place);
        let [.., low] = (value / 62).to_be_bytes();
        *place = low;
        rest = value % 62;
    }
    rest
}

fn digit(value: u32) -> char {
    usize::try_from(value).ok().and_then(|value| ALPHABET.get(value)).map_or('0', |byte| char::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_does_not_fit_is_none() {
        for bytes in [[0; 4], [0, 0, 0, 61], [0, 0, 1, 0], [1, 2, 3, 4], [255; 4]] {
            assert_eq!(decode::<4>(&encode(&bytes, 6)), Some(bytes));
        }
        assert_eq!(encode(&[0, 0, 0, 62], 6), "000010");
        assert_eq!(encode(&[255; 4], 6), "4gfFC3");
        assert_eq!(decode::<4>("4gfFC4"), None, "one more than four bytes hold");
        for wrong in ["4gf-C3", "é", " 1"] {
            assert_eq!(decode::<4>(wrong), None, "{wrong}");
        }
    }
}

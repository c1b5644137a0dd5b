//! Texts as they stand in JSON, written as serde_json writes them, but a block at a time: most need nothing escaped.

use std::str::Utf8Error;

/// Bytes that are looked at together: few enough that the compiler compares them all at once.
const BLOCK: usize = 32;

/// Appends these bytes as the inside of a JSON string.
///
/// # Errors
/// Where they are no UTF-8; what was appended then means nothing.
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Utf8Error> {
    let (mut written, mut at) = (0, 0);
    let mut ascii = true;
    for block in bytes.chunks(BLOCK) {
        let (mut special, mut high) = (false, false);
        for byte in block {
            special |= is_special(*byte);
            high |= !byte.is_ascii();
        }
        ascii &= !high;
        if special {
            for (within, byte) in block.iter().enumerate().filter(|(_, byte)| is_special(**byte)) {
                out.extend_from_slice(&bytes[written..at + within]);
                written = at + within + 1;
                escaped(out, *byte);
            }
        }
        at += block.len();
    }
    out.extend_from_slice(&bytes[written..]);
    if ascii { Ok(()) } else { std::str::from_utf8(bytes).map(drop) }
}

fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = vec![b'"'];
        push(&mut out, text.as_bytes()).unwrap();
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_character_is_written_as_serde_json_writes_it_wherever_it_stands() {
        let all = (0..0x300).chain(0x2020..0x2030).chain(0x1_f600..0x1_f610).filter_map(char::from_u32);
        for one in all {
            for before in [0, 1, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK + 7] {
                let text = format!("{}{one}{one}a{one}", "x".repeat(before));
                assert_eq!(shown(&text), serde_json::to_string(&text).unwrap(), "{one:?} behind {before}");
            }
        }
        assert_eq!(shown(""), r#""""#);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_wherever_they_stand() {
        for before in [0, 1, BLOCK - 1, BLOCK, 100] {
            for wrong in [&[0x80][..], &[0xff], &[0xc3], &[0xed, 0xa0, 0x80], &[0xf0, 0x9f]] {
                let bytes = [&vec![b'x'; before], wrong].concat();
                assert!(push(&mut Vec::new(), &bytes).is_err(), "{wrong:?} behind {before}");
            }
        }
    }
}

//! Whether the database's logs are whole, looked at before the database is opened.
//!
//! RocksDB reads a log up to the first record that is not as it was written, and drops what is behind it without a word. That is
//! right for a write that was cut off when the machine died, for nobody was told that it is kept. It is wrong for a log that was
//! damaged later, where accepted mail is behind the place. The two look different: what is cut off ends before its length says, or
//! in pages that were never written.
//!
//! A log is a sequence of blocks of 32 KiB with records in them: a checksum (CRC-32C, masked), a length, a kind, the bytes. What
//! is too long for the rest of a block goes on in the next one as a record of its own.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const BLOCK: usize = 32 * 1024;
/// Checksum, length, kind.
const HEADER: usize = 7;
/// Of kinds for log files that are used again: the number of the log as well.
const LONG_HEADER: usize = 11;
/// Kinds of records, and those of them with a long header; see `log_format.h` of RocksDB.
const KINDS: [u8; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130, 131];
const RECYCLABLE: [u8; 6] = [5, 6, 7, 8, 11, 131];
const MASK: u32 = 0xa282_ead8;
/// Disks write at least so much at a time: a hole in a file is no shorter.
const SECTOR: u64 = 512;

/// A log that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Broken {
    pub(crate) file: PathBuf,
    /// Where the first record that is not whole begins.
    pub(crate) at: u64,
    pub(crate) how: How,
}

/// How it came to be so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// The write was cut off: nobody was told that it is kept.
    CutOff,
    /// It was whole once.
    Damaged,
}

/// Looks at the logs of a database that is not open; those that are broken, in order.
pub(crate) fn broken(folder: &Path) -> io::Result<Vec<Broken>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    let mut broken = Vec::new();
    for file in files {
        if let Some((at, how)) = look(&mut BufReader::new(File::open(&file)?))? {
            broken.push(Broken { file, at, how });
        }
    }
    Ok(broken)
}

/// The first place that is not whole.
fn look(log: &mut impl Read) -> io::Result<Option<(u64, How)>> {
    let mut start = 0;
    loop {
        let block = read_block(log)?;
        if let Some(place) = first_bad(&block) {
            let how = judge(&block, place, log)?;
            return Ok(Some((start + place as u64, how)));
        }
        if block.len() < BLOCK {
            return Ok(None);
        }
        start += BLOCK as u64;
    }
}

/// The next block: shorter where the log ends.
fn read_block(log: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(BLOCK);
    log.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

/// What stands at a place of a block.
#[derive(PartialEq, Eq, Debug)]
enum Found {
    /// A record of so many bytes.
    Record(usize),
    /// Nothing more in this block.
    Nothing,
    Bad,
}

fn at(block: &[u8], place: usize) -> Found {
    let rest = block.get(place..).unwrap_or_default();
    // Too little room for a header is left empty, and so is what was reserved and never written.
    if rest.is_empty() || BLOCK - place < HEADER {
        return Found::Nothing;
    }
    let Some((&[c0, c1, c2, c3, l0, l1, kind], _)) = rest.split_first_chunk::<HEADER>() else { return Found::Bad };
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if kind == 0 && length == 0 {
        return Found::Nothing;
    }
    if !KINDS.contains(&kind) {
        return Found::Bad;
    }
    let header = if RECYCLABLE.contains(&kind) { LONG_HEADER } else { HEADER };
    // The kind is under the checksum, and so is the number of the log.
    match rest.get(HEADER - 1..header + length) {
        Some(checked) if masked(crc32c::crc32c(checked)) == u32::from_le_bytes([c0, c1, c2, c3]) => {
            Found::Record(header + length)
        }
        _ => Found::Bad,
    }
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK)
}

fn first_bad(block: &[u8]) -> Option<usize> {
    let mut place = 0;
    loop {
        match at(block, place) {
            Found::Record(length) => place += length,
            Found::Nothing => return None,
            Found::Bad => return Some(place),
        }
    }
}

/// How the record at this place of the block came to be bad; `behind` is what follows the block.
fn judge(block: &[u8], place: usize, behind: &mut impl Read) -> io::Result<How> {
    // A whole record behind it was written later.
    let whole = |place| matches!(at(block, place), Found::Record(_));
    if (place + 1..block.len()).any(whole) {
        return Ok(How::Damaged);
    }
    let mut zeros = trailing_zeros(block);
    let mut last = block.len();
    loop {
        let block = read_block(behind)?;
        if block.is_empty() {
            break;
        }
        if matches!(at(&block, 0), Found::Record(_)) {
            return Ok(How::Damaged);
        }
        let own = trailing_zeros(&block);
        zeros = if own == block.len() as u64 { zeros + own } else { own };
        last = block.len();
    }
    let rest = block.get(place..).unwrap_or_default();
    let says =
        rest.split_first_chunk::<HEADER>().map(|(&[.., l0, l1, _], _)| usize::from(u16::from_le_bytes([l0, l1])));
    // It says that it is longer than what is there, and could be.
    let is_short = last < BLOCK && block.len() < BLOCK && says.is_none_or(|length| HEADER + length > rest.len());
    let could_be = says.is_none_or(|length| place + HEADER + length <= BLOCK);
    Ok(if (is_short && could_be) || zeros >= SECTOR { How::CutOff } else { How::Damaged })
}

fn trailing_zeros(bytes: &[u8]) -> u64 {
    bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with records of these lengths, as RocksDB writes it.
    fn log(lengths: &[usize]) -> Vec<u8> {
        let mut log: Vec<u8> = Vec::new();
        for (number, length) in lengths.iter().enumerate() {
            let bytes = vec![b'a' + u8::try_from(number % 26).unwrap(); *length];
            let (mut rest, mut begun) = (&bytes[..], false);
            loop {
                let room = BLOCK - log.len() % BLOCK;
                if room < HEADER {
                    log.extend(vec![0; room]);
                    continue;
                }
                let (piece, later) = rest.split_at(rest.len().min(room - HEADER));
                let kind = match (begun, later.is_empty()) {
                    (false, true) => 1,
                    (false, false) => 2,
                    (true, false) => 3,
                    (true, true) => 4,
                };
                let checked = [&[kind][..], piece].concat();
                log.extend(masked(crc32c::crc32c(&checked)).to_le_bytes());
                log.extend(u16::try_from(piece.len()).unwrap().to_le_bytes());
                log.extend(checked);
                (rest, begun) = (later, true);
                if rest.is_empty() {
                    break;
                }
            }
        }
        log
    }

    fn found(log: &[u8]) -> Option<(u64, How)> {
        look(&mut &log[..]).unwrap()
    }

    const LENGTHS: [usize; 6] = [100, 40_000, 10, 90_000, 1_000, 2_000];

    #[test]
    fn a_whole_log_is_whole() {
        for count in 0..=LENGTHS.len() {
            assert_eq!(found(&log(&LENGTHS[..count])), None, "{count} records");
        }
        let mut reserved = log(&LENGTHS);
        reserved.extend(vec![0; 100_000]);
        assert_eq!(found(&reserved), None, "with room that was never written to");
    }

    #[test]
    fn a_log_that_ends_anywhere_was_cut_off() {
        let whole = log(&LENGTHS);
        for length in (0..whole.len()).step_by(97) {
            let how = found(&whole[..length]).map(|(_, how)| how);
            assert_ne!(how, Some(How::Damaged), "after {length} bytes");
        }
        // In pages that were never written.
        let mut holed = log(&LENGTHS);
        let length = holed.len();
        holed[length - 1500..].fill(0);
        assert_eq!(found(&holed).map(|(_, how)| how), Some(How::CutOff));
    }

    #[test]
    fn a_byte_that_changed_anywhere_is_damage() {
        let whole = log(&LENGTHS);
        let last = whole.len() - HEADER - LENGTHS[5];
        for place in (0..whole.len()).step_by(53) {
            // Between records; and a last record that says it is longer was cut off, as far as anybody can tell.
            if BLOCK - place % BLOCK < HEADER || (last + 4..last + 6).contains(&place) {
                continue;
            }
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            let found = found(&changed);
            assert!(matches!(found, Some((at, How::Damaged)) if at <= place as u64), "byte {place}: {found:?}");
        }
    }
}

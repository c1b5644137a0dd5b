//! Inputs made of others, by a seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The most bytes of an input that was made up.
const MOST: usize = 4096;
/// Bytes that mean something to most parsers.
const ODD: &[u8] = b"\0\r\n\t .:;,@<>\"\\/=-+{}[]%!\x7f\x80\xff09aA";

/// Makes inputs up: the same ones for the same seed, corpus and words.
#[derive(Debug)]
pub struct Mutator {
    random: StdRng,
}

impl Mutator {
    /// With a seed.
    pub fn new(seed: u64) -> Self {
        Mutator { random: StdRng::seed_from_u64(seed) }
    }

    /// One input of the corpus, damaged in a few places, maybe with a piece of another in it.
    pub fn next(&mut self, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut input = self.pick(corpus);
        for _ in 0..self.random.random_range(1..=6) {
            self.damage(&mut input, corpus, words);
        }
        input.truncate(MOST);
        input
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        match corpus.len() {
            0 => Vec::new(),
            len => corpus[self.random.random_range(0..len)].clone(),
        }
    }

    fn damage(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
        let at = self.random.random_range(0..=input.len());
        let to = self.random.random_range(at..=input.len().min(at + 64));
        match self.random.random_range(0..9) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..to)),
            2 => {
                let piece = input[at..to].to_vec();
                let place = self.random.random_range(0..=input.len());
                input.splice(place..place, piece);
            }
            3 if at < input.len() => input[at] ^= 1 << self.random.random_range(0..8),
            4 if at < input.len() => input[at] = self.random.random(),
            5 => input.insert(at, ODD[self.random.random_range(0..ODD.len())]),
            6 => {
                // A piece of another.
                let other = self.pick(corpus);
                let from = self.random.random_range(0..=other.len());
                let until = self.random.random_range(from..=other.len().min(from + 256));
                input.splice(at..to, other[from..until].iter().copied());
            }
            _ if !words.is_empty() => {
                let word = words[self.random.random_range(0..words.len())];
                // In place of something, or between.
                let to = if self.random.random() { at } else { to };
                input.splice(at..to, word.bytes());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_inputs_again_and_another_gives_others() {
        let corpus = [b"MAIL FROM:<a@b>\r\n".to_vec(), b"QUIT\r\n".to_vec()];
        let inputs = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..50).map(|_| mutator.next(&corpus, &["RSET\r\n"])).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        assert!(inputs(1).iter().any(|input| !corpus.contains(input)));
        assert!(Mutator::new(1).next(&[], &[]).len() <= MOST);
    }
}

//! Messages like those of a chat: JSON of a given length, without repetition.

use std::io::Write;

/// How many different words there are.
const WORDS: usize = 4_000;

/// Syllables of which words are made, with the letters of English about as frequent as in it.
const SYLLABLES: [&str; 48] = [
    "the", "an", "in", "er", "re", "on", "at", "en", "nd", "ti", "es", "or", "te", "of", "ed",
    "is", "it", "al", "ar", "st", "to", "nt", "ng", "se", "ha", "as", "ou", "io", "le", "ve", "co",
    "me", "de", "hi", "ri", "ro", "ic", "ne", "ea", "ra", "ce", "li", "ch", "ll", "be", "ma", "si",
    "om",
];

/// A source of messages that depend only on the seed.
#[derive(Debug)]
pub struct Chatter {
    seed: u64,
    draw: Draw,
    words: Vec<String>,
}

/// How often each word is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Draw {
    /// As in languages: the second most frequent half as often as the first, and so on (Zipf)
    Zipf,
    /// All equally often, which is harder to compress than any natural text
    Uniform,
}

/// A random number generator (`SplitMix64`), which needs no more state than a number.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number from 0 up to, but not including, 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.share() * end as f64) as usize
    }
}

impl Chatter {
    pub fn new(seed: u64, draw: Draw) -> Self {
        let mut dice = Dice(seed);
        let mut words = Vec::new();
        while words.len() < WORDS {
            let syllables = 1 + dice.below(4);
            let word: String =
                (0..syllables).map(|_| SYLLABLES[dice.below(SYLLABLES.len())]).collect();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        Self { seed, draw, words }
    }

    /// A sender's message: a JSON object of `bytes` bytes.
    pub fn message(&self, sender: u32, sequence: u32, bytes: usize) -> Vec<u8> {
        let mut dice = Dice(self.seed ^ (u64::from(sender) << 32 | u64::from(sequence)));
        dice.0 = dice.next();
        // Some seconds between the messages of one sender.
        let moment = 1_767_225_600_000 + u64::from(sequence) * 3_000 + dice.below(3_000) as u64;
        let mut message = Vec::with_capacity(bytes + 16);
        write!(
            message,
            r#"{{"user":"user-{sender}","room":"lobby","seq":{sequence},"ts":{moment},"text":""#
        )
        .expect("a Vec takes everything");
        while message.len() < bytes - 2 {
            message.extend_from_slice(self.word(&mut dice).as_bytes());
            message.push(b' ');
        }
        message.truncate(bytes - 2);
        message.extend_from_slice(b"\"}");
        message
    }

    fn word(&self, dice: &mut Dice) -> &str {
        let index = match self.draw {
            Draw::Uniform => dice.below(WORDS),
            // A rank's logarithm is evenly spread where its frequency is the rank's reciprocal.
            Draw::Zipf => (WORDS as f64).powf(dice.share()) as usize - 1,
        };
        &self.words[index.min(WORDS - 1)]
    }
}

/// The sender and the number of a message.
pub fn parse(message: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(message).ok()?;
    let (sender, rest) = text.strip_prefix(r#"{"user":"user-"#)?.split_once('"')?;
    let (sequence, _) = rest.strip_prefix(r#","room":"lobby","seq":"#)?.split_once(',')?;
    Some((sender.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_of_their_length_with_their_sender() {
        for draw in [Draw::Zipf, Draw::Uniform] {
            let chatter = Chatter::new(1, draw);
            for (sender, sequence, bytes) in [(0, 0, 150), (3, 77_777, 150), (499, 1, 600)] {
                let message = chatter.message(sender, sequence, bytes);
                assert_eq!(message.len(), bytes);
                assert_eq!(parse(&message), Some((sender, sequence)));
                assert!(serde_json::from_slice::<serde_json::Value>(&message).is_ok());
            }
        }
    }

    #[test]
    fn the_seed_decides() {
        let message = |seed| Chatter::new(seed, Draw::Zipf).message(1, 2, 150);
        assert_eq!(message(1), message(1));
        assert_ne!(message(1), message(2));
    }
}

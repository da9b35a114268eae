/// A digest of words of 64 bits: see `docs/reference/events.md`. It is for finding differences that nobody makes on purpose, and takes
/// fewer instructions than a CRC of short data.
#[derive(Debug, Default)]
pub(super) struct Digest(u64);

/// An odd number whose bits look random: 2^64 divided by π.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

impl Digest {
    #[inline]
    pub(super) fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(FACTOR);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    /// Adds bytes, with zeros up to the end of the last word.
    #[inline]
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.add(word);
        }
    }

    /// Returns the lower half.
    pub(super) fn finish(&self) -> u32 {
        self.0 as u32
    }
}

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::ops::Range;

/// The initial linear memory of all rooms of a program. A snapshot contains only the differences from it.
///
/// Nearly all of a published guest's megabyte is zero, and is never changed.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// The size in bytes.
    size: usize,
    runs: Vec<Run>,
}

/// Chunks in a row that are not zero, all in one window.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) at: usize,
    pub(crate) bytes: Box<[u8]>,
}

/// The number of bytes by which memories are compared.
const CHUNK: usize = 256;

/// The number of bytes of a memory that are compared, or copied, in one step: a multiple of the chunk.
/// Changes on both sides of its end become two pieces of a snapshot.
pub(crate) const WINDOW: usize = 128 << 10;

/// Returns true if all bytes are zero. It compares words, as code that is built for size is compiled as it stands, and some C
/// libraries compare byte by byte.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks();
    words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) == 0
        && rest.iter().all(|byte| *byte == 0)
}

/// Returns true if two pieces of the same length are equal. It also compares words.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((words, rest), (other_words, other_rest)) = (one.as_chunks(), other.as_chunks());
    let differs = |(one, other): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*one) ^ u64::from_ne_bytes(*other);
    words.iter().zip(other_words).fold(0, |all, pair| all | differs(pair)) == 0 && rest == other_rest
}

impl Image {
    /// Returns a memory of this size with data at these addresses, or `None` if the data does not fit.
    pub(crate) fn new<'a>(size: usize, data: impl Iterator<Item = (u32, &'a [u8])>) -> Option<Self> {
        let mut chunks = BTreeMap::<usize, [u8; CHUNK]>::new();
        for (at, mut bytes) in data {
            let mut at = at as usize;
            if at.checked_add(bytes.len())? > size {
                return None;
            }
            while !bytes.is_empty() {
                let (begin, rest) = (at % CHUNK, CHUNK - at % CHUNK);
                let (front, back) = bytes.split_at(bytes.len().min(rest));
                let chunk = chunks.entry(at - begin).or_insert([0; CHUNK]);
                chunk[begin..begin + front.len()].copy_from_slice(front);
                (at, bytes) = (at + front.len(), back);
            }
        }
        Some(Self { size, runs: runs(size, &chunks) })
    }

    /// Returns the initial size of the memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Finds the differences of a room's memory from this one, in the window that begins at an address. They
    /// are in order and do not touch each other.
    pub(crate) fn differences(&self, memory: &[u8], window: usize, found: &mut Vec<Range<usize>>) {
        let end = memory.len().min(window + WINDOW);
        let (known, mut last) = (found.len(), self.runs.partition_point(|run| run.end() <= window));
        for begin in (window..end).step_by(CHUNK) {
            let chunk = &memory[begin..end.min(begin + CHUNK)];
            while self.runs.get(last).is_some_and(|run| run.end() <= begin) {
                last += 1;
            }
            let before = self.runs.get(last).map_or(&[][..], |run| run.chunk(begin));
            // The last chunk of this memory may be longer by now.
            let (kept, new) = chunk.split_at(before.len().min(chunk.len()));
            if is_same(kept, before) && is_zero(new) {
                continue;
            }
            match found[known..].last_mut() {
                Some(last) if last.end == begin => last.end += chunk.len(),
                _ => found.push(begin..begin + chunk.len()),
            }
        }
    }
}

impl Run {
    fn end(&self) -> usize {
        self.at + self.bytes.len()
    }

    /// Returns its bytes of the chunk that begins at an address, or `None` if the run begins later.
    fn chunk(&self, begin: usize) -> &[u8] {
        let Some(skipped) = begin.checked_sub(self.at) else { return &[] };
        &self.bytes[skipped..self.bytes.len().min(skipped + CHUNK)]
    }
}

/// Joins adjacent chunks that are not zero.
fn runs(size: usize, chunks: &BTreeMap<usize, [u8; CHUNK]>) -> Vec<Run> {
    let mut runs: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, chunk) in chunks.iter().filter(|(_, chunk)| !is_zero(&chunk[..])) {
        let bytes = &chunk[..CHUNK.min(size - at)];
        match runs.last_mut() {
            Some((begin, run)) if *begin + run.len() == *at && at % WINDOW != 0 => {
                run.extend_from_slice(bytes)
            }
            _ => runs.push((*at, bytes.to_vec())),
        }
    }
    runs.into_iter().map(|(at, bytes)| Run { at, bytes: bytes.into() }).collect()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn later_data_lies_over_earlier_and_what_is_zero_is_not_kept() {
        let data = [(250, &[1; 20][..]), (255, &[2; 2]), (5_000, &[0; 300]), (0, &[])];
        let image = Image::new(6_000, data.into_iter()).unwrap();
        assert_eq!(image.runs.len(), 1);
        let mut memory = vec![0; 6_000];
        memory[..512].copy_from_slice(&image.runs[0].bytes);
        assert_eq!(memory[249..258], [0, 1, 1, 1, 1, 1, 2, 2, 1]);
        let mut found = Vec::new();
        image.differences(&memory, 0, &mut found);
        assert_eq!(found, []);
        memory[300] = 1;
        image.differences(&memory, 0, &mut found);
        assert_eq!((found.len(), &found[0]), (1, &(256..512)));
    }

    #[test]
    fn data_fits_to_the_last_byte() {
        let fits = |at, len| Image::new(1_000, [(at, &vec![1; len][..])].into_iter()).is_some();
        assert!(fits(999, 1) && fits(1_000, 0) && fits(0, 1_000));
        assert!(!fits(999, 2) && !fits(1_001, 0) && !fits(u32::MAX, 1));
    }

    #[test]
    fn a_memory_that_has_grown_differs_only_where_something_is() {
        let image = Image::new(300, [(299, &[7][..])].into_iter()).unwrap();
        let mut memory = vec![0; WINDOW + 1_000];
        memory[299] = 7;
        let mut found = Vec::new();
        for window in [0, WINDOW] {
            image.differences(&memory, window, &mut found);
        }
        assert_eq!(found, []);
        // On both sides of the end of a window.
        memory[WINDOW - 1..=WINDOW].fill(1);
        memory[300] = 1;
        for window in [0, WINDOW] {
            image.differences(&memory, window, &mut found);
        }
        assert_eq!(found, [256..512, WINDOW - CHUNK..WINDOW, WINDOW..WINDOW + CHUNK]);
    }
}

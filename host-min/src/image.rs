use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

/// A linear memory as every room of a program begins with it. A snapshot holds only what differs from it.
///
/// Nearly all of a published guest's megabyte is zero, and stays so.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// The chunks that are not zero, with their indices, in order.
    chunks: Vec<(usize, Box<[u8]>)>,
    memory_size: usize,
}

/// In how many bytes memories are compared.
const CHUNK: usize = 256;

/// Whether all bytes are zero. Some C libraries compare byte by byte; this is compiled to many at a time.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

/// Whether two pieces of the same length are the same, by as many at a time.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

impl Image {
    pub(crate) fn of(memory: &[u8]) -> Self {
        let chunks = memory.chunks(CHUNK).enumerate().filter(|(_, chunk)| !is_zero(chunk));
        Self {
            chunks: chunks.map(|(index, chunk)| (index, chunk.into())).collect(),
            memory_size: memory.len(),
        }
    }

    /// How many bytes of linear memory a room begins with.
    pub(crate) fn memory_size(&self) -> usize {
        self.memory_size
    }

    /// Where a memory differs that has grown out of this one, in order and apart from one another.
    pub(crate) fn differences(&self, memory: &[u8]) -> Vec<Range<usize>> {
        let mut known = self.chunks.iter().peekable();
        let mut differences: Vec<Range<usize>> = Vec::new();
        for (index, chunk) in memory.chunks(CHUNK).enumerate() {
            let begin = index * CHUNK;
            let same = match known.next_if(|(known, _)| *known == index) {
                // The last chunk of this memory may be longer by now.
                Some((_, before)) => {
                    let (kept, new) = chunk.split_at(before.len().min(chunk.len()));
                    is_same(kept, before) && is_zero(new)
                }
                None => is_zero(chunk),
            };
            if same {
                continue;
            }
            match differences.last_mut() {
                Some(last) if last.end == begin => last.end += chunk.len(),
                _ => differences.push(begin..begin + chunk.len()),
            }
        }
        differences
    }
}

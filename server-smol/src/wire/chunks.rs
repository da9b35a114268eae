use std::{collections::VecDeque, rc::Rc};

use crate::memory::{Buffer, Charge, Ledger, OutOfMemory, Purpose};

use super::SharedFrame;

/// A part of an outbox: frames as they go over the network.
#[derive(Debug)]
pub(super) enum Chunk {
    Own(Buffer),
    /// A frame that other outboxes have as well.
    Shared(Rc<SharedFrame>),
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(frame) => (**frame).as_ref(),
        }
    }
}

/// The chunks of an outbox, and the charge for their places.
///
/// The places are in segments, so that a long outbox grows without being copied: all clients of a room that do not read have
/// outboxes of the same length.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// None of them is empty.
    segments: VecDeque<VecDeque<Chunk>>,
    len: usize,
    /// The number of places.
    capacity: usize,
    places: Option<Charge>,
}

/// The memory that a chunk takes here, with what the allocator needs for it.
pub(super) const PLACE: usize = size_of::<Chunk>() + 16;
/// The least number of places of a segment, and the most.
const LEAST: usize = 4;
const MOST: usize = 32;

impl Chunks {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn front(&self) -> Option<&Chunk> {
        self.segments.front()?.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.segments.iter().flatten()
    }

    /// Makes a place for one more chunk.
    ///
    /// # Errors
    /// There is no memory for it.
    #[cold]
    pub(super) fn reserve(&mut self, ledger: &Rc<Ledger>) -> Result<(), OutOfMemory> {
        if self.segments.back().is_none_or(|last| last.len() == last.capacity()) {
            let more = self.capacity.clamp(LEAST, MOST);
            let places = self.places.get_or_insert_with(|| ledger.empty_charge());
            places.set((self.capacity + more) * PLACE, Purpose::New)?;
            self.capacity += more;
            self.segments.push_back(VecDeque::with_capacity(more));
        }
        Ok(())
    }

    /// Adds a chunk, for which there [is a place](Self::reserve).
    #[cold]
    pub(super) fn push_back(&mut self, chunk: Chunk) {
        match self.segments.back_mut() {
            Some(last) => last.push_back(chunk),
            None => self.segments.push_back([chunk].into()),
        }
        self.len += 1;
    }

    #[cold]
    pub(super) fn pop_front(&mut self) -> Option<Chunk> {
        let first = self.segments.front_mut()?;
        let chunk = first.pop_front();
        self.len -= usize::from(chunk.is_some());
        if first.is_empty() {
            let places = self.segments.pop_front().map_or(0, |first| first.capacity());
            self.capacity = self.capacity.saturating_sub(places);
            self.places.iter_mut().for_each(|places| places.set_taken(self.capacity * PLACE));
        }
        chunk
    }
}

/// Chunks that nobody needs any more. They are dropped piece by piece: an outbox may have thousands, and a message to all clients
/// of a room may be the one with which all of their outboxes are full.
#[derive(Debug, Default)]
pub(super) struct Discarded(VecDeque<Chunks>);

impl Discarded {
    pub(super) fn add(&mut self, chunks: Chunks) {
        if !chunks.is_empty() {
            self.0.push_back(chunks);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops up to `most` chunks. Returns true if there were any.
    pub(super) fn drop_some(&mut self, most: usize) -> bool {
        let had_any = !self.0.is_empty();
        for _ in 0..most {
            let Some(chunks) = self.0.front_mut() else { break };
            if chunks.pop_front().is_none() {
                self.0.pop_front();
            }
        }
        had_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Opcode;

    #[test]
    fn places_are_charged_for_as_long_as_they_are_there() {
        let ledger = Ledger::new(1 << 20);
        let frame = SharedFrame::new(Opcode::Text, b"x", &ledger).unwrap();
        let before = ledger.used();
        let (mut chunks, count) = (Chunks::default(), 3 * MOST);
        for pushed in 1..=count {
            chunks.reserve(&ledger).unwrap();
            chunks.push_back(Chunk::Shared(Rc::clone(&frame)));
            let charged = (ledger.used() - before) / PLACE;
            assert!((pushed..pushed + MOST + LEAST).contains(&charged), "{charged} for {pushed}");
        }
        assert_eq!((chunks.len(), chunks.iter().count()), (count, count));
        for popped in 1..=count {
            assert!(chunks.pop_front().is_some());
            assert!((ledger.used() - before) / PLACE >= count - popped);
        }
        assert!(chunks.pop_front().is_none() && chunks.is_empty());
        assert_eq!(ledger.used(), before);
    }

    #[test]
    fn what_is_discarded_is_dropped_piece_by_piece() {
        let ledger = Ledger::new(1 << 20);
        let mut discarded = Discarded::default();
        for _ in 0..2 {
            let mut chunks = Chunks::default();
            for _ in 0..10 {
                let mut bytes = Buffer::new(&ledger);
                bytes.extend(b"x").unwrap();
                chunks.reserve(&ledger).unwrap();
                chunks.push_back(Chunk::Own(bytes));
            }
            discarded.add(chunks);
        }
        discarded.add(Chunks::default());
        let used = ledger.used();
        assert!(discarded.drop_some(5) && ledger.used() < used && !discarded.is_empty());
        while !discarded.is_empty() {
            assert!(ledger.used() > 0 && discarded.drop_some(5));
        }
        assert!(!discarded.drop_some(5));
        assert_eq!(ledger.used(), 0);
    }
}

use std::{collections::VecDeque, rc::Rc};

use crate::{
    memory::{Charge, Ledger, OutOfMemory, Purpose},
    websocket::Head,
};

use super::Frame;

/// The messages that were sent to a client in a resumable session, and that it has not confirmed.
#[derive(Debug)]
pub(super) struct Unconfirmed {
    /// The messages as encoded frames.
    frames: VecDeque<u8>,
    charge: Charge,
    /// The number of messages before these: confirmed or forgotten.
    before: u64,
    /// The number of messages that were sent in this session.
    sent: u64,
    /// The most bytes that are kept, with [`EACH`] for each message.
    limit: usize,
}

/// Each message counts this number of bytes in addition to its frame. This bounds the time that forgetting all of them takes.
const EACH: usize = 64;

/// The size of the smallest allocation.
const LEAST: usize = 256;
/// The size of the largest head of a frame.
const HEAD: usize = 10;

impl Unconfirmed {
    pub(super) fn new(limit: usize, ledger: &Rc<Ledger>) -> Self {
        let charge = ledger.empty_charge();
        Self { frames: VecDeque::new(), charge, before: 0, sent: 0, limit }
    }

    /// Begins after so many messages, none of which is kept.
    pub(super) fn after(before: u64, limit: usize, ledger: &Rc<Ledger>) -> Self {
        Self { before, sent: before, ..Self::new(limit, ledger) }
    }

    /// Keeps a message. Forgets the oldest ones if there is no space for it. Returns false if any message was lost.
    pub(super) fn push(&mut self, frame: &Frame<'_>) -> bool {
        self.sent += 1;
        let size = frame.size();
        let mut is_complete = true;
        // `sent` already includes this one.
        while self.frames.len() + size + EACH * self.len() > self.limit && !self.frames.is_empty() {
            self.forget_first();
            is_complete = false;
        }
        if size + EACH > self.limit || self.reserve(size).is_err() {
            self.forget_all();
            return false;
        }
        for part in frame.parts() {
            self.frames.extend(part);
        }
        is_complete
    }

    fn len(&self) -> usize {
        // It is smaller than the number of bytes.
        (self.sent - self.before) as usize
    }

    /// Makes room for `size` more bytes. Together they are at most `limit`.
    fn reserve(&mut self, size: usize) -> Result<(), OutOfMemory> {
        let (needed, capacity) = (self.frames.len() + size, self.frames.capacity());
        if needed > capacity {
            let larger = (2 * capacity).max(LEAST).clamp(needed, self.limit);
            self.charge.set(larger, Purpose::Unconfirmed)?;
            self.frames.reserve_exact(larger - self.frames.len());
        }
        Ok(())
    }

    fn forget_first(&mut self) {
        let mut head = [0; HEAD];
        head.iter_mut().zip(&self.frames).for_each(|(byte, sent)| *byte = *sent);
        self.frames.drain(..Head::frame_size(&head).min(self.frames.len()));
        self.before += 1;
    }

    /// Returns how much memory it takes, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.frames.capacity()
    }

    pub(super) fn forget_all(&mut self) {
        self.before = self.sent;
        self.free();
    }

    fn free(&mut self) {
        self.frames = VecDeque::new();
        // A smaller charge does not fail.
        let _ = self.charge.set(0, Purpose::Unconfirmed);
    }

    /// Forgets the first `received` messages of the session.
    pub(super) fn confirm(&mut self, received: u64) {
        while self.before < received && !self.frames.is_empty() {
            self.forget_first();
        }
        if self.frames.is_empty() {
            self.free();
        }
    }

    /// Returns whether all messages after the first `received` are kept. False if fewer were sent.
    pub(super) fn has_all_after(&self, received: u64) -> bool {
        (self.before..=self.sent).contains(&received)
    }

    /// Returns the number of messages that were sent, and of those that are not kept.
    pub(super) fn counts(&self) -> [u64; 2] {
        [self.sent, self.before]
    }

    /// Returns each frame, in order.
    pub(super) fn split(&mut self) -> Vec<&[u8]> {
        let mut frames = Vec::with_capacity(self.len());
        let mut left = self.frames();
        while !left.is_empty() {
            let (frame, rest) = left.split_at(Head::frame_size(left).min(left.len()));
            frames.push(frame);
            left = rest;
        }
        frames
    }

    /// Returns the frames, in order.
    pub(super) fn frames(&mut self) -> &[u8] {
        self.frames.make_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::Opcode;

    fn push(unconfirmed: &mut Unconfirmed, payload: &[u8]) -> bool {
        unconfirmed.push(&Frame::new(Opcode::Text, payload))
    }

    #[test]
    fn what_is_not_confirmed_is_there_in_order_and_nothing_else() {
        let ledger = Ledger::new(1 << 20);
        let mut unconfirmed = Unconfirmed::new(2_000, &ledger);
        for round in 0..200_u64 {
            for number in 0..3 {
                let payload = format!("{round}.{number}").repeat(1 + round as usize % 40);
                assert!(push(&mut unconfirmed, payload.as_bytes()));
            }
            assert!(unconfirmed.has_all_after(3 * round) && unconfirmed.has_all_after(3 * round + 3));
            assert!(!unconfirmed.has_all_after(3 * round + 4), "nobody has received so many");
            unconfirmed.confirm(3 * round + 2);
            assert!(!unconfirmed.has_all_after(3 * round + 1));
            let last = format!("{round}.2").repeat(1 + round as usize % 40);
            let frame = [Head::new(Opcode::Text, last.len()).as_ref(), last.as_bytes()].concat();
            assert_eq!(unconfirmed.frames(), &*frame);
            unconfirmed.confirm(3 * round + 3);
            assert_eq!((unconfirmed.frames().len(), ledger.used()), (0, 0));
        }
    }

    #[test]
    fn the_oldest_messages_go_if_there_are_too_many() {
        let ledger = Ledger::new(1 << 20);
        let mut unconfirmed = Unconfirmed::new(10 * (10 + EACH), &ledger);
        // Ten messages of ten bytes each.
        assert!((0..10).all(|_| push(&mut unconfirmed, b"01234567")));
        assert!(unconfirmed.has_all_after(0));
        assert!(!push(&mut unconfirmed, b"01234567"));
        assert!(!unconfirmed.has_all_after(0) && unconfirmed.has_all_after(1));
        assert!(ledger.used() <= 10 * (10 + EACH), "{}", ledger.used());
        assert!(!push(&mut unconfirmed, &[b'a'; 10 * (10 + EACH)]), "it is too large");
        assert!(!unconfirmed.has_all_after(11) && unconfirmed.has_all_after(12));
        assert_eq!(ledger.used(), 0);
        assert!(push(&mut unconfirmed, b"b"));
        assert_eq!(unconfirmed.frames(), [0x81, 1, b'b']);
        // A number that is too large confirms all of them.
        unconfirmed.confirm(u64::MAX);
        assert!(unconfirmed.has_all_after(13) && !unconfirmed.has_all_after(14));
    }

    #[test]
    fn memory_that_others_need_is_not_taken() {
        let ledger = Ledger::new(16 << 10);
        let mut unconfirmed = Unconfirmed::new(4 << 10, &ledger);
        let others = ledger.charge(8 << 10, Purpose::New).unwrap();
        assert!(!push(&mut unconfirmed, b"a"));
        assert!(!unconfirmed.has_all_after(0) && unconfirmed.has_all_after(1));
        drop(others);
        assert!(push(&mut unconfirmed, b"a") && ledger.used() > 0);
    }
}

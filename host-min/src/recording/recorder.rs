use alloc::vec::Vec;

use crate::Event;

use super::{Outcome, owned_event, varint};

/// Writes the records of a room. They follow the [header](super::RecordingHeader).
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    /// The time of the last event.
    before_ms: u64,
    /// The record of the event that is being handled, without its outcome.
    record: Vec<u8>,
}

/// The memory that is kept for the next record, in bytes.
const KEPT: usize = 1 << 10;

impl Recorder {
    /// Notes an event that is about to be handed to the room.
    pub fn begin(&mut self, event: &Event<'_>, now_ms: u64) {
        self.record.clear();
        let difference = now_ms.wrapping_sub(self.before_ms) as i64;
        self.before_ms = now_ms;
        varint::put(varint::zigzag(difference), &mut self.record);
        owned_event::put(event, &mut self.record);
    }

    /// Appends the record of the event to `out`. Call it when the event is over.
    pub fn end(&mut self, outcome: &Outcome, out: &mut Vec<u8>) {
        outcome.put(&mut self.record);
        varint::put_bytes(&self.record, out);
        self.record.clear();
        self.record.shrink_to(KEPT);
    }

    /// Returns the size of the event that is being handled, in bytes.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.record.len()
    }
}

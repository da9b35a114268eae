use alloc::vec::Vec;
use core::mem;

use crate::Event;

use super::{Outcome, owned_event, varint};

/// Writes the records of a room. They follow the [header](super::RecordingHeader).
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The time of the last event.
    before_ms: u64,
    /// The record of the event that is being handled, without its outcome; empty if there is none.
    record: Vec<u8>,
    /// The records of events that are over.
    records: Vec<u8>,
}

/// The memory that is kept for the next record, in bytes.
const KEPT: usize = 1 << 10;

impl Recorder {
    /// Begins a record.
    pub(crate) fn begin(&mut self, event: &Event<'_>, now_ms: u64) {
        self.record.clear();
        let difference = now_ms.wrapping_sub(self.before_ms) as i64;
        self.before_ms = now_ms;
        varint::put(varint::zigzag(difference), &mut self.record);
        owned_event::put(event, &mut self.record);
    }

    /// Returns true if there is a record without its outcome.
    pub(crate) fn is_recording(&self) -> bool {
        !self.record.is_empty()
    }

    /// Ends a record.
    pub(crate) fn end(&mut self, outcome: &Outcome) {
        outcome.put(&mut self.record);
        varint::put_bytes(&self.record, &mut self.records);
        self.record.clear();
        self.record.shrink_to(KEPT);
    }

    /// Returns the records of events that are over, and forgets them.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.records)
    }

    /// Returns its size in bytes.
    pub(crate) fn held(&self) -> usize {
        self.record.capacity() + self.records.capacity()
    }
}

use crate::{Event, Room};
use alloc::vec::Vec;

use super::{owned_event, varint};

/// Records the events of a room.
pub(crate) trait RecordEvents: Send + Sync {
    /// Begins a record.
    fn begin(&mut self, event: &Event<'_>, now_ms: u64);

    /// Ends the record, if the event is over.
    fn note_outcome(&mut self, room: &Room);

    /// Passes the records of events that are over to `read`, and forgets them.
    fn drain(&mut self, read: &mut dyn FnMut(&[u8]));

    /// Returns its size in bytes.
    fn held(&self) -> usize;
}

/// Writes the records of a room. They follow the [header](super::RecordingHeader).
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The record of the event that is being handled, without its outcome; empty if there is none.
    record: Vec<u8>,
    /// The records of events that are over.
    records: Vec<u8>,
}

/// The memory that is kept in each buffer for the next record, in bytes.
const KEPT: usize = 1 << 10;

impl RecordEvents for Recorder {
    fn begin(&mut self, event: &Event<'_>, now_ms: u64) {
        self.record.clear();
        varint::put(now_ms, &mut self.record);
        owned_event::put(event, &mut self.record);
    }

    fn note_outcome(&mut self, room: &Room) {
        if !self.record.is_empty()
            && let Some(outcome) = room.outcome()
        {
            outcome.put(&mut self.record);
            varint::put_bytes(&self.record, &mut self.records);
            self.record.clear();
            self.record.shrink_to(KEPT);
        }
    }

    fn drain(&mut self, read: &mut dyn FnMut(&[u8])) {
        if !self.records.is_empty() {
            read(&self.records);
            self.records.clear();
            self.records.shrink_to(KEPT);
        }
    }

    fn held(&self) -> usize {
        self.record.capacity() + self.records.capacity()
    }
}

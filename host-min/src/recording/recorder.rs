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
    /// The records of events that are over, and then that of the event that is being handled, without its outcome.
    records: Vec<u8>,
    begun: Option<Begun>,
    time: Time,
}

/// The time of the last record, and its bytes. Many events have the same.
#[derive(Debug, Default)]
struct Time {
    ms: u64,
    bytes: Vec<u8>,
}

/// The places of a record that has begun, and of its content. There is space for the usual length between them.
#[derive(Debug, Clone, Copy)]
struct Begun {
    start: usize,
    body: usize,
}

/// The memory that is kept for the next records, in bytes.
const KEPT: usize = 2 << 10;

/// The size of a record without the data of its event, if the event is a message, and nothing special happens.
const USUAL: usize = 20;

impl RecordEvents for Recorder {
    fn begin(&mut self, event: &Event<'_>, now_ms: u64) {
        // One that never ended is dropped.
        self.records.truncate(self.end());
        let start = self.records.len();
        // The length takes the place of this.
        varint::put((owned_event::data(event).len() + USUAL) as u64, &mut self.records);
        self.begun = Some(Begun { start, body: self.records.len() });
        if self.time.ms != now_ms || self.time.bytes.is_empty() {
            self.time.ms = now_ms;
            self.time.bytes.clear();
            varint::put(now_ms, &mut self.time.bytes);
        }
        self.records.extend_from_slice(&self.time.bytes);
        owned_event::put(event, &mut self.records);
    }

    fn note_outcome(&mut self, room: &Room) {
        if let Some(Begun { start, body }) = self.begun
            && let Some(outcome) = room.outcome()
        {
            outcome.put(&mut self.records);
            self.begun = None;
            let length = (self.records.len() - body) as u64;
            if !varint::replace(&mut self.records[start..body], length) {
                let record = self.records.split_off(body);
                self.records.truncate(start);
                varint::put_bytes(&record, &mut self.records);
            }
        }
    }

    fn drain(&mut self, read: &mut dyn FnMut(&[u8])) {
        let end = self.end();
        if end > 0 {
            read(&self.records[..end]);
            self.records.drain(..end);
            self.records.shrink_to(KEPT);
            if let Some(Begun { start, body }) = &mut self.begun {
                (*start, *body) = (*start - end, *body - end);
            }
        }
    }

    fn held(&self) -> usize {
        self.records.capacity() + self.time.bytes.capacity()
    }
}

impl Recorder {
    /// Returns the end of the records of events that are over.
    fn end(&self) -> usize {
        self.begun.map_or(self.records.len(), |begun| begun.start)
    }
}

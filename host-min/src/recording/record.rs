use core::iter::FusedIterator;

use stateroom_core::ClientId;

use crate::{Room, Step, Trap, reader::Reader};

use super::{Outcome, OwnedEvent, RecordingError, owned_event, seal::SEAL, varint};

/// A recorded event, with its time and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The time of the event in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The event.
    pub event: OwnedEvent,
    /// Its outcome in the recorded room.
    pub outcome: Outcome,
}

impl Record {
    /// Hands the event to a room: see [`Room::handle`].
    ///
    /// # Errors
    /// As for [`Room::handle`].
    pub fn begin(&self, room: &mut Room) -> Result<Step, Trap> {
        self.event.with(|event| room.handle(event, self.now_ms))
    }

    /// Runs the event to its end, and returns its outcome in this room.
    ///
    /// # Panics
    /// Never: an event that is over has an outcome.
    pub fn run(&self, room: &mut Room) -> Outcome {
        let mut step = self.begin(room);
        loop {
            if let Some(outcome) = room.outcome() {
                return outcome;
            }
            debug_assert_eq!(step, Ok(Step::Suspended));
            step = room.resume();
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, RecordingError> {
        let record = Self {
            now_ms: varint::read(reader)?,
            event: OwnedEvent::read(reader)?,
            outcome: Outcome::read(reader)?,
        };
        if reader.left() > 0 { Err(RecordingError::Damaged) } else { Ok(record) }
    }
}

/// The records of a [`Recording`](super::Recording). After an error there are no more.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    /// The number of all bytes.
    all: usize,
    left: &'a [u8],
}

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordsPosition(
    /// The number of bytes before it.
    usize,
);

impl<'a> Records<'a> {
    /// Reads the records of a room, as [`Room::take_records`] has returned them.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::from_position(bytes, RecordsPosition::default())
    }

    /// Reads the records after a place that [`position`](Self::position) has returned for the same bytes.
    #[must_use]
    pub fn from_position(bytes: &'a [u8], position: RecordsPosition) -> Self {
        Self { all: bytes.len(), left: bytes.get(position.0..).unwrap_or(&[]) }
    }

    /// Returns the place before the next record.
    #[must_use]
    pub fn position(&self) -> RecordsPosition {
        RecordsPosition(self.all - self.left.len())
    }

    /// Calls `each` with the sender of each message among the records. This reads less than [`next`](Iterator::next) does.
    pub fn each_sender(&self, mut each: impl FnMut(ClientId)) {
        let mut reader = Reader::new(self.left);
        while reader.left() > 0
            && let Ok(body) = varint::read_bytes(&mut reader)
        {
            let mut body = Reader::new(body);
            let sender = varint::read(&mut body).and_then(|_now_ms| owned_event::read_sender(&mut body));
            if let Ok(Some(client)) = sender {
                each(client);
            }
        }
    }

    fn read(&mut self) -> Result<Record, RecordingError> {
        let mut reader = Reader::new(self.left);
        // A record that is cut off means that the file was not finished.
        let cut_off = |reader: &Reader<'_>| reader.left() < 10;
        let len = match varint::read_len(&mut reader) {
            Err(_) if cut_off(&Reader::new(self.left)) => return Err(RecordingError::CutOff),
            len => len?,
        };
        let body = reader.bytes(len).map_err(|_| RecordingError::CutOff)?;
        let record = Record::read(&mut Reader::new(body))?;
        self.left = reader.rest();
        Ok(record)
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Nothing follows a seal.
        if self.left.first().is_none_or(|length| *length == SEAL) {
            self.left = &[];
            return None;
        }
        let record = self.read();
        if record.is_err() {
            self.left = &[];
        }
        Some(record)
    }
}

impl FusedIterator for Records<'_> {}

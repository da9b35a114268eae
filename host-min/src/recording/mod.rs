//! Events and their outcomes as values, and as bytes: a room's recording. `docs/reference/events.md` describes the format.

mod digest;
mod error;
mod header;
mod outcome;
mod owned_event;
mod record;
mod recorder;
mod seal;
mod varint;

pub use error::RecordingError;
pub use header::{RecordingHeader, RecordingStart};
pub use outcome::{EventResult, Outcome};
pub use owned_event::OwnedEvent;
pub use record::{Record, Records, RecordsPosition};
pub(crate) use recorder::{RecordEvents, Recorder};

use alloc::vec::Vec;

use stateroom_core::ClientId;

use crate::{Program, RestoreError, Room, Trap, presence::Presence, reader::Reader, snapshot};

/// A recording of a room: how it began, and all events that it has had since then, with their outcomes.
///
/// The same module, with the same limits, the same beginning and the same events, comes to the same state. So a
/// recording is enough to see each of its events again.
///
/// ```
/// use stateroom_host_min::{Event, Program, Recording, RecordingHeader, RecordingStart, Step};
///
/// # fn example(program: &Program) -> Result<(), Box<dyn core::error::Error>> {
/// // A host records a room.
/// let seed = [7; 32];
/// let mut room = program.room("lobby", seed)?;
/// room.start_recording();
/// for (event, now_ms) in [(Event::Init, 1_000), (Event::Timer, 2_000)] {
///     let mut step = room.handle(event, now_ms)?;
///     while step == Step::Suspended {
///         step = room.resume()?;
///     }
/// }
/// let mut bytes = Vec::new();
/// RecordingHeader::new(program, "lobby", RecordingStart::New { seed }).write(&mut bytes);
/// bytes.extend(room.take_records());
///
/// // Later, perhaps elsewhere, the room has the same events again.
/// let recording = Recording::read(&bytes)?;
/// let mut again = recording.start(program)?;
/// for record in recording.records() {
///     let record = record?;
///     assert!(record.run(&mut again).agrees_with(&record.outcome));
/// }
/// assert_eq!(again.snapshot()?, room.snapshot()?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Recording<'a> {
    /// Its first part.
    pub header: RecordingHeader<'a>,
    records: &'a [u8],
}

impl<'a> Recording<'a> {
    /// Reads the header of a recording. [`records`](Self::records) reads the rest.
    ///
    /// # Errors
    /// See [`RecordingError`]. No bytes can make this panic.
    pub fn read(bytes: &'a [u8]) -> Result<Self, RecordingError> {
        let mut reader = Reader::new(bytes);
        let header = RecordingHeader::read(&mut reader)?;
        let records = reader.rest();
        Ok(Self { header, records })
    }

    /// Returns the records in order.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records::new(self.records)
    }

    /// Creates the room as it was when the recording began. The program may be another one, if the room was new then.
    ///
    /// # Errors
    /// The recording begins with a snapshot that does not become a room, or there is not enough memory.
    pub fn start(&self, program: &Program) -> Result<Room, RestoreError> {
        match self.header.start {
            RecordingStart::New { seed } => program
                .room(self.header.room_id, seed)
                .map_err(|trap: Trap| RestoreError::TooLarge(alloc::format!("{trap}"))),
            RecordingStart::Snapshot(snapshot) => program.restore(snapshot),
        }
    }

    /// Returns the clients that are in the room after all events, in the order of their ids. Runs no event.
    ///
    /// # Errors
    /// The recording cannot be read.
    pub fn clients(&self) -> Result<Vec<ClientId>, RecordingError> {
        let mut presence = match self.header.start {
            RecordingStart::New { .. } => Presence::default(),
            RecordingStart::Snapshot(snapshot) => {
                snapshot::presence(snapshot).ok_or(RecordingError::Damaged)?
            }
        };
        for record in self.records() {
            match record?.event {
                OwnedEvent::Connect(client, _) => presence.connect(client),
                OwnedEvent::Disconnect(client) => presence.disconnect(client),
                _ => {}
            }
        }
        Ok(presence.clients().into())
    }
}

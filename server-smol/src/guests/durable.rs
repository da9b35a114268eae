use stateroom_core::engine::{Event, Replayed, Restoration};
use stateroom_host_min::{
    Effect, EventResult, OwnedEvent, Program, Record, Recording, RecordingHeader, RecordingStart, Records,
    RecordsPosition, Room, Step,
};

/// The additional state of a room that is kept on disk. The base of such a room is the header of a
/// [recording](stateroom_host_min::Recording) without the module; with the records after it, it is a recording.
#[derive(Debug, Default)]
pub(super) struct DurableState {
    /// The records that the server has not taken, if somebody else gets them as well.
    records: Vec<u8>,
    /// The seed of a room whose base has not been written yet.
    pub(super) seed: Option<[u8; 32]>,
    /// The events that the room has not had again yet.
    restoring: Option<Restoring>,
    /// The fuel of those that it has had again.
    pub(super) restored_fuel: u64,
    failure: Option<String>,
}

#[derive(Debug)]
struct Restoring {
    records: Box<[u8]>,
    position: RecordsPosition,
    /// The place before the event that runs.
    before: RecordsPosition,
    events: u64,
}

/// More than the usual size of a base without its snapshot, in bytes.
const HEADER: usize = 256;

/// Returns the base of a room.
pub(super) fn base(room: &Room, program: &Program, seed: Option<[u8; 32]>) -> Option<Vec<u8>> {
    let snapshot;
    let start = match seed {
        Some(seed) => RecordingStart::New { seed },
        None => {
            snapshot = room.snapshot().ok()?;
            RecordingStart::Snapshot(&snapshot)
        }
    };
    let mut header = RecordingHeader::new(program, room.id(), start);
    // All rooms have the same.
    header.module = &[];
    let mut base = Vec::with_capacity(match start {
        RecordingStart::New { .. } => HEADER,
        RecordingStart::Snapshot(snapshot) => HEADER + snapshot.len(),
    });
    header.write(&mut base);
    Some(base)
}

/// Returns the header of a base.
pub(super) fn read(base: &[u8]) -> Result<Recording<'_>, String> {
    Recording::read(base).map_err(|error| error.to_string())
}

impl DurableState {
    /// Begins with a new room.
    pub(super) fn of_new(room: &mut Room, seed: [u8; 32]) -> Box<Self> {
        room.start_recording();
        Box::new(Self { seed: Some(seed), ..Self::default() })
    }

    /// Begins with a room that has been made from its base, and is to have these events again.
    pub(super) fn of_restored(records: &[u8]) -> Box<Self> {
        let position = RecordsPosition::default();
        let restoring = Restoring { records: records.into(), position, before: position, events: 0 };
        Box::new(Self { restoring: Some(restoring), ..Self::default() })
    }

    /// Begins again, with a new room.
    pub(super) fn begin_anew(&mut self, seed: [u8; 32]) {
        self.seed = Some(seed);
        self.records.clear();
    }

    /// Keeps records until the server takes them.
    pub(super) fn add_records(&mut self, records: &[u8]) {
        self.records.extend_from_slice(records);
    }

    /// Passes the records to `write`, and forgets them.
    pub(super) fn take_records(&mut self, write: &mut dyn FnMut(&[u8])) {
        if !self.records.is_empty() {
            write(&self.records);
            self.records.clear();
        }
    }

    /// Hands in the next event, or continues with it.
    pub(super) fn restore_step(
        &mut self,
        room: &mut Room,
        watch: Option<&mut dyn FnMut(Replayed<'_>)>,
    ) -> Restoration<'_> {
        match self.step(room, watch) {
            Ok(true) => {
                self.restoring = None;
                room.start_recording();
                Restoration::Done
            }
            Ok(false) => Restoration::Unfinished,
            Err(failure) => Restoration::Failed(self.failure.insert(failure)),
        }
    }

    fn step(&mut self, room: &mut Room, watch: Option<&mut dyn FnMut(Replayed<'_>)>) -> Result<bool, String> {
        let Some(restoring) = &mut self.restoring else { return Ok(true) };
        if room.last() == Ok(Step::Suspended) {
            let _ = room.resume();
        } else {
            let mut records = Records::from_position(&restoring.records, restoring.position);
            let Some(record) = records.next() else { return Ok(true) };
            let record = record.map_err(|error| format!("event {}: {error}", restoring.events + 1))?;
            (restoring.before, restoring.position) = (restoring.position, records.position());
            restoring.events += 1;
            // The outcome is compared below.
            let _ = record.begin(room);
        }
        if let Some(outcome) = room.outcome() {
            self.restored_fuel += room.fuel_used();
            let record = Records::from_position(&restoring.records, restoring.before).next();
            let record = record.and_then(Result::ok);
            let expected = record.as_ref().map(|record| &record.outcome);
            if !expected.is_some_and(|expected| outcome.agrees_with(expected)) {
                return Err(format!(
                    "event {} after its last snapshot has another outcome now than it had ({} instead of {})",
                    restoring.events,
                    outcome.result,
                    expected.map_or_else(String::new, |expected| expected.result.to_string()),
                ));
            }
            if let (Some(watch), Some(record)) = (watch, &record) {
                tell(record, room, watch);
            }
        }
        Ok(false)
    }
}

/// Tells of an event that a room has just had again, and of its effects.
fn tell(record: &Record, room: &Room, watch: &mut dyn FnMut(Replayed<'_>)) {
    if let (EventResult::Refused, OwnedEvent::Text(client, _) | OwnedEvent::Bytes(client, _)) =
        (&record.outcome.result, &record.event)
    {
        return watch(Replayed::Refused(*client));
    }
    record.event.with(|event| {
        watch(Replayed::Event(match event {
            stateroom_host_min::Event::Init => Event::Init,
            stateroom_host_min::Event::Connect(client, _) => Event::Connect(client),
            stateroom_host_min::Event::Disconnect(client) => Event::Disconnect(client),
            stateroom_host_min::Event::Message(client, payload) => Event::Message(client, payload),
            stateroom_host_min::Event::Timer => Event::Timer,
        }));
    });
    for effect in room.effects() {
        match effect {
            Effect::Send { recipient, payload } => watch(Replayed::Send(recipient, payload)),
            Effect::Close { recipient, .. } => watch(Replayed::Close(recipient)),
            _ => {}
        }
    }
}

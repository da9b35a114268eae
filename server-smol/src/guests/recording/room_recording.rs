use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use stateroom_host_min::{Program, Record, RecordingHeader, RecordingStart, Records, RecordsPosition, Room};

use crate::settings;

/// The recordings of all rooms.
#[derive(Debug)]
pub(in crate::guests) struct Recordings {
    pub(in crate::guests) settings: settings::Recordings,
    /// The memory that is in use, in bytes.
    used: AtomicUsize,
}

/// The events of a room up to now, and the state that they began with.
#[derive(Debug)]
pub(in crate::guests) struct RoomRecording {
    recordings: Arc<Recordings>,
    /// The memory that it takes, in bytes.
    taken: usize,
    /// True if `taken` counts among all recordings. It does not while the recording of the room before is there, too.
    is_counted: bool,
    start: Start,
    records: Vec<u8>,
}

/// The state that a recording begins with.
#[derive(Debug, Clone)]
enum Start {
    /// A new room, with this seed.
    New([u8; 32]),
    Snapshot(Vec<u8>),
    /// There was no memory for it.
    Lost,
}

/// The size from which on a recording is replaced by a snapshot if there is no memory left for it. If a smaller one were, each
/// further event could take a snapshot.
const REPLACED: usize = 64 << 10;

impl Recordings {
    pub(in crate::guests) fn new(settings: settings::Recordings) -> Arc<Self> {
        Arc::new(Self { settings, used: AtomicUsize::new(0) })
    }

    fn take(&self, bytes: usize) -> bool {
        let taken = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.settings.memory);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl RoomRecording {
    /// Begins the recording of a new room. Returns `None` if nothing is recorded in memory.
    pub(in crate::guests) fn new(recordings: &Arc<Recordings>, seed: [u8; 32]) -> Option<Self> {
        (recordings.settings.memory > 0).then(|| Self::begin(recordings, seed))
    }

    fn begin(recordings: &Arc<Recordings>, seed: [u8; 32]) -> Self {
        Self {
            recordings: Arc::clone(recordings),
            taken: 0,
            is_counted: true,
            start: Start::New(seed),
            records: Vec::new(),
        }
    }

    /// Begins the recording of another room in its place.
    pub(in crate::guests) fn restarted(&self, seed: [u8; 32]) -> Self {
        Self::begin(&self.recordings, seed)
    }

    /// Begins the recording of another room that has the same events. It [counts](Self::count) later.
    pub(in crate::guests) fn replayed(&self, seed: [u8; 32]) -> Self {
        let mut recording = Self::begin(&self.recordings, seed);
        recording.is_counted = false;
        recording
    }

    /// Counts among all recordings from now on.
    pub(in crate::guests) fn count(&mut self, room: &Room) {
        self.is_counted = true;
        if !self.recordings.take(self.taken) {
            self.taken = 0;
            self.go_on_from_snapshot(room);
        }
    }

    /// Adds the records of the room's last events. The last one has to be over.
    pub(in crate::guests) fn add(&mut self, records: &[u8], room: &Room) {
        if matches!(self.start, Start::Lost) {
            return;
        }
        if self.reserve(records.len()) {
            return self.records.extend(records);
        }
        if self.records.len() >= REPLACED {
            self.go_on_from_snapshot(room);
        } else {
            self.clear();
        }
    }

    /// Lets the room's present state stand for its history. A room that has failed has none.
    pub(in crate::guests) fn go_on_from_snapshot(&mut self, room: &Room) {
        self.clear();
        if let Ok(snapshot) = room.snapshot()
            && self.recordings.take(snapshot.len())
        {
            self.taken = snapshot.len();
            self.start = Start::Snapshot(snapshot);
        }
    }

    /// Makes space for so many bytes. Returns false if there is none.
    fn reserve(&mut self, bytes: usize) -> bool {
        let (len, capacity) = (self.records.len(), self.records.capacity());
        if len + bytes > capacity {
            // By a quarter: what is taken and not used counts, too.
            let wanted = (len + bytes).max(capacity + capacity / 4);
            if self.is_counted && !self.recordings.take(wanted - capacity) {
                return false;
            }
            self.taken += wanted - capacity;
            self.records.reserve_exact(wanted - len);
        }
        true
    }

    fn clear(&mut self) {
        (self.start, self.records) = (Start::Lost, Vec::new());
        let taken = mem::take(&mut self.taken);
        if self.is_counted {
            self.recordings.give_back(taken);
        }
    }

    /// Returns the seed of the room's random numbers, if all of its events are here.
    pub(in crate::guests) fn whole_since(&self) -> Option<[u8; 32]> {
        match self.start {
            Start::New(seed) => Some(seed),
            Start::Snapshot(_) | Start::Lost => None,
        }
    }

    /// Returns the next record, and the place behind it.
    pub(in crate::guests) fn next(&self, position: RecordsPosition) -> Option<(Record, RecordsPosition)> {
        let mut records = Records::from_position(&self.records, position);
        // They have been written here.
        let record = records.next()?.ok()?;
        Some((record, records.position()))
    }

    /// Returns the recording as a file has it, or `None` if it was lost.
    pub(in crate::guests) fn file(&self, program: &Program, room_id: &str) -> Option<Vec<u8>> {
        let start = match &self.start {
            Start::New(seed) => RecordingStart::New { seed: *seed },
            Start::Snapshot(snapshot) => RecordingStart::Snapshot(snapshot),
            Start::Lost => return None,
        };
        let mut file = Vec::new();
        RecordingHeader::new(program, room_id, start).write(&mut file);
        file.extend(&self.records);
        Some(file)
    }
}

impl Drop for RoomRecording {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use stateroom_host_min::{Event, Limits, Step};

    use super::*;

    const QUIET: &str = r#"(module (memory (export "memory") 1)
        (func (export "jam_malloc") (param i32) (result i32) i32.const 64)
        (func (export "jam_free") (param i32 i32))
        (func (export "initialize") (param i32 i32))
        (func (export "connect") (param i32)) (func (export "disconnect") (param i32)) (func (export "timer"))
        (func (export "message") (param i32 i32 i32)) (func (export "binary") (param i32 i32 i32)))"#;

    fn begin(memory: usize) -> (Room, RoomRecording) {
        let program = Program::load(&wat::parse_str(QUIET).unwrap(), Limits::default()).unwrap();
        let mut room = program.room("lobby", [1; 32]).unwrap();
        room.start_recording();
        let settings = settings::Recordings { memory, ..settings::Recordings::default() };
        (room, RoomRecording::new(&Recordings::new(settings), [1; 32]).unwrap())
    }

    fn happen(room: &mut Room, recording: &mut RoomRecording, event: Event<'_>) {
        assert_eq!(room.handle(event, 0), Ok(Step::Done));
        recording.add(&room.take_records(), room);
    }

    #[test]
    fn a_recording_begins_with_a_snapshot_where_memory_has_run_out() {
        let (mut room, mut recording) = begin(2 * REPLACED);
        let recordings = Arc::clone(&recording.recordings);
        happen(&mut room, &mut recording, Event::Init);
        let mut events = 0;
        while recording.whole_since().is_some() {
            happen(&mut room, &mut recording, Event::Timer);
            events += 1;
        }
        assert!((5_000..15_000).contains(&events), "{events}");
        assert!(matches!(recording.start, Start::Snapshot(_)));
        assert!(recordings.used.load(Ordering::Relaxed) < 1_000);
        happen(&mut room, &mut recording, Event::Timer);
        assert!(recording.next(RecordsPosition::default()).is_some(), "it goes on");
        drop(recording);
        assert_eq!(recordings.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_short_recording_is_lost_where_others_have_all_memory() {
        let (mut room, mut recording) = begin(1_000);
        let recordings = Arc::clone(&recording.recordings);
        assert!(recordings.take(970));
        happen(&mut room, &mut recording, Event::Init);
        assert!(recording.whole_since().is_some());
        for _ in 0..4 {
            happen(&mut room, &mut recording, Event::Timer);
        }
        assert!(matches!(recording.start, Start::Lost));
        drop(recording);
        assert_eq!(recordings.used.load(Ordering::Relaxed), 970);
    }

    #[test]
    fn nothing_is_recorded_without_memory_for_it() {
        let recordings = Recordings::new(settings::Recordings::default());
        assert!(RoomRecording::new(&recordings, [1; 32]).is_none());
    }
}

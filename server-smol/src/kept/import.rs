use std::{
    error::Error,
    fmt,
    time::{Duration, Instant},
};

use sha2::{Digest as _, Sha256};
use stateroom_host_min::{
    Limits, Outcome, Program, Record, Recording, RecordingError, RecordingHeader, RecordingStart, Room,
};

use crate::room::{Base, RoomId};

/// A room from a file, before it is added to the others. Its events since its base have run again, and had the same outcomes.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) id: RoomId,
    pub(crate) module_hash: [u8; 32],
    pub(crate) module: Box<[u8]>,
    pub(crate) base: Base,
}

/// The reason why a file cannot become a room. The text names the place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError(String);

/// The bounds of what a file may take while it is read, whatever it says itself.
pub(crate) struct Bounds<'a> {
    /// The limits of the server. The room gets these, or those in the file if they are lower.
    pub(crate) limits: Limits,
    /// The time that its events may take.
    pub(crate) time: Duration,
    /// Takes so much memory in all. Returns false if there is not so much.
    pub(crate) take_memory: &'a mut dyn FnMut(usize) -> bool,
}

impl Bounds<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), ImportError> {
        let words = "there is not enough memory for it now (`--max-total-memory`)";
        if (self.take_memory)(bytes) { Ok(()) } else { Err(ImportError(words.to_owned())) }
    }

    /// Runs an event.
    fn run(&mut self, record: &Record, room: &mut Room, begun: Instant) -> Result<Outcome, ImportError> {
        // The outcome says the same as the result.
        let _ = record.begin(room);
        loop {
            self.take(room.memory_held())?;
            if let Some(outcome) = room.outcome() {
                return Ok(outcome);
            }
            if begun.elapsed() >= self.time {
                let seconds = self.time.as_secs();
                return Err(ImportError(format!("its events take more than {seconds} s")));
            }
            let _ = room.resume();
        }
    }
}

impl Import {
    /// Reads the file of a room, which [`export`](super::export) has made. The room gets the id `id`, or keeps its own.
    pub(crate) fn read(
        file: &[u8],
        id: Option<&RoomId>,
        mut bounds: Bounds<'_>,
    ) -> Result<Self, ImportError> {
        let begun = Instant::now();
        let recording = Recording::read(file).map_err(|error| match error {
            _ if file.is_empty() => ImportError("it is empty".to_owned()),
            RecordingError::NotARecording => {
                ImportError("it is no export of a room (`stateroom rooms export`)".to_owned())
            }
            RecordingError::Damaged => ImportError("its header is damaged or incomplete".to_owned()),
            error => ImportError(error.to_string()),
        })?;
        let header = &recording.header;
        let id = match id {
            Some(id) => id.clone(),
            None => RoomId::new(header.room_id).map_err(|reason| ImportError(reason.to_owned()))?,
        };
        if header.module.is_empty() {
            return Err(ImportError("it does not contain the room's module".to_owned()));
        }
        if header.module_hash[..] != *Sha256::digest(header.module) {
            return Err(ImportError(
                "its module is damaged: it has another SHA-256 than it should".to_owned(),
            ));
        }
        let limits = header.limits.lowest(&bounds.limits);
        let program = Program::load_and_keep(header.module.into(), limits)
            .map_err(|error| ImportError(format!("its module cannot run: {error}")))?;
        bounds.take(program.room_size())?;
        let mut room =
            recording.start(&program).map_err(|error| ImportError(format!("its base: {error}")))?;
        let mut count: u64 = 0;
        for record in recording.records() {
            count += 1;
            let record = record.map_err(|error| match error {
                RecordingError::CutOff => ImportError(format!("it ends in the middle of event {count}")),
                _ => ImportError(format!("event {count} is damaged")),
            })?;
            let outcome = bounds.run(&record, &mut room, begun)?;
            if !outcome.agrees_with(&record.outcome) {
                let (here, there) = (outcome.result.to_string(), record.outcome.result.to_string());
                let difference = match here == there {
                    true => "has other effects here than it had".to_owned(),
                    false => format!("ended otherwise here than it did ({here} instead of {there})"),
                };
                return Err(ImportError(format!(
                    "event {count} {difference}: the file is damaged, another version of the server wrote it, or a limit is lower here (`stateroom limits`)"
                )));
            }
        }
        if !Recording::is_sealed(file) {
            return Err(ImportError(format!(
                "it has no seal after event {count}, or one that does not fit: it was cut off there, its bytes have changed, or it is no export"
            )));
        }
        // With its snapshot, and that in the header.
        bounds.take(3 * room.memory_held())?;
        let snapshot = room
            .snapshot_as(id.as_str())
            .map_err(|error| ImportError(format!("after event {count}: {error}")))?;
        let mut header = RecordingHeader::new(&program, id.as_str(), RecordingStart::Snapshot(&snapshot));
        header.module = &[];
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        let base = Base { bytes, timer_due: room.timer_due() };
        Ok(Self { id, module_hash: program.hash(), module: recording.header.module.into(), base })
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for ImportError {}

#[cfg(test)]
mod tests {
    use stateroom_host_min::{Event, Recording, RecordingHeader, RecordingStart, Step};

    use super::*;

    /// Returns a file of a room that computes for a while when it begins.
    fn file() -> Vec<u8> {
        let module = r#"(module (memory (export "memory") 1)
            (func (export "jam_malloc") (param i32) (result i32) (i32.const 0))
            (func (export "jam_free") (param i32 i32))
            (func (export "initialize") (param i32 i32) (local $i i32)
                (loop $more
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $more (i32.lt_u (local.get $i) (i32.const 100000)))))
            (func (export "connect") (param i32))
            (func (export "disconnect") (param i32))
            (func (export "timer"))
            (func (export "binary") (param i32 i32 i32))
            (func (export "message") (param i32 i32 i32)))"#;
        let module = wat::parse_str(module).expect("it is right");
        let program = Program::load_and_keep(module.into(), Limits::default()).expect("a guest");
        let seed = [1; 32];
        let mut room = program.room("lobby", seed).expect("there is memory");
        room.start_recording();
        let mut step = room.handle(Event::Init, 1_000);
        while step == Ok(Step::Suspended) {
            step = room.resume();
        }
        let mut bytes = Vec::new();
        RecordingHeader::new(&program, "lobby", RecordingStart::New { seed }).write(&mut bytes);
        bytes.extend(room.take_records());
        Recording::seal(&mut bytes);
        bytes
    }

    fn read(time: Duration, memory: usize) -> Result<Import, ImportError> {
        let take_memory = &mut |bytes| bytes <= memory;
        Import::read(&file(), None, Bounds { limits: Limits::default(), time, take_memory })
    }

    #[test]
    fn the_events_of_a_file_have_a_time_limit() {
        assert!(read(Duration::from_secs(60), usize::MAX).is_ok());
        let error = read(Duration::ZERO, usize::MAX).expect_err("it is in no time");
        assert_eq!(error.to_string(), "its events take more than 0 s");
    }

    #[test]
    fn a_file_takes_no_memory_that_is_not_there() {
        let error = read(Duration::from_secs(60), 64 << 10).expect_err("its snapshot takes more");
        assert!(error.to_string().contains("--max-total-memory"), "{error}");
    }
}

//! The log of all servers of this process while the tests run.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

struct Recorder(Mutex<Vec<String>>);

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

impl Recorder {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stateroom")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.lines().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&RECORDER).expect("nobody else sets one");
        // Debug lines tell of everybody who comes and goes.
        log::set_max_level(LevelFilter::Info);
    });
}

/// Returns the lines that name a room, each with its level. As all tests share one log, a room that is asked for here
/// needs a name of its own.
#[must_use]
pub fn records(room: &str) -> Vec<String> {
    records_with(&format!("room {room:?}"))
}

/// Returns the lines with this in them, of all servers.
#[must_use]
pub fn records_with(part: &str) -> Vec<String> {
    RECORDER.lines().iter().filter(|line| line.contains(part)).cloned().collect()
}

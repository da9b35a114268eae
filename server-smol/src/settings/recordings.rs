use std::path::PathBuf;

/// The recordings of the events of rooms with guests: in memory, to replace their program (`ServerHandle::replace_program`), and
/// in files, to run the events again later.
///
/// In a build without the feature `recordings` nothing is recorded. `docs/reference/events.md` describes the files. They contain what clients have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recordings {
    /// The memory for the recordings of all rooms together, in bytes. Default: 0, and nothing is recorded in memory.
    ///
    /// It is not a part of [`total_memory`](crate::Settings::total_memory). If there is no space for an event, a snapshot
    /// replaces a recording of 64 KiB or more, and a smaller one is dropped.
    pub memory: usize,

    /// The ids of the rooms that are recorded in files, from their first event on. Default: none.
    ///
    /// Each event is written to the file (without `fsync`) before its effects happen. If writing fails, the recording stops, and the room
    /// continues.
    pub rooms: Vec<String>,

    /// Writes the recording of a room that fails to a file. It needs [`memory`](Self::memory). Default: false.
    pub failures: bool,

    /// The directory of the files. It is created if it does not exist. Default: `recordings`.
    pub directory: PathBuf,
}

impl Default for Recordings {
    fn default() -> Self {
        Self { memory: 0, rooms: Vec::new(), failures: false, directory: "recordings".into() }
    }
}

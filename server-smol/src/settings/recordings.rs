use std::path::PathBuf;

/// The recordings of the events of rooms with guests: in memory, to [replace their program](crate::ServerHandle::replace_program), and
/// in files, to run the events again later.
///
/// In a build without the feature `recordings` nothing is recorded. `docs/reference/events.md` describes the files. They contain what clients have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recordings {
    /// The memory for the recordings of all rooms together, in bytes. Default: 0, and nothing is recorded in memory.
    ///
    /// It is not a part of [`total_memory`](crate::Settings::total_memory). A room for which there is no space continues with a
    /// snapshot in place of its events.
    pub memory: usize,

    /// The ids of the rooms that are recorded in files, from their first event on. Default: none.
    ///
    /// Each of their events then waits until it is written to a file (but not until it is on the disk).
    pub rooms: Vec<String>,

    /// True if the recording in memory of a room that fails is written to a file. Default: false.
    pub failures: bool,

    /// The directory of the files. It is created if it does not exist. Default: `recordings`.
    pub directory: PathBuf,
}

impl Default for Recordings {
    fn default() -> Self {
        Self { memory: 0, rooms: Vec::new(), failures: false, directory: "recordings".into() }
    }
}

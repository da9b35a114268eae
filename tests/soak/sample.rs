use std::{fmt, time::Duration};

/// The numbers of a server at some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The time since the beginning of the run.
    pub(crate) time: Duration,
    /// The memory of the process (`VmRSS`), in bytes.
    pub(crate) resident: u64,
    /// The memory that the server counts against its limit, in bytes.
    pub(crate) memory: u64,
    pub(crate) files: u64,
    pub(crate) tasks: u64,
    pub(crate) clients: u64,
    pub(crate) rooms: u64,
    /// The connections that have asked for a room, up to now.
    pub(crate) connections: u64,
}

impl Sample {
    pub(crate) const HEAD: &str = "| time | resident | counted memory | descriptors | tasks | clients | rooms | WebSockets so far |\n\
                                   | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |";
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, resident, memory, files, tasks, clients, rooms, connections } = self;
        let [resident, memory] = [resident, memory].map(|bytes| *bytes as f64 / 1e6);
        let seconds = time.as_secs();
        write!(
            f,
            "| {seconds} s | {resident:.1} MB | {memory:.1} MB | {files} | {tasks} | {clients} | {rooms} | {connections} |"
        )
    }
}

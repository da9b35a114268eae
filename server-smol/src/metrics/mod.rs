//! Counts what a thread of rooms does, for the operator's `/metrics`.
//!
//! Only one thread writes, so to count is to add to a number in memory. Without the feature `metrics`, nothing is counted.

#[cfg(feature = "metrics")]
mod counters;
#[cfg(feature = "metrics")]
mod histogram;
#[cfg(feature = "metrics")]
mod labelled;
#[cfg(not(feature = "metrics"))]
mod no_counters;
#[cfg(feature = "metrics")]
mod snapshot;

#[cfg(not(feature = "metrics"))]
pub(crate) use no_counters::Metrics;
#[cfg(feature = "metrics")]
pub(crate) use {
    counters::Metrics,
    histogram::{Distribution, Histogram},
    snapshot::Snapshot,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// WebSockets that have asked for a room.
    Connections,
    /// Connections on which a session was resumed.
    Resumptions,
    /// Messages of clients.
    MessagesReceived,
    /// Messages of rooms, once for each client that gets them.
    MessagesSent,
    BytesReceived,
    BytesSent,
    RoomsCreated,
    /// Rooms that have come back from the disk.
    RoomsRestored,
    RoomsEnded,
    /// Rooms that have begun to hibernate.
    Hibernations,
}

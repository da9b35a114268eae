use alloc::string::String;
use core::{error::Error, fmt};

use super::VERSION;
use crate::reader::Short;

/// The reason why a room has no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// An event is suspended. Finish it first.
    Suspended,
    /// The room is broken, so it has no state that can be restored.
    Broken,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspended => "the room is in the middle of an event: resume it until it is over",
            Self::Broken => "the room is broken: its last event ended in a trap",
        })
    }
}

impl Error for SnapshotError {}

/// The reason why a snapshot cannot become a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are not a snapshot.
    NotASnapshot,
    /// It was made by another version of this crate, whose format is different.
    Version {
        /// The version of its format.
        version: u32,
    },
    /// The bytes have changed since it was made.
    Damaged,
    /// It is a snapshot of another module.
    OtherModule,
    /// It exceeds the program's limits, or the memory of this machine. The text gives the reason.
    TooLarge(String),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASnapshot => f.write_str("this is not a snapshot of a room"),
            Self::Version { version } => {
                write!(f, "this snapshot has format {version}; this host reads format {VERSION}")
            }
            Self::Damaged => f.write_str("this snapshot is damaged: restore the room from an earlier one"),
            Self::OtherModule => {
                f.write_str("this snapshot is of another module: load the module that it was made with")
            }
            Self::TooLarge(what) => write!(f, "this snapshot does not fit the program's limits: {what}"),
        }
    }
}

impl Error for RestoreError {}

impl From<Short> for RestoreError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

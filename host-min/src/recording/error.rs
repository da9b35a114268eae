use core::{error::Error, fmt};

use super::header::VERSION;
use crate::reader::Short;

/// The reason why a recording cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingError {
    /// The bytes are not a recording.
    NotARecording,
    /// It was made by another version of this crate, whose format is different.
    Version {
        /// The version of its format.
        version: u32,
    },
    /// Its bytes cannot be read: they are damaged or incomplete.
    Damaged,
    /// It ends in the middle of its last record. The host that wrote it was ended, for example. The records before are whole.
    CutOff,
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("this is not a recording of a room"),
            Self::Version { version } => {
                write!(f, "this recording has format {version}; this host reads format {VERSION}")
            }
            Self::Damaged => f.write_str("this recording cannot be read: it is damaged or incomplete"),
            Self::CutOff => {
                f.write_str("this recording ends in the middle of an event; the events before are whole")
            }
        }
    }
}

impl Error for RecordingError {}

impl From<Short> for RecordingError {
    fn from(_: Short) -> Self {
        Self::Damaged
    }
}

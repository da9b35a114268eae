use std::{error::Error, fmt, io};

use crate::{RoomNumber, segment::segment_name};

/// A reason why the journal did not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum JournalError {
    /// There is no space for another segment, because of the disk or of [`Options::max_size`](crate::Options): then
    /// [`is_limit`](Self::is_limit) is true. Nothing has changed. The same may succeed later.
    Full(io::Error),
    /// Writing or syncing failed, now or before. What was written since the last sync may be lost. The journal does
    /// nothing more: the process has to open it anew.
    Broken(io::Error),
    /// Reading failed. Nothing has changed.
    Read(io::Error),
    /// Bytes of a history are not those that were written. Nothing has changed.
    Damaged {
        /// The number of the segment.
        segment: u64,
        /// The place in the segment's file.
        offset: u64,
    },
    /// An entry is larger than 1 GiB, or an id than 64 KiB. Nothing has changed.
    TooLarge,
    /// There is no such room. Nothing has changed.
    UnknownRoom(RoomNumber),
    /// The entries contradict the journal. Nothing of them was written. The journal does nothing more, because the
    /// caller does not know its own rooms.
    Contradiction(Contradiction, RoomNumber),
}

/// The journal has all the segments that [`Options::max_size`](crate::Options) lets it have.
#[derive(Debug, Clone, Copy)]
struct LimitReached;

impl JournalError {
    pub(crate) fn limit_reached() -> Self {
        Self::Full(io::Error::new(io::ErrorKind::QuotaExceeded, LimitReached))
    }

    /// Returns whether there is no space because of [`Options::max_size`](crate::Options).
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(self, Self::Full(error) if error.get_ref().is_some_and(|error| error.is::<LimitReached>()))
    }
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the journal has reached its largest size")
    }
}

impl Error for LimitReached {}

/// A contradiction between entries and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contradiction {
    /// A new room has the number of a living room, or 0.
    NumberInUse,
    /// A new room has the id of a living room.
    IdInUse,
    /// The entry is of a room that does not live.
    NoSuchRoom,
    /// The room's events since its base would have more than 4 GiB.
    HistoryTooLarge,
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(error) => write!(f, "no space for another segment: {error}"),
            Self::Broken(error) => write!(f, "writing failed: {error}"),
            Self::Read(error) => write!(f, "reading failed: {error}"),
            Self::Damaged { segment, offset } => damaged(f, *segment, *offset),
            Self::TooLarge => f.write_str("an entry is too large"),
            Self::UnknownRoom(room) => write!(f, "there is no room with the number {}", room.0),
            Self::Contradiction(what, room) => {
                let what = match what {
                    Contradiction::NumberInUse => "its number is in use",
                    Contradiction::IdInUse => "its id is in use",
                    Contradiction::NoSuchRoom => "it does not live",
                    Contradiction::HistoryTooLarge => "its events have more than 4 GiB",
                };
                write!(f, "an entry of room {} contradicts the journal: {what}", room.0)
            }
        }
    }
}

impl Error for JournalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Full(error) | Self::Broken(error) | Self::Read(error) => Some(error),
            _ => None,
        }
    }
}

/// A reason why a journal cannot be opened. Nothing that was durable has changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk failed, or is full.
    Io(io::Error),
    /// Bytes that were durable are not those that were written, or a segment is missing.
    Damaged {
        /// The number of the segment.
        segment: u64,
        /// The place in the segment's file.
        offset: u64,
    },
    /// The journal has a format that this version cannot read.
    Version(u32),
    /// The size of segments is below 4 KiB or above 1 GiB.
    SegmentSize(u32),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Damaged { segment, offset } => damaged(f, *segment, *offset),
            Self::Version(version) => {
                write!(f, "the journal has format {version}, and this is a version for format 1")
            }
            Self::SegmentSize(size) => write!(f, "segments of {size} bytes are too small or too large"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn damaged(f: &mut fmt::Formatter<'_>, segment: u64, offset: u64) -> fmt::Result {
    write!(f, "the journal's file `{}` is damaged or missing, at byte {offset}", segment_name(segment))
}

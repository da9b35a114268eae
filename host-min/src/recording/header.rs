use alloc::vec::Vec;

use crate::{Limits, Program, reader::Reader};

use super::{RecordingError, varint};

/// The first bytes of a recording.
const MAGIC: [u8; 8] = *b"staterec";

/// The version of the format. It changes whenever the meaning of any byte does.
pub(super) const VERSION: u32 = 1;

/// The first part of a [`Recording`](super::Recording): all that decides the outcomes of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordingHeader<'a> {
    /// The version of this crate that ran the room.
    pub host_version: &'a str,
    /// The limits of the room's program.
    pub limits: Limits,
    /// The SHA-256 of the module.
    pub module_hash: [u8; 32],
    /// The module. It may be empty, if whoever reads the recording has the module.
    pub module: &'a [u8],
    /// The room's id.
    pub room_id: &'a str,
    /// The room's state before the first event.
    pub start: RecordingStart<'a>,
}

/// The state of a room when its recording began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingStart<'a> {
    /// The room was new.
    New {
        /// The seed of its random numbers.
        seed: [u8; 32],
    },
    /// The room had this [snapshot](crate::Room::snapshot).
    Snapshot(&'a [u8]),
}

impl<'a> RecordingHeader<'a> {
    /// Returns the header for a recording of a room of this program. It has the module if the program has [kept
    /// it](Program::load_and_keep).
    #[must_use]
    pub fn new(program: &'a Program, room_id: &'a str, start: RecordingStart<'a>) -> Self {
        Self {
            host_version: env!("CARGO_PKG_VERSION"),
            limits: *program.limits(),
            module_hash: program.hash(),
            module: program.module().unwrap_or_default(),
            room_id,
            start,
        }
    }

    /// Appends the header to `out`. Records follow.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        varint::put_bytes(self.host_version.as_bytes(), out);
        self.limits.values().into_iter().for_each(|limit| varint::put(limit, out));
        out.extend(self.module_hash);
        varint::put_bytes(self.module, out);
        varint::put_bytes(self.room_id.as_bytes(), out);
        match self.start {
            RecordingStart::New { seed } => {
                out.push(0);
                out.extend(seed);
            }
            RecordingStart::Snapshot(snapshot) => {
                out.push(1);
                varint::put_bytes(snapshot, out);
            }
        }
    }

    /// Returns the SHA-256 of the module from the first bytes of a recording: 256 of them are enough.
    #[must_use]
    pub fn module_hash_of(first_bytes: &[u8]) -> Option<[u8; 32]> {
        let mut reader = Reader::new(first_bytes);
        RecordingHeader::read_limits(&mut reader).ok()?;
        reader.array().ok()
    }

    /// Reads all that comes before the hash of the module.
    fn read_limits(reader: &mut Reader<'a>) -> Result<(&'a str, Limits), RecordingError> {
        if reader.array() != Ok(MAGIC) {
            return Err(RecordingError::NotARecording);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(RecordingError::Version { version });
        }
        let host_version = varint::read_text(reader)?;
        let mut limits = [0; Limits::COUNT];
        for limit in &mut limits {
            *limit = varint::read(reader)?;
        }
        Ok((host_version, Limits::from_values(limits).ok_or(RecordingError::Damaged)?))
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, RecordingError> {
        let (host_version, limits) = Self::read_limits(reader)?;
        Ok(Self {
            host_version,
            limits,
            module_hash: reader.array()?,
            module: varint::read_bytes(reader)?,
            room_id: varint::read_text(reader)?,
            start: match reader.byte()? {
                0 => RecordingStart::New { seed: reader.array()? },
                1 => RecordingStart::Snapshot(varint::read_bytes(reader)?),
                _ => return Err(RecordingError::Damaged),
            },
        })
    }
}

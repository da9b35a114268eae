//! The state of a room as bytes.

mod error;
mod restore;
mod value;

use alloc::vec::Vec;
use core::ops::Range;

use wasmi::{Global, Val};

use crate::{
    Program, Step, Trap, checksum, hibernation::Saved, image::WINDOW, live::Live, presence::Presence,
    reader::Reader, state::Generator,
};

pub use error::{RestoreError, SnapshotError};

/// The first bytes of a snapshot.
const MAGIC: [u8; 8] = *b"stateroo";
/// The version of the format. It changes whenever the meaning of any byte does.
const VERSION: u32 = 3;
/// The length of the module's hash, in bytes.
const HASH: usize = 32;
/// The length of the checksum at the end of a snapshot, in bytes.
const CHECKSUM: usize = 4;
/// The length of the random generator's part, in bytes.
pub(crate) const RANDOM: usize = 49;

// A snapshot, all numbers little endian:
//
//     magic [u8; 8], version u32, SHA-256 of the module [u8; 32]
//     whether the room has started u8
//     its id: length u32, UTF-8
//     clients: id of the next one u32, number u32; each: id u32, ascending
//     timer: whether it is set u8; if so: due in milliseconds since the Unix epoch u64
//     the time of the last event in milliseconds since the Unix epoch u64
//     random numbers: seed [u8; 32], whether they have been used u8, position u128
//     memory: size in bytes u64, number of pieces u32; each piece: address u32, length u32, bytes
//     globals: number u32; each: type u8, value u64
//     tables: number u32; each: number of elements u32; each: 0, or one more than the index of a function u32
//     dropped segments: number u32; each: u8
//     CRC-32 of all that u32
//
// Which global, table or segment each is follows from the module.

/// Begins a snapshot of a room: all that is not its instance's state.
pub(crate) fn begin(program: &Program, started: bool, id: &str, presence: &Presence) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + id.len() + presence.held());
    out.extend(MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(program.hash());
    out.push(started.into());
    put_count(&mut out, id.len());
    out.extend(id.as_bytes());
    presence.put(&mut out);
    out
}

/// Reads the part of a snapshot that says who is in the room. Does not check the rest.
pub(crate) fn presence(snapshot: &[u8]) -> Option<Presence> {
    let mut reader = Reader::new(snapshot.get(MAGIC.len() + size_of::<u32>() + HASH + 1..)?);
    let id = reader.u32().ok()?;
    reader.bytes(id as usize).ok()?;
    Presence::read(&mut reader).ok()?
}

/// Ends one.
pub(crate) fn finish(mut out: Vec<u8>) -> Vec<u8> {
    out.extend(checksum::hash(&out).to_le_bytes());
    out
}

/// Makes sure that a room is between two events.
pub(crate) fn resting(last: Result<Step, &Trap>) -> Result<Step, SnapshotError> {
    match last {
        Ok(step @ (Step::Done | Step::Refused)) => Ok(step),
        Ok(Step::Suspended) => Err(SnapshotError::Suspended),
        Err(_) => Err(SnapshotError::Broken),
    }
}

/// Writes down pieces of a memory.
pub(crate) fn put_pieces(pieces: &[Range<usize>], memory: &[u8], out: &mut Vec<u8>) {
    out.reserve_exact(pieces.iter().map(|piece| 8 + piece.len()).sum());
    for piece in pieces {
        put_count(out, piece.start);
        put_count(out, piece.len());
        out.extend(&memory[piece.clone()]);
    }
}

impl Saved {
    /// Writes down what events may have changed: all from the random numbers to the segments.
    pub(crate) fn put_state(&self, out: &mut Vec<u8>) {
        out.reserve_exact(RANDOM + 12 + self.memory_held + self.rest.len() + CHECKSUM);
        out.extend(self.random);
        out.extend((self.memory_size as u64).to_le_bytes());
        put_count(out, self.pieces);
        self.memory.iter().for_each(|window| out.extend(window));
        out.extend(&self.rest);
    }
}

impl Live {
    /// Writes down what events may have changed: all from the random numbers to the segments.
    pub(crate) fn put_state(&self, out: &mut Vec<u8>) {
        let (memory, layout) = (self.memory(), self.program.layout());
        let mut pieces = Vec::new();
        // What has not got all of its memory has changed none of it.
        if self.construction.is_none() {
            let windows = (0..memory.len()).step_by(WINDOW);
            windows.for_each(|window| self.program.image().differences(memory, window, &mut pieces));
        }
        let changed: usize = pieces.iter().map(|piece| 8 + piece.len()).sum();
        // All of it, or nearly, so that it is not moved.
        out.reserve_exact(
            RANDOM + 24 + changed + 9 * layout.globals.len() + layout.segments.len() + CHECKSUM,
        );
        out.extend(self.random());
        out.extend((self.memory_size() as u64).to_le_bytes());
        put_count(out, pieces.len());
        put_pieces(&pieces, memory, out);
        self.put_rest(out);
    }

    /// Writes down the random numbers.
    pub(crate) fn random(&self) -> [u8; RANDOM] {
        let (seed, used, position) = match &self.store.data().random {
            Generator::Seed(seed) => (*seed, false, 0),
            Generator::Running(random) => (random.get_seed(), true, random.get_word_pos()),
        };
        let mut out = [0; RANDOM];
        out[..32].copy_from_slice(&seed);
        out[32] = used.into();
        out[33..].copy_from_slice(&position.to_le_bytes());
        out
    }

    /// Writes down what comes behind the memory: globals, tables and segments.
    pub(crate) fn put_rest(&self, out: &mut Vec<u8>) {
        let layout = self.program.layout();
        out.reserve_exact(12 + 9 * layout.globals.len() + layout.segments.len() + CHECKSUM);
        put_count(out, layout.globals.len());
        for global in self.globals() {
            let (ty, value) = value::encode(&global.get(&self.store));
            out.push(ty);
            out.extend(value.to_le_bytes());
        }
        put_count(out, layout.tables.len());
        for (index, _) in &layout.tables {
            let elements = self.store.data().tables.get(*index as usize).map_or(&[][..], |table| table);
            put_count(out, elements.len());
            out.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
        }
        put_count(out, layout.segments.len());
        for (_, flag) in &layout.segments {
            let flag = self.instance.get_global(&self.store, flag).map(|flag| flag.get(&self.store));
            out.push(matches!(flag, Some(Val::I32(1))).into());
        }
    }

    /// Returns the globals that can change.
    fn globals(&self) -> impl Iterator<Item = Global> {
        let names = self.program.layout().globals.iter();
        names.filter_map(|name| self.instance.get_global(&self.store, name))
    }
}

/// Writes a number of bytes or things in a room, which is far below 2^32.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

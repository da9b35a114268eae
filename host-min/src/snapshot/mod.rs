//! The state of a room as bytes.

mod error;
mod functions;
mod restore;
mod value;

use alloc::vec::Vec;
use core::ops::Range;

use wasmi::{Global, Table, Val};

use self::functions::Functions;
use crate::{Room, Step, Trap, program::memory, room::Live, state::Generator};

pub use error::{RestoreError, SnapshotError};

/// What a snapshot begins with.
const MAGIC: [u8; 8] = *b"stateroo";
/// The version of the format. It changes whenever the meaning of any byte does.
const VERSION: u32 = 1;
/// How long the checksum is that a snapshot ends with, in bytes.
const CHECKSUM: usize = 4;

// A snapshot, all numbers little endian:
//
//     magic [u8; 8], version u32, SHA-256 of the module [u8; 32]
//     whether the room has started u8
//     its id: length u32, UTF-8
//     random numbers: seed [u8; 32], whether they have been used u8, position u128
//     memory: size in bytes u64, number of pieces u32; each piece: address u32, length u32, bytes
//     globals: number u32; each: type u8, value u64
//     tables: number u32; each: number of elements u32; each: 0, or one more than the index of a function u32
//     dropped segments: number u32; each: u8
//     CRC-32 of all that u32
//
// Which global, table or segment each is follows from the module.

impl Room {
    /// The state of the room between two events, from which [`Program::restore`](crate::Program::restore)
    /// makes a room that goes on as this one would: its id, memory, globals, tables, segments and random
    /// numbers.
    ///
    /// What is not in it is not the room's: who is connected, when its timer is due, and the effects of the
    /// last event, which are to be read before.
    ///
    /// Its size is about that of what the guest has changed in its memory. It is the same whether or not the
    /// room is [folded](Self::fold).
    ///
    /// # Errors
    /// The room is not between two events.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let _ = resting(self.last())?;
        let mut out = Vec::with_capacity(512 + self.id().len());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.program().hash());
        out.push(self.started().into());
        put_count(&mut out, self.id().len());
        out.extend(self.id().as_bytes());
        self.put_state(&mut out);
        out.extend(crc32fast::hash(&out).to_le_bytes());
        Ok(out)
    }
}

/// Makes sure that a room is between two events.
pub(crate) fn resting(last: Result<Step, &Trap>) -> Result<Step, SnapshotError> {
    match last {
        Ok(step @ (Step::Done | Step::Refused)) => Ok(step),
        Ok(Step::Suspended) => Err(SnapshotError::Suspended),
        Err(_) => Err(SnapshotError::Broken),
    }
}

impl Live {
    /// Where the memory differs from a new room's, in whole pieces.
    pub(crate) fn differences(&self) -> Vec<Range<usize>> {
        self.program.image().differences(memory(&self.store))
    }

    /// Writes down what events may have changed: all from the random numbers to the segments.
    pub(crate) fn put_state(&self, differences: &[Range<usize>], out: &mut Vec<u8>) {
        let (memory, layout) = (memory(&self.store), self.program.layout());
        let changed: usize = differences.iter().map(|range| 8 + range.len()).sum();
        out.reserve_exact(73 + changed + 9 * layout.globals.len() + layout.segments.len() + CHECKSUM);

        let (seed, used, position) = match &self.store.data().random {
            Generator::Seed(seed) => (*seed, false, 0),
            Generator::Running(random) => (random.get_seed(), true, random.get_word_pos()),
        };
        out.extend(seed);
        out.push(used.into());
        out.extend(position.to_le_bytes());
        out.extend((memory.len() as u64).to_le_bytes());
        put_count(out, differences.len());
        for range in differences {
            put_count(out, range.start);
            put_count(out, range.len());
            out.extend(&memory[range.clone()]);
        }
        put_count(out, layout.globals.len());
        for global in self.globals() {
            let (ty, value) = value::encode(&global.get(&self.store));
            out.push(ty);
            out.extend(value.to_le_bytes());
        }
        put_count(out, layout.tables.len());
        if !layout.tables.is_empty() {
            let functions = Functions::of(self);
            for table in self.tables() {
                put_count(out, usize::try_from(table.size(&self.store)).unwrap_or(0));
                for element in (0..).map_while(|index| table.get(&self.store, index)) {
                    out.extend(functions.encode(&element).to_le_bytes());
                }
            }
        }
        put_count(out, layout.segments.len());
        for (_, flag) in &layout.segments {
            let flag = self.instance.get_global(&self.store, flag).map(|flag| flag.get(&self.store));
            out.push(matches!(flag, Some(Val::I32(1))).into());
        }
    }

    /// The globals that can change.
    fn globals(&self) -> impl Iterator<Item = Global> {
        let names = self.program.layout().globals.iter();
        names.filter_map(|name| self.instance.get_global(&self.store, name))
    }

    /// The tables that can change.
    fn tables(&self) -> impl Iterator<Item = Table> {
        let names = self.program.layout().tables.iter();
        names.filter_map(|name| self.instance.get_table(&self.store, name))
    }
}

/// A number of bytes or things in a room: far below 2^32.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

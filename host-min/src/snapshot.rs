use alloc::{format, string::String, vec::Vec};
use core::{error::Error, fmt, str};

use wasmi::{F32, F64, Func, Global, Nullable, Ref, RefType, Table, Val};

use crate::{
    Program, Room, Step,
    program::memory,
    reader::{Reader, Short},
    state::Generator,
};

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
    /// The state of the room between two events, from which [`Program::restore`] makes a room that goes on as this
    /// one would: memory, globals, tables and random numbers.
    ///
    /// What is not in it is not the room's: who is connected, when its timer is due, and the effects of the last
    /// event, which are to be read before.
    ///
    /// Its size is about that of what the guest has changed in its memory.
    ///
    /// # Errors
    /// The room is not between two events.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        match self.last() {
            Ok(Step::Done | Step::Refused) => {}
            Ok(Step::Suspended) => return Err(SnapshotError::Suspended),
            Err(_) => return Err(SnapshotError::Broken),
        }
        let (memory, layout) = (memory(&self.store), self.program.layout());
        let differences = self.program.image().differences(memory);
        let changed: usize = differences.iter().map(|range| 8 + range.len()).sum();

        let mut out = Vec::with_capacity(256 + self.id.len() + changed + 9 * layout.globals.len());
        out.extend(MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.program.hash());
        out.push(self.started.into());
        put_count(&mut out, self.id.len());
        out.extend(self.id.as_bytes());
        let (seed, used, position) = match &self.store.data().random {
            Generator::Seed(seed) => (*seed, false, 0),
            Generator::Running(random) => (random.get_seed(), true, random.get_word_pos()),
        };
        out.extend(seed);
        out.push(used.into());
        out.extend(position.to_le_bytes());
        out.extend((memory.len() as u64).to_le_bytes());
        put_count(&mut out, differences.len());
        for range in differences {
            put_count(&mut out, range.start);
            put_count(&mut out, range.len());
            out.extend(&memory[range]);
        }
        put_count(&mut out, layout.globals.len());
        for global in self.globals() {
            let (ty, value) = encode(&global.get(&self.store));
            out.push(ty);
            out.extend(value.to_le_bytes());
        }
        let functions = Functions::of(self);
        put_count(&mut out, layout.tables.len());
        for table in self.tables() {
            put_count(&mut out, usize::try_from(table.size(&self.store)).unwrap_or(0));
            for element in (0..).map_while(|index| table.get(&self.store, index)) {
                out.extend(functions.encode(&element).to_le_bytes());
            }
        }
        put_count(&mut out, layout.segments.len());
        for (_, flag) in &layout.segments {
            let flag = self.instance.get_global(&self.store, flag).map(|flag| flag.get(&self.store));
            out.push(matches!(flag, Some(Val::I32(1))).into());
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        Ok(out)
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

impl Program {
    /// Makes a room that goes on where the one was of which this is a [`snapshot`](Room::snapshot).
    ///
    /// It has had the events that the other has had; [`Event::Init`](crate::Event::Init) is not to be handed in again.
    ///
    /// # Errors
    /// See [`RestoreError`]. Nothing is taken on trust: whatever the bytes are, this does not panic, and the room is
    /// within the program's limits.
    pub fn restore(&self, snapshot: &[u8]) -> Result<Room, RestoreError> {
        let Some((body, checksum)) = snapshot.split_last_chunk::<CHECKSUM>() else {
            return Err(RestoreError::NotASnapshot);
        };
        let mut reader = Reader::new(body);
        if reader.array() != Ok(MAGIC) {
            return Err(RestoreError::NotASnapshot);
        }
        let version = reader.u32()?;
        if version != VERSION {
            return Err(RestoreError::Version { version });
        }
        if crc32fast::hash(body).to_le_bytes() != *checksum {
            return Err(RestoreError::Damaged);
        }
        if reader.array() != Ok(self.hash()) {
            return Err(RestoreError::OtherModule);
        }
        let started = reader.flag()?;
        let id = reader.count()?;
        let id = str::from_utf8(reader.bytes(id)?).map_err(|_| RestoreError::Damaged)?;
        let seed = reader.array()?;
        let used = reader.flag()?;
        let position = u128::from_le_bytes(reader.array()?);

        let mut room = self.room(id, seed).map_err(|trap| RestoreError::TooLarge(format!("{trap}")))?;
        room.started = started;
        if used {
            room.store.data_mut().random = Generator::at(seed, position);
        }
        room.restore_memory(&mut reader)?;
        room.restore_globals(&mut reader)?;
        room.restore_tables(&mut reader)?;
        room.restore_segments(&mut reader)?;
        if reader.left() > 0 {
            return Err(RestoreError::Damaged);
        }
        Ok(room)
    }
}

impl Room {
    fn restore_memory(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let memory = self.store.data().memory.ok_or(RestoreError::Damaged)?;
        let size = reader.u64()?;
        let page = self.program.layout().page_size;
        let pages = size / page;
        let more = pages.checked_sub(memory.size(&self.store)).ok_or(RestoreError::Damaged)?;
        if !size.is_multiple_of(page) {
            return Err(RestoreError::Damaged);
        }
        memory
            .grow(&mut self.store, more)
            .map_err(|error| RestoreError::TooLarge(format!("a memory of {size} bytes: {error}")))?;
        let bytes = memory.data_mut(&mut self.store);
        for _ in 0..reader.u32()? {
            let (at, len) = (reader.count()?, reader.count()?);
            let place = at.checked_add(len).and_then(|end| bytes.get_mut(at..end));
            place.ok_or(RestoreError::Damaged)?.copy_from_slice(reader.bytes(len)?);
        }
        Ok(())
    }

    fn restore_globals(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let globals: Vec<_> = self.globals().collect();
        if reader.count()? != globals.len() {
            return Err(RestoreError::Damaged);
        }
        for global in globals {
            let value = decode(reader.byte()?, reader.u64()?).ok_or(RestoreError::Damaged)?;
            global.set(&mut self.store, value).map_err(|_| RestoreError::Damaged)?;
        }
        Ok(())
    }

    fn restore_tables(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let functions = Functions::of(self);
        let tables: Vec<_> = self.tables().collect();
        if reader.count()? != tables.len() {
            return Err(RestoreError::Damaged);
        }
        for table in tables {
            // They do not grow: see `module/admission.rs`.
            let size = table.size(&self.store);
            if u64::from(reader.u32()?) != size {
                return Err(RestoreError::Damaged);
            }
            for index in 0..size {
                let element = functions.decode(reader.u32()?).ok_or(RestoreError::Damaged)?;
                // Objects of the host there are none.
                if table.ty(&self.store).element() == RefType::Func {
                    table.set(&mut self.store, index, element).map_err(|_| RestoreError::Damaged)?;
                }
            }
        }
        Ok(())
    }

    fn restore_segments(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let program = self.program.clone();
        let segments = &program.layout().segments;
        if reader.count()? != segments.len() {
            return Err(RestoreError::Damaged);
        }
        // What drops a segment is a few instructions of the host's own.
        let _ = self.store.set_fuel(u64::MAX);
        for (dropper, _) in segments {
            if reader.flag()? {
                let dropper = self.instance.get_typed_func::<(u32, u32), ()>(&self.store, dropper);
                let dropped = dropper.and_then(|dropper| dropper.call(&mut self.store, (0, 0)));
                dropped.map_err(|_| RestoreError::Damaged)?;
            }
        }
        Ok(())
    }
}

fn encode(value: &Val) -> (u8, u64) {
    match value {
        Val::I32(value) => (0, u64::from(value.cast_unsigned())),
        Val::I64(value) => (1, value.cast_unsigned()),
        Val::F32(value) => (2, u64::from(value.to_bits())),
        Val::F64(value) => (3, value.to_bits()),
        // There are no others: see `module/admission.rs`.
        _ => (u8::MAX, 0),
    }
}

fn decode(ty: u8, value: u64) -> Option<Val> {
    let narrow = u32::try_from(value);
    Some(match ty {
        0 => Val::I32(narrow.ok()?.cast_signed()),
        1 => Val::I64(value.cast_signed()),
        2 => Val::F32(F32::from_bits(narrow.ok()?)),
        3 => Val::F64(F64::from_bits(value)),
        _ => return None,
    })
}

/// The functions that tables may point to, and how that is written down.
struct Functions(Vec<(u32, Func)>);

impl Functions {
    fn of(room: &Room) -> Self {
        let functions = room.program.layout().functions.iter();
        let known =
            functions.filter_map(|(index, name)| Some((*index, room.instance.get_func(&room.store, name)?)));
        Self(known.collect())
    }

    fn encode(&self, element: &Ref) -> u32 {
        let Ref::Func(Nullable::Val(function)) = element else { return 0 };
        let known = self.0.iter().find(|(_, known)| same(known, function));
        // All are known that can come into a table: see `module/outline.rs`.
        known.map_or(0, |(index, _)| index + 1)
    }

    fn decode(&self, value: u32) -> Option<Ref> {
        let Some(index) = value.checked_sub(1) else { return Some(Ref::Func(Nullable::Null)) };
        let known = self.0.iter().find(|(known, _)| *known == index);
        known.map(|(_, function)| Ref::Func(Nullable::Val(*function)))
    }
}

/// Whether two handles mean the same function. The engine does not compare them, but shows the number that each
/// consists of.
fn same(a: &Func, b: &Func) -> bool {
    let shown = |function: &Func| -> String { format!("{function:?}") };
    shown(a) == shown(b)
}

/// A number of bytes or things in a room: far below 2^32.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

impl Reader<'_> {
    fn count(&mut self) -> Result<usize, Short> {
        self.u32().map(|count| count as usize)
    }

    fn flag(&mut self) -> Result<bool, RestoreError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(RestoreError::Damaged),
        }
    }
}

/// Why a room has no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// An event is suspended: go on with it first.
    Suspended,
    /// The room is broken, so that there is nothing to go on with.
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

/// Why a snapshot does not make a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The bytes are something else.
    NotASnapshot,
    /// It was made by another version of this crate, whose format is different.
    Version {
        /// The version of its format.
        version: u32,
    },
    /// The bytes have changed since it was made.
    Damaged,
    /// It is of a room of another module, of which the state has another meaning.
    OtherModule,
    /// It does not fit the program's limits, or this machine; what of it does not.
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

use alloc::{format, vec::Vec};
use core::str;

use wasmi::{Nullable, Ref};

use super::{CHECKSUM, MAGIC, RestoreError, VERSION, value};
use crate::{
    Program, Room, checksum,
    construction::grow,
    live::Live,
    presence::Presence,
    reader::{Reader, Short},
    state::Generator,
};

/// The number of bits of the position in the key stream: 64 of the block, and four of the word in it.
const POSITION_BITS: u32 = 68;

impl Program {
    /// Creates a room from a [`snapshot`](Room::snapshot). It continues with the state of the original room.
    ///
    /// Do not hand in [`Event::Init`](crate::Event::Init) again.
    ///
    /// # Errors
    /// See [`RestoreError`]. All bytes are checked. No bytes can make this panic, or make a room that exceeds
    /// the program's limits.
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
        if checksum::hash(body).to_le_bytes() != *checksum {
            return Err(RestoreError::Damaged);
        }
        if reader.array() != Ok(self.hash()) {
            return Err(RestoreError::OtherModule);
        }
        let started = reader.flag()?;
        let id = reader.count()?;
        let id = str::from_utf8(reader.bytes(id)?).map_err(|_| RestoreError::Damaged)?;
        let presence = Presence::read(&mut reader)?.ok_or(RestoreError::Damaged)?;
        let no_memory = |_| RestoreError::TooLarge("there is no memory for another room".into());
        let mut room = self.live(id, [0; 32], self.construction()).map_err(no_memory)?;
        while !room.go_on_constructing().map_err(no_memory)? {}
        (room.started, room.presence) = (started, presence);
        room.restore_random(&mut reader)?;
        room.restore_memory(&mut reader)?;
        room.restore_rest(&mut reader)?;
        Ok(room.into())
    }
}

impl Live {
    /// Takes over the random numbers.
    pub(crate) fn restore_random(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let seed = reader.array()?;
        let used = reader.flag()?;
        let position = u128::from_le_bytes(reader.array()?);
        if position >> POSITION_BITS != 0 {
            return Err(RestoreError::Damaged);
        }
        self.store.data_mut().random =
            if used { Generator::at(seed, position) } else { Generator::Seed(seed) };
        Ok(())
    }

    /// Takes over what comes behind the memory, up to the end.
    pub(crate) fn restore_rest(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        self.restore_globals(reader)?;
        self.restore_tables(reader)?;
        self.restore_segments(reader)?;
        if reader.left() > 0 {
            return Err(RestoreError::Damaged);
        }
        Ok(())
    }

    fn restore_memory(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let size = reader.u64()?;
        let sizes = self.program.layout().sizes;
        if size < self.memory().len() as u64 || !size.is_multiple_of(1 << sizes.page_log2) {
            return Err(RestoreError::Damaged);
        }
        let too_large = || RestoreError::TooLarge(format!("a memory of {size} bytes"));
        if size >> sizes.page_log2 > sizes.most.into() {
            return Err(too_large());
        }
        let size = usize::try_from(size).map_err(|_| too_large())?;
        while !grow(self, size).map_err(|_| too_large())? {}
        for _ in 0..reader.u32()? {
            self.restore_piece(reader)?;
        }
        Ok(())
    }

    /// Takes over a piece of the memory.
    pub(crate) fn restore_piece(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let (at, len) = (reader.count()?, reader.count()?);
        let place = at.checked_add(len).and_then(|end| self.memory_mut().get_mut(at..end));
        place.ok_or(RestoreError::Damaged)?.copy_from_slice(reader.bytes(len)?);
        Ok(())
    }

    fn restore_globals(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let globals: Vec<_> = self.globals().collect();
        if reader.count()? != globals.len() {
            return Err(RestoreError::Damaged);
        }
        for global in globals {
            let value = value::decode(reader.byte()?, reader.u64()?).ok_or(RestoreError::Damaged)?;
            global.set(&mut self.store, value).map_err(|_| RestoreError::Damaged)?;
        }
        Ok(())
    }

    fn restore_tables(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let program = self.program.clone();
        let tables = &program.layout().tables;
        if reader.count()? != tables.len() {
            return Err(RestoreError::Damaged);
        }
        for (index, name) in tables {
            let table = self.instance.get_table(&self.store, name).ok_or(RestoreError::Damaged)?;
            // They do not grow: see `module/admission.rs`.
            let size = table.size(&self.store);
            if u64::from(reader.u32()?) != size {
                return Err(RestoreError::Damaged);
            }
            for at in 0..size {
                let element = reader.u32()?;
                let held = self.store.data_mut().tables.get_mut(*index as usize);
                let held = held.and_then(|table| table.get_mut(at as usize)).ok_or(RestoreError::Damaged)?;
                // Most are what they are at first.
                if *held != element {
                    *held = element;
                    let element = self.function(element)?;
                    table.set(&mut self.store, at, element).map_err(|_| RestoreError::Damaged)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the function that a number stands for.
    fn function(&self, element: u32) -> Result<Ref, RestoreError> {
        let Some(index) = element.checked_sub(1) else { return Ok(Ref::Func(Nullable::Null)) };
        let functions = &self.program.layout().functions;
        let known = functions.binary_search_by_key(&index, |(index, _)| *index);
        let name = known.map(|known| &functions[known].1).map_err(|_| RestoreError::Damaged)?;
        let function = self.instance.get_func(&self.store, name).ok_or(RestoreError::Damaged)?;
        Ok(Ref::Func(Nullable::Val(function)))
    }

    fn restore_segments(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let program = self.program.clone();
        let segments = &program.layout().segments;
        if reader.count()? != segments.len() {
            return Err(RestoreError::Damaged);
        }
        // What drops a segment is a few instructions of the host's own, for which the event that waits does
        // not pay.
        let fuel = self.store.get_fuel().unwrap_or(0);
        for (dropper, _) in segments {
            if reader.flag()? {
                let _ = self.store.set_fuel(u64::MAX);
                let dropper = self.instance.get_typed_func::<(), ()>(&self.store, dropper);
                let dropped = dropper.and_then(|dropper| dropper.call(&mut self.store, ()));
                dropped.map_err(|_| RestoreError::Damaged)?;
            }
        }
        let _ = self.store.set_fuel(fuel);
        Ok(())
    }
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

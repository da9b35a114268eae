use std::{collections::VecDeque, hash::BuildHasher, hash::RandomState};

use hashbrown::HashTable;

use crate::{
    bytes::{Reader, put_varint},
    error::Contradiction,
    layout::Layout,
    record::{Kind, Record},
};

/// No timer is due.
const NEVER: u64 = u64::MAX;
/// The base of a room that recovery has seen only events of.
const NO_BASE: u64 = u64::MAX;
/// Rooms are allocated in pages of this many, so that no memory is unused after growing, and none is copied.
const PAGE: usize = 256;

/// The journal's knowledge of a room: 56 bytes, and the id.
#[derive(Debug)]
pub(crate) struct Room {
    /// 0 if the slot is free.
    pub(crate) number: u64,
    /// The positions of its base and its last record.
    pub(crate) base: u64,
    pub(crate) last: u64,
    due: u64,
    /// The bytes of its records.
    pub(crate) base_bytes: u32,
    pub(crate) event_bytes: u32,
    pub(crate) id: Box<str>,
}

impl Room {
    pub(crate) fn due(&self) -> Option<u64> {
        (self.due != NEVER).then_some(self.due)
    }

    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.base_bytes) + u64::from(self.event_bytes)
    }
}

/// The rooms whose base is in a segment.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Based {
    pub(crate) rooms: u32,
    /// The bytes of their histories, wherever they are.
    pub(crate) bytes: u64,
}

/// All living rooms.
#[derive(Debug)]
pub(crate) struct Index {
    layout: Layout,
    pages: Vec<Vec<Room>>,
    free: Vec<u32>,
    /// Slots, by the numbers and by the ids of the rooms in them.
    by_number: HashTable<u32>,
    by_id: HashTable<u32>,
    keys: RandomState,
    pub(crate) rooms: usize,
    /// Rooms without a base.
    orphans: usize,
    pub(crate) next_room: u64,
    /// The oldest segment, and what is based in it and in those after it.
    pub(crate) oldest: u64,
    pub(crate) based: VecDeque<Based>,
    pub(crate) live: u64,
    /// The segments with histories that could not be read. Their files are not used again.
    pub(crate) damaged: Vec<u64>,
}

/// The records do not fit to one another.
#[derive(Debug)]
pub(crate) struct Inconsistent;

fn hash(number: u64) -> u64 {
    // A table takes the place from the low bits, and a tag from the highest seven.
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

fn remove(table: &mut HashTable<u32>, hash: u64, slot: u32) {
    match table.find_entry(hash, |&other| other == slot) {
        Ok(entry) => _ = entry.remove(),
        Err(_) => debug_assert!(false, "slot {slot} is in no place"),
    }
}

impl Index {
    pub(crate) fn new(layout: Layout, oldest: u64) -> Self {
        Self {
            layout,
            pages: Vec::new(),
            free: Vec::new(),
            by_number: HashTable::new(),
            by_id: HashTable::new(),
            keys: RandomState::new(),
            rooms: 0,
            orphans: 0,
            next_room: 1,
            oldest,
            based: VecDeque::new(),
            live: 0,
            damaged: Vec::new(),
        }
    }

    pub(crate) fn slot(&self, slot: u32) -> &Room {
        &self.pages[slot as usize / PAGE][slot as usize % PAGE]
    }

    fn find_slot(&self, number: u64) -> Option<u32> {
        self.by_number.find(hash(number), |&slot| self.slot(slot).number == number).copied()
    }

    /// Returns the slot of a room, if it lives.
    pub(crate) fn living_slot(&self, number: u64) -> Option<u32> {
        self.find_slot(number).filter(|slot| self.slot(*slot).base != NO_BASE)
    }

    /// Returns a room, if it lives.
    pub(crate) fn get(&self, number: u64) -> Option<&Room> {
        self.living_slot(number).map(|slot| self.slot(slot))
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Room> {
        let slot = self.by_id.find(self.keys.hash_one(id), |&slot| &*self.slot(slot).id == id)?;
        Some(self.slot(*slot))
    }

    /// Returns the rooms of a page.
    pub(crate) fn page(&self, page: usize) -> Option<impl Iterator<Item = &Room>> {
        Some(self.pages.get(page)?.iter().filter(|room| room.number != 0 && room.base != NO_BASE))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.pages.iter().flatten().filter(|room| room.number != 0 && room.base != NO_BASE)
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.orphans == 0
    }

    /// Checks whether a record of the caller is one that can follow.
    pub(crate) fn check(&self, record: &Record<'_>) -> Result<(), Contradiction> {
        let room = self.get(record.room);
        match record.kind {
            Kind::Created if room.is_some() || record.room == 0 => Err(Contradiction::NumberInUse),
            Kind::Created if self.find(record.id).is_some() => Err(Contradiction::IdInUse),
            Kind::Created | Kind::Checkpoint => Ok(()),
            _ => room.map(|_| ()).ok_or(Contradiction::NoSuchRoom),
        }
    }

    /// Changes the index as a record of this length at this position says.
    pub(crate) fn apply(
        &mut self,
        record: &Record<'_>,
        position: u64,
        length: u64,
    ) -> Result<(), Inconsistent> {
        self.next_room = self.next_room.max(record.room.saturating_add(1));
        match record.kind {
            Kind::Created | Kind::Snapshot => self.set_base(record, position, length),
            Kind::Damaged => {
                let mut mark = Reader(record.body);
                while let Some(position) = mark.varint() {
                    self.note_damage(self.layout.segment(position));
                }
                self.set_base(record, position, length)
            }
            Kind::Event => self.add_event(record, position, length),
            Kind::End => {
                if let Some(slot) = self.find_slot(record.room) {
                    self.remove(slot);
                }
                Ok(())
            }
            Kind::Checkpoint => Ok(()),
        }
    }

    fn set_base(&mut self, record: &Record<'_>, position: u64, length: u64) -> Result<(), Inconsistent> {
        let due = record.timer.flatten().unwrap_or(NEVER);
        let base_bytes = u32::try_from(length).map_err(|_| Inconsistent)?;
        let room = Room {
            number: record.room,
            base: position,
            last: position,
            due,
            base_bytes,
            event_bytes: 0,
            id: Box::default(),
        };
        self.put(room, record.id)
    }

    /// Puts a room in the place of one with the same number, which keeps its id if none is given.
    fn put(&mut self, mut room: Room, id: &str) -> Result<(), Inconsistent> {
        if let Some(slot) = self.find_slot(room.number) {
            if self.slot(slot).base != NO_BASE {
                self.uncount(slot);
                let old = &mut self.pages[slot as usize / PAGE][slot as usize % PAGE];
                if !id.is_empty() && &*old.id != id {
                    return Err(Inconsistent);
                }
                room.id = std::mem::take(&mut old.id);
                *old = room;
                self.count(slot);
                return Ok(());
            }
            self.remove(slot);
        }
        if room.number == 0 || self.find(id).is_some() {
            return Err(Inconsistent);
        }
        room.id = id.into();
        let slot = self.insert(room)?;
        self.rooms += 1;
        let Self { by_id, pages, keys, .. } = self;
        let id_hash = |slot: &u32| keys.hash_one(&*pages[*slot as usize / PAGE][*slot as usize % PAGE].id);
        by_id.insert_unique(id_hash(&slot), slot, id_hash);
        self.count(slot);
        Ok(())
    }

    fn add_event(&mut self, record: &Record<'_>, position: u64, length: u64) -> Result<(), Inconsistent> {
        match self.find_slot(record.room) {
            None => self.add_orphan(record.room),
            Some(slot) if self.slot(slot).base == NO_BASE => Ok(()),
            Some(slot) => self.extend(slot, record, position, length),
        }
    }

    /// Adds an event to the history of the living room in this slot.
    pub(crate) fn extend(
        &mut self,
        slot: u32,
        record: &Record<'_>,
        position: u64,
        length: u64,
    ) -> Result<(), Inconsistent> {
        let room = &mut self.pages[slot as usize / PAGE][slot as usize % PAGE];
        let event_bytes = u64::from(room.event_bytes) + length;
        if position.checked_sub(record.back) != Some(room.last) || record.back == 0 {
            return Err(Inconsistent);
        }
        room.event_bytes = u32::try_from(event_bytes).map_err(|_| Inconsistent)?;
        room.last = position;
        if let Some(due) = record.timer {
            room.due = due.unwrap_or(NEVER);
        }
        let segment = self.layout.segment(room.base);
        self.based(segment).bytes += length;
        self.live += length;
        Ok(())
    }

    /// Adds a room whose base is in a segment that is gone. A newer base or its end has to follow.
    fn add_orphan(&mut self, number: u64) -> Result<(), Inconsistent> {
        if number == 0 {
            return Err(Inconsistent);
        }
        self.orphans += 1;
        let id = Box::default();
        self.insert(Room { number, base: NO_BASE, last: 0, due: NEVER, base_bytes: 0, event_bytes: 0, id })?;
        Ok(())
    }

    /// Removes a room if it has no base.
    pub(crate) fn remove_orphan(&mut self, number: u64) {
        if let Some(slot) = self.find_slot(number)
            && self.slot(slot).base == NO_BASE
        {
            self.remove(slot);
        }
    }

    fn insert(&mut self, room: Room) -> Result<u32, Inconsistent> {
        let slot = if let Some(slot) = self.free.pop() {
            self.pages[slot as usize / PAGE][slot as usize % PAGE] = room;
            slot
        } else {
            if self.pages.last().is_none_or(|page| page.len() == PAGE) {
                self.pages.push(Vec::with_capacity(PAGE));
            }
            let page = self.pages.len() - 1;
            let slot = u32::try_from(page * PAGE + self.pages[page].len()).map_err(|_| Inconsistent)?;
            self.pages[page].push(room);
            slot
        };
        let Self { by_number, pages, .. } = self;
        let number_hash = |slot: &u32| hash(pages[*slot as usize / PAGE][*slot as usize % PAGE].number);
        by_number.insert_unique(number_hash(&slot), slot, number_hash);
        Ok(slot)
    }

    fn remove(&mut self, slot: u32) {
        if self.slot(slot).base == NO_BASE {
            self.orphans -= 1;
        } else {
            let id_hash = self.keys.hash_one(&*self.slot(slot).id);
            remove(&mut self.by_id, id_hash, slot);
            self.rooms -= 1;
            self.uncount(slot);
        }
        let number_hash = hash(self.slot(slot).number);
        remove(&mut self.by_number, number_hash, slot);
        let room = &mut self.pages[slot as usize / PAGE][slot as usize % PAGE];
        room.number = 0;
        room.id = Box::default();
        self.free.push(slot);
    }

    fn based(&mut self, segment: u64) -> &mut Based {
        let place = segment.saturating_sub(self.oldest) as usize;
        while self.based.len() <= place {
            self.based.push_back(Based::default());
        }
        &mut self.based[place]
    }

    fn count(&mut self, slot: u32) {
        let (segment, bytes) = (self.layout.segment(self.slot(slot).base), self.slot(slot).bytes());
        let based = self.based(segment);
        based.rooms += 1;
        based.bytes += bytes;
        self.live += bytes;
    }

    fn uncount(&mut self, slot: u32) {
        let (segment, bytes) = (self.layout.segment(self.slot(slot).base), self.slot(slot).bytes());
        let based = self.based(segment);
        based.rooms -= 1;
        based.bytes -= bytes;
        self.live -= bytes;
    }

    fn note_damage(&mut self, segment: u64) {
        if segment >= self.oldest && !self.damaged.contains(&segment) {
            self.damaged.push(segment);
        }
    }

    /// Forgets the oldest segment, in which nothing is based.
    pub(crate) fn retire_oldest(&mut self) {
        self.damaged.retain(|damaged| *damaged != self.oldest);
        self.oldest += 1;
        self.based.pop_front();
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.next_room);
        put_varint(&mut out, self.rooms as u64);
        for room in self.iter() {
            put_varint(&mut out, room.number);
            put_varint(&mut out, room.id.len() as u64);
            out.extend_from_slice(room.id.as_bytes());
            put_varint(&mut out, room.base);
            put_varint(&mut out, room.last - room.base);
            put_varint(&mut out, u64::from(room.base_bytes));
            put_varint(&mut out, u64::from(room.event_bytes));
            put_varint(&mut out, room.due().map_or(0, |due| due.saturating_add(1)));
        }
        out
    }

    /// Reads the index of a checkpoint at this position.
    pub(crate) fn decode(layout: Layout, oldest: u64, bytes: &[u8], position: u64) -> Option<Self> {
        let mut index = Self::new(layout, oldest);
        let mut reader = Reader(bytes);
        index.next_room = reader.varint()?;
        for _ in 0..reader.varint()? {
            let number = reader.varint()?;
            let id = str::from_utf8(reader.bytes()?).ok()?;
            let base = reader.varint()?;
            let last = base.checked_add(reader.varint()?)?;
            let base_bytes = u32::try_from(reader.varint()?).ok()?;
            let event_bytes = u32::try_from(reader.varint()?).ok()?;
            let due = reader.varint()?.checked_sub(1).unwrap_or(NEVER);
            if last > position || index.find_slot(number).is_some() {
                return None;
            }
            if layout.segment(base) < oldest {
                index.add_orphan(number).ok()?;
                continue;
            }
            let room = Room { number, base, last, due, base_bytes, event_bytes, id: Box::default() };
            index.put(room, id).ok()?;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::{Index, Kind, Layout, Record, Room};

    #[test]
    fn a_room_with_a_short_id_takes_less_than_100_bytes() {
        assert_eq!(size_of::<Room>(), 56);
        // The tables are fullest and emptiest between these.
        for rooms in [100_000, 114_600, 115_000, 229_000] {
            let mut index = Index::new(Layout { size: 16 << 20 }, 0);
            for number in 1..=rooms {
                let id = format!("room-{number}");
                let record =
                    Record { kind: Kind::Created, room: number, back: 0, timer: None, id: &id, body: &[] };
                index.apply(&record, number * 100, 100).unwrap();
            }
            let pages: usize = index.pages.iter().map(|page| page.capacity() * size_of::<Room>() + 24).sum();
            let tables = index.by_number.allocation_size() + index.by_id.allocation_size();
            // The allocator of musl has 4 bytes of its own, and multiples of 16 bytes.
            let ids: usize = index.iter().map(|room| (room.id.len() + 4).next_multiple_of(16)).sum();
            let each = (pages + tables + ids) as f64 / rooms as f64;
            println!("{rooms} rooms: {each:.1} bytes each");
            assert!(each < 100.0, "{rooms} rooms: {each}");
        }
    }
}

use crate::{Disk, Journal, RoomNumber, index::Room};

/// Counts of a journal, since it was opened.
#[derive(Debug, Default, Clone, Copy)]
#[non_exhaustive]
pub struct Stats {
    /// The living rooms.
    pub rooms: usize,
    /// The segments with data.
    pub segments: u64,
    /// The segments that are ready for use.
    pub spares: u64,
    /// The files that are kept because they have damaged bytes.
    pub damaged_files: u64,
    /// The bytes of the histories of living rooms.
    pub bytes_live: u64,
    /// The bytes of all files.
    pub bytes_used: u64,
    /// The bytes that were written: commits, and headers of segments.
    pub bytes_written: u64,
    /// The bytes of these that moved histories out of old segments.
    pub bytes_moved: u64,
    /// The bytes of these that were checkpoints.
    pub bytes_checkpoints: u64,
    /// The batches that were written.
    pub batches: u64,
    /// The calls of [`Disk::sync`].
    pub syncs: u64,
}

/// A living room, as the journal knows it without reading.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RoomEntry<'a> {
    /// Its number.
    pub number: RoomNumber,
    /// Its id.
    pub id: &'a str,
    /// The time at which its timer is due, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    /// The bytes of its base on the disk.
    pub base_bytes: u64,
    /// The bytes of the events after it on the disk.
    pub event_bytes: u64,
}

/// A room whose history was damaged, and was given up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DamagedRoom {
    /// Its id.
    pub id: Box<str>,
    /// The segment with the damage.
    pub segment: u64,
    /// The place in the segment's file.
    pub offset: u64,
}

pub(crate) fn entry(room: &Room) -> RoomEntry<'_> {
    RoomEntry {
        number: RoomNumber(room.number),
        id: &room.id,
        due: room.due(),
        base_bytes: room.base_bytes.into(),
        event_bytes: room.event_bytes.into(),
    }
}

impl<D: Disk> Journal<D> {
    /// Returns a number that is greater than that of any room that ever was. The caller counts on from it.
    pub const fn next_room(&self) -> RoomNumber {
        RoomNumber(self.index.next_room)
    }

    /// Returns the number of the living room with this id.
    pub fn find(&self, id: &str) -> Option<RoomNumber> {
        self.index.find(id).map(|room| RoomNumber(room.number))
    }

    /// Returns a living room.
    pub fn room(&self, room: RoomNumber) -> Option<RoomEntry<'_>> {
        self.index.get(room.0).map(entry)
    }

    /// Returns some living rooms, in no order. All steps from 0 on together have all rooms, each once, until one returns `None`. A room
    /// that is new meanwhile may be left out.
    pub fn some_rooms(&self, step: usize) -> Option<impl Iterator<Item = RoomEntry<'_>>> {
        self.index.page(step).map(|rooms| rooms.map(entry))
    }

    /// Returns all living rooms, in no order.
    pub fn rooms(&self) -> impl Iterator<Item = RoomEntry<'_>> {
        self.index.iter().map(entry)
    }

    /// Returns counts.
    pub fn stats(&self) -> Stats {
        let (segments, spares) = (self.used(), self.spares.len() as u64);
        Stats {
            rooms: self.index.rooms,
            segments,
            spares,
            damaged_files: self.damaged_files,
            bytes_live: self.index.live,
            bytes_used: (segments + spares + self.damaged_files) * self.layout.size,
            ..self.stats
        }
    }
}

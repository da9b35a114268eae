use std::io;

use crate::{
    Contradiction, DamagedRoom, Disk, Entries, Entry, JournalError, Options, RoomNumber, Stats,
    batch::Batch,
    checksum,
    index::Index,
    layout::{BATCH, HEADER, Layout},
    record::{HEAD, Head, Kind, MAX_BODY, MAX_ID, Record},
    segment::{Header, UNFINISHED, segment_name, spare_name},
};

/// The fewest segments that a journal may have.
const MIN_SEGMENTS: u64 = 8;
/// Spares that the caller's commits leave: one to move histories to, and one to open the journal with.
pub(crate) const SPARES: u64 = 2;
/// The largest buffer that is kept.
const KEEP: usize = 1 << 20;

/// A journal: the histories of all rooms. See the [crate](crate) for what it promises.
///
/// One thread owns it. [`write`](Self::write) and then [`sync`](Self::sync) make entries durable.
#[derive(Debug)]
pub struct Journal<D> {
    pub(crate) disk: D,
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) store: [u8; 16],
    pub(crate) index: Index,
    pub(crate) head: HeadSegment,
    /// The number of the last batch, and its checksum.
    pub(crate) number: u64,
    pub(crate) chain: u32,
    /// All batches up to this number are durable.
    pub(crate) durable: u64,
    pub(crate) spares: Vec<String>,
    /// The files that are kept because they have damaged bytes.
    pub(crate) damaged_files: u64,
    /// The rooms that were found to be damaged, until the caller [takes](Self::take_damaged) them.
    pub(crate) damaged: Vec<DamagedRoom>,
    /// For the names of new spares.
    pub(crate) next_spare: u64,
    /// The batch that is being made: space for its header, and its data.
    pub(crate) buffer: Vec<u8>,
    /// The checksum of no bytes.
    pub(crate) crc: checksum::Hasher,
    /// The rooms that may have their base in the oldest segment, while it is being emptied.
    pub(crate) moving: Vec<u64>,
    /// The segment in which the newest complete checkpoint began, or 0.
    pub(crate) checkpoint: u64,
    /// The bytes that were written since then, and its own.
    pub(crate) since_checkpoint: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) broken: Option<io::ErrorKind>,
    pub(crate) stats: Stats,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct HeadSegment {
    pub(crate) segment: u64,
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) salt: u64,
}

/// The author of a commit. It decides how much space the commit has to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// The caller. Its entries are checked, and it leaves the space that emptying segments needs.
    Caller,
    /// The journal, to empty a segment.
    Upkeep,
    /// The journal, when it is opened.
    Recovery,
}

impl<D: Disk> Journal<D> {
    /// Writes one commit with the entries of several threads, in this order. It is not durable until
    /// [`sync`](Self::sync) has returned. After a crash all of it is there, or nothing.
    ///
    /// # Errors
    ///
    /// [`Full`](JournalError::Full) and [`TooLarge`](JournalError::TooLarge): nothing was written, and the journal can
    /// be used further. [`Read`](JournalError::Read) is the same: a history cannot be moved, and without that there is
    /// no space. All others end the use of the journal.
    pub fn write(&mut self, entries: &[&Entries]) -> Result<(), JournalError> {
        self.check_broken()?;
        if entries.iter().all(|entries| entries.is_empty()) {
            return Ok(());
        }
        self.commit(entries, Writer::Caller)
    }

    /// Makes all durable that was written. One call of [`Disk::sync`], or none if nothing was written.
    ///
    /// # Errors
    ///
    /// [`Broken`](JournalError::Broken): what was not durable before may be lost. Do not try again, but end the
    /// process: what can be read after a failed sync is not what the disk has.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        self.check_broken()?;
        if self.durable < self.number {
            self.stats.syncs += 1;
            let result = self.disk.sync(&self.head.name);
            self.or_break(result)?;
            self.durable = self.number;
        }
        Ok(())
    }

    pub(crate) fn check_broken(&self) -> Result<(), JournalError> {
        match self.broken {
            None => Ok(()),
            Some(kind) => Err(JournalError::Broken(kind.into())),
        }
    }

    pub(crate) fn or_break<T>(&mut self, result: io::Result<T>) -> Result<T, JournalError> {
        result.map_err(|error| {
            self.broken = Some(error.kind());
            JournalError::Broken(error)
        })
    }

    /// Writes one commit.
    pub(crate) fn commit(&mut self, entries: &[&Entries], writer: Writer) -> Result<(), JournalError> {
        let most = self.most_bytes(entries)?;
        self.make_space(most, writer, entries)?;
        self.write_commit(entries, writer)
    }

    /// Writes one commit, for which there is space.
    pub(crate) fn write_commit(&mut self, entries: &[&Entries], writer: Writer) -> Result<(), JournalError> {
        self.begin_commit();
        let start = self.layout.start(self.head.segment, self.data_offset());
        for entry in entries.iter().flat_map(|entries| entries.iter()) {
            self.encode(&entry, start, writer)?;
        }
        self.append()
    }

    /// Returns the most bytes that entries can have on the disk.
    pub(crate) fn most_bytes(&self, entries: &[&Entries]) -> Result<u64, JournalError> {
        let mut most = 0;
        let mut longest = 0;
        for entries in entries {
            // A checksum, the way back, and a due time that is none.
            most += entries.len() as u64 + entries.count() * (4 + 10 + 6);
            if entries.longest() as u64 > MAX_BODY - MAX_ID - HEAD {
                return Err(JournalError::TooLarge);
            }
            let is_short = entries.longest() as u64 <= MAX_ID;
            if is_short && !entries.has_snapshots() {
                longest = longest.max(entries.longest());
                continue;
            }
            for entry in entries.iter() {
                match entry {
                    Entry::Create { id, .. } => longest = longest.max(id.len()),
                    // Its id, which may be one of this commit.
                    Entry::Snapshot { room, .. } => {
                        most += self.index.get(room.0).map_or(longest, |room| room.id.len()) as u64;
                    }
                    Entry::Event { .. } | Entry::End { .. } | Entry::Damaged { .. } => {}
                }
            }
            if longest as u64 > MAX_ID {
                return Err(JournalError::TooLarge);
            }
        }
        Ok(most)
    }

    /// Clears the buffer, but for the place of the header.
    pub(crate) fn begin_commit(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEEP);
        self.buffer.resize(BATCH as usize, 0);
    }

    /// Returns where the data of the next batch begins, if it fits into the head.
    pub(crate) const fn data_offset(&self) -> u64 {
        self.head.offset + BATCH
    }

    /// Encodes an entry and applies it to the index.
    fn encode(&mut self, entry: &Entry<'_>, start: u64, writer: Writer) -> Result<(), JournalError> {
        let position = self.layout.advance(start, (self.buffer.len() - BATCH as usize) as u64);
        let record = match *entry {
            Entry::Create { room, id, base } => {
                Record { kind: Kind::Created, room: room.0, back: 0, timer: None, id, body: base }
            }
            Entry::Event { room, timer, event } => {
                let record = Record { kind: Kind::Event, room: room.0, back: 0, timer, id: "", body: event };
                let result = self.encode_event(record, position, writer);
                return result.map_err(|what| self.contradict(what, room));
            }
            Entry::Snapshot { room, due, snapshot } => {
                let timer = due.map(Some);
                Record { kind: Kind::Snapshot, room: room.0, back: 0, timer, id: "", body: snapshot }
            }
            Entry::End { room } => {
                Record { kind: Kind::End, room: room.0, back: 0, timer: None, id: "", body: &[] }
            }
            Entry::Damaged { room, id, mark } => {
                Record { kind: Kind::Damaged, room: room.0, back: 0, timer: None, id, body: mark }
            }
        };
        let before = self.buffer.len();
        match (self.index.get(record.room), record.kind) {
            (Some(room), Kind::Snapshot) => {
                Record { id: &room.id, ..record }.encode(&self.crc, &mut self.buffer);
            }
            _ => record.encode(&self.crc, &mut self.buffer),
        }
        let length = (self.buffer.len() - before) as u64;
        let checked = if writer == Writer::Caller { self.index.check(&record) } else { Ok(()) };
        let room = RoomNumber(record.room);
        // What was checked applies. What is moved or recovered was consistent before.
        let checked = checked.and_then(|()| {
            self.index.apply(&record, position, length).map_err(|_| Contradiction::NoSuchRoom)
        });
        checked.map_err(|what| self.contradict(what, room))
    }

    /// Does the same for an event. The room is looked up once.
    fn encode_event(
        &mut self,
        mut record: Record<'_>,
        position: u64,
        writer: Writer,
    ) -> Result<(), Contradiction> {
        let Some(slot) = self.index.living_slot(record.room) else {
            // Its base is gone, because a newer one follows.
            return if writer == Writer::Recovery { Ok(()) } else { Err(Contradiction::NoSuchRoom) };
        };
        let before = self.buffer.len();
        record.back = position - self.index.slot(slot).last;
        record.encode(&self.crc, &mut self.buffer);
        let length = (self.buffer.len() - before) as u64;
        self.index.extend(slot, &record, position, length).map_err(|_| Contradiction::HistoryTooLarge)
    }

    /// Ends the use of the journal, as the caller's entries do not fit.
    fn contradict(&mut self, what: Contradiction, room: RoomNumber) -> JournalError {
        self.broken = Some(io::ErrorKind::InvalidInput);
        JournalError::Contradiction(what, room)
    }

    /// Writes what is in the buffer as one commit: one batch for each segment that it needs.
    pub(crate) fn append(&mut self) -> Result<(), JournalError> {
        let total = self.buffer.len() - BATCH as usize;
        let mut at = 0;
        // The first record that begins at `at` or behind it.
        let mut record = 0;
        loop {
            let space = self.layout.size - self.head.offset;
            if space <= BATCH {
                self.begin_segment(false)?;
                continue;
            }
            let length = (total - at).min((space - BATCH) as usize);
            let last = at + length == total;
            let skip = (record - at).min(length) as u32;
            while !last && record < at + length {
                let head = Head::decode(&self.buffer[BATCH as usize + record..]);
                record += head.map_or(total, |head| head.total() as usize);
            }
            let batch = Batch {
                crc: 0,
                length: length as u32,
                chain: self.chain,
                first: at == 0,
                last,
                skip,
                salt: self.head.salt,
                number: self.number + 1,
                durable: self.durable,
            };
            // The header takes the place of data that was written with the batch before.
            let bytes = &mut self.buffer[at..at + BATCH as usize + length];
            self.chain = batch.seal(&self.crc, bytes);
            let result = self.disk.write(&self.head.name, self.head.offset, bytes);
            let written = bytes.len() as u64;
            self.or_break(result)?;
            self.number += 1;
            self.head.offset += written;
            self.stats.bytes_written += written;
            self.stats.batches += 1;
            self.since_checkpoint += written;
            at += length;
            if last {
                return Ok(());
            }
        }
    }

    /// Puts data that is not an entry into the commit, and returns its length.
    pub(crate) fn put(&mut self, record: &Record<'_>) {
        record.encode(&self.crc, &mut self.buffer);
    }

    /// Goes on in a new segment, and returns when its name and its header are durable.
    pub(crate) fn begin_segment(&mut self, recovery: bool) -> Result<(), JournalError> {
        // Only the newest segment ever has batches that are not durable.
        if !recovery {
            self.sync()?;
        }
        self.begin_spare(self.head.segment + 1, recovery)?;
        // The header is durable before the file has the name of a segment. So a segment without one is damaged.
        self.stats.syncs += 1;
        let result = self.disk.sync(&self.head.name);
        self.or_break(result)?;
        self.name_head()
    }

    /// Goes on in a spare, and writes the header of a segment into it.
    pub(crate) fn begin_spare(&mut self, number: u64, recovery: bool) -> Result<(), JournalError> {
        let Some(name) = self.spares.pop() else {
            let error = io::Error::other("a commit is larger than was computed");
            return self.or_break(Err(error));
        };
        let salt = self.salt(number);
        let header = Header {
            size: self.layout.size as u32,
            number,
            salt,
            store: self.store,
            first: self.number + 1,
            chain: self.chain,
            recovery,
            checkpoint: self.checkpoint,
            next_room: self.index.next_room,
        };
        let result = self.disk.write(&name, 0, &header.encode());
        self.or_break(result)?;
        self.stats.bytes_written += HEADER;
        self.head = HeadSegment { segment: number, name, offset: HEADER, salt };
        Ok(())
    }

    /// Gives the spare that is written to the name of its segment, and makes the name durable.
    pub(crate) fn name_head(&mut self) -> Result<(), JournalError> {
        let name = segment_name(self.head.segment);
        let result = self.disk.rename(&self.head.name, &name);
        self.or_break(result)?;
        let result = self.disk.sync_directory();
        self.or_break(result)?;
        self.head.name = name;
        Ok(())
    }

    fn salt(&self, number: u64) -> u64 {
        let (low, high) = self.options.random.split_at(8);
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        // SplitMix64.
        let mut z = word(low) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) ^ word(high)).max(1)
    }

    /// Returns the segments that have data, with the one that is written to.
    pub(crate) const fn used(&self) -> u64 {
        self.head.segment + 1 - self.index.oldest
    }

    /// Returns how many segments there may be.
    pub(crate) fn most_segments(&self) -> u64 {
        (self.options.max_size / self.layout.size).max(MIN_SEGMENTS)
    }

    /// Returns how many segments a commit of this size begins.
    pub(crate) fn segments_for(&self, bytes: u64) -> u64 {
        let left = (self.layout.size - self.head.offset).saturating_sub(BATCH);
        if left == 0 {
            bytes.div_ceil(self.layout.usable()).max(1)
        } else {
            bytes.saturating_sub(left).div_ceil(self.layout.usable())
        }
    }

    /// Makes sure that there are spares for a commit of this size, if necessary by emptying segments.
    fn make_space(&mut self, bytes: u64, writer: Writer, entries: &[&Entries]) -> Result<(), JournalError> {
        // Rooms can end when there is no space for anything else, because that makes space.
        let ends =
            entries.iter().all(|entries| entries.iter().all(|entry| matches!(entry, Entry::End { .. })));
        loop {
            let needed = self.segments_for(bytes);
            let Err(full) = self.reserve(needed, writer, ends) else { return Ok(()) };
            if writer != Writer::Caller || !self.reclaim(needed)? {
                return Err(full);
            }
        }
    }

    /// Makes sure that there are spares for a commit that begins this many segments.
    pub(crate) fn reserve(&mut self, needed: u64, writer: Writer, ends: bool) -> Result<(), JournalError> {
        if needed == 0 {
            return Ok(());
        }
        let most = self.most_segments();
        let (keep, used) = match (writer, ends) {
            (Writer::Caller, false) => (SPARES, self.used() + 2 * needed + self.moving_needs()),
            (Writer::Caller, true) => (1, self.used() + needed + 1),
            (Writer::Upkeep, _) => (1, self.used() + needed),
            (Writer::Recovery, _) => (0, 0),
        };
        if used > most {
            return Err(JournalError::limit_reached());
        }
        while (self.spares.len() as u64) < needed + keep {
            if writer != Writer::Recovery && self.used() + self.spares.len() as u64 >= most {
                return match writer {
                    Writer::Upkeep if self.spares.len() as u64 >= needed => Ok(()),
                    _ => Err(JournalError::limit_reached()),
                };
            }
            if let Err(error) = self.make_spare() {
                return match writer {
                    Writer::Upkeep if self.spares.len() as u64 >= needed => Ok(()),
                    _ => Err(error),
                };
            }
        }
        Ok(())
    }

    /// Returns how many segments may be needed to empty segments, until all are histories without gaps: the most by
    /// which what was moved can exceed what became free.
    fn moving_needs(&self) -> u64 {
        let mut sum = 0;
        let mut most = 0;
        for (freed, based) in (0..).zip(&self.index.based) {
            sum += based.bytes;
            most = most.max(sum.div_ceil(self.layout.usable()).saturating_sub(freed));
        }
        most + 1
    }

    /// Creates a spare.
    pub(crate) fn make_spare(&mut self) -> Result<(), JournalError> {
        // It gets its name when it is complete.
        if let Err(error) = self.disk.create(UNFINISHED, self.layout.size) {
            // It may exist in part. It takes space, but nobody reads it, and the next attempt replaces it.
            let _ = self.disk.remove(UNFINISHED);
            return Err(JournalError::Full(error));
        }
        self.next_spare += 1;
        let name = spare_name(self.next_spare);
        let result = self.disk.rename(UNFINISHED, &name);
        self.or_break(result)?;
        // So that the names of two files cannot be confused after a crash.
        let result = self.disk.sync_directory();
        self.or_break(result)?;
        self.spares.push(name);
        Ok(())
    }
}

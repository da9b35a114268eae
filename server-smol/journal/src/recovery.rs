use std::io;

use crate::{
    Disk, Entries, Entry, Journal, OpenError, Options, RoomNumber, Stats, checksum,
    error::JournalError,
    index::Index,
    journal::{HeadSegment, Writer},
    layout::{HEADER, Layout},
    record::{Kind, Record},
    scan::{Commit, Mark, Scan},
    segment::{Header, HeaderError, UNFINISHED, is_damaged, segment_name, segment_number, spare_number},
};

/// The result of [`Journal::open`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Recovery {
    /// True if there was no journal.
    pub created: bool,
    /// The living rooms.
    pub rooms: usize,
    /// The bytes that were read.
    pub bytes_read: u64,
    /// The bytes at the end that were not part of a complete commit, and were dropped. They were not acknowledged.
    pub dropped: u64,
    /// The commits at the end that were complete but perhaps not durable, and were written again.
    pub rewritten: usize,
    /// True if all was read, because there was no checkpoint.
    pub full_scan: bool,
}

impl<D: Disk> Journal<D> {
    /// Opens the journal on a disk, or creates an empty one. When it returns, all that can be read is durable.
    ///
    /// Only one process may use the files. The caller sees to that, for example with a lock.
    ///
    /// # Errors
    ///
    /// [`Damaged`](OpenError::Damaged) and [`Version`](OpenError::Version): nothing has changed on the disk.
    /// [`Io`](OpenError::Io): the disk failed, or had no space for a new segment. Opening can be tried again, after a
    /// failed write or sync too, because opening reads no more than it writes again.
    pub fn open(mut disk: D, options: Options) -> Result<(Self, Recovery), OpenError> {
        if !(4096..=1 << 30).contains(&options.segment_size) {
            return Err(OpenError::SegmentSize(options.segment_size));
        }
        let mut files = Files::list(&mut disk)?;
        let mut headers = headers(&mut disk, &files.segments)?;
        let size = headers.first().map_or(options.segment_size, |header| header.size);
        let layout = Layout { size: size.into() };
        let mut unfinished = Vec::new();
        let mut scan = loop {
            // A journal that was created, but not completely, does not exist.
            let Some(oldest) = headers.first() else { break None };
            let scan = Scan::run(layout, &mut disk, &headers)?;
            // A recovery that did not get to its end does not count, and all before it still does.
            let Some(last) = headers.iter().rposition(|header| header.recovery) else { break Some(scan) };
            if scan.has_commit_from(headers[last].first) {
                break Some(scan);
            }
            if last == 0 && oldest.first != 1 {
                return Err(OpenError::Damaged { segment: oldest.number, offset: HEADER });
            }
            unfinished.splice(0..0, headers.drain(last..).map(|header| header.number));
        };
        let mut recovery = Recovery { created: scan.is_none(), ..Recovery::default() };
        let mut tail = Entries::default();
        let mut checkpoint_was_pending = false;
        if let Some(scan) = &mut scan {
            recovery.bytes_read = scan.window.read;
            recovery.dropped = scan.dropped;
            recovery.full_scan = scan.checkpoint == 0;
            for commit in &scan.pending {
                recovery.rewritten += usize::from(!commit.data.is_empty());
                let damaged = OpenError::Damaged {
                    segment: layout.segment(commit.start),
                    offset: layout.offset(commit.start),
                };
                checkpoint_was_pending |= repeat(commit, &scan.index, &mut tail).ok_or(damaged)?;
            }
            for entry in tail.iter() {
                if let Entry::Create { room, .. }
                | Entry::Snapshot { room, .. }
                | Entry::Damaged { room, .. }
                | Entry::End { room } = entry
                {
                    scan.index.remove_orphan(room.0);
                }
            }
            // Events were found of a room whose base is nowhere.
            if !scan.index.is_complete() {
                return Err(OpenError::Damaged { segment: scan.index.oldest.saturating_sub(1), offset: 0 });
            }
        }
        let store = headers.first().map_or(options.random, |header| header.store);
        let newest = headers.last().map_or(0, |header| header.number);

        // From here on, the disk is changed.
        // Names that can be seen may not be durable, if the last process failed or was killed.
        disk.sync_directory()?;
        for number in unfinished.into_iter().rev() {
            files.next_spare += 1;
            let spare = crate::segment::spare_name(files.next_spare);
            disk.rename(&segment_name(number), &spare)?;
            disk.sync_directory()?;
            files.spares.push(spare);
        }
        let mut spares = Vec::new();
        for spare in files.spares {
            if disk.size(&spare)? == layout.size {
                spares.push(spare);
            } else {
                disk.remove(&spare)?;
            }
        }
        if files.unfinished {
            disk.remove(UNFINISHED)?;
        }

        let (index, mark, checkpoint, checkpoint_bytes, since_checkpoint) = match scan {
            Some(scan) => {
                let mark = scan.end();
                (scan.index, mark, scan.checkpoint, scan.checkpoint_bytes, scan.since_checkpoint)
            }
            None => (Index::new(layout, newest + 1), Mark { number: 0, chain: 0 }, 0, 0, 0),
        };
        let replace = headers.last().is_some_and(|header| header.first > mark.number);
        let mut journal = Self {
            disk,
            layout,
            options,
            store,
            index,
            head: HeadSegment { segment: newest, name: String::new(), offset: layout.size, salt: 0 },
            number: mark.number,
            chain: mark.chain,
            durable: mark.number,
            spares,
            damaged_files: files.damaged,
            damaged: Vec::new(),
            next_spare: files.next_spare,
            crc: checksum::hasher(),
            buffer: Vec::new(),
            moving: Vec::new(),
            checkpoint,
            checkpoint_bytes,
            since_checkpoint,
            broken: None,
            stats: Stats::default(),
        };
        journal.rewrite(&tail, replace).map_err(|error| match error {
            JournalError::Full(error) | JournalError::Broken(error) | JournalError::Read(error) => {
                OpenError::Io(error)
            }
            other => OpenError::Io(io::Error::other(other)),
        })?;
        if checkpoint_was_pending {
            journal.since_checkpoint = u64::MAX / 2;
        }
        recovery.rooms = journal.index.rooms;
        Ok((journal, recovery))
    }
}

/// The files of a journal.
#[derive(Debug, Default)]
struct Files {
    /// The numbers of the segments, in order.
    segments: Vec<u64>,
    spares: Vec<String>,
    next_spare: u64,
    /// The number of files that are kept because they have damaged bytes.
    damaged: u64,
    /// True if there is a file that was being created.
    unfinished: bool,
}

impl Files {
    fn list(disk: &mut dyn Disk) -> io::Result<Self> {
        let mut files = Self::default();
        for name in disk.list()? {
            if let Some(number) = segment_number(&name) {
                let place = files.segments.partition_point(|&other| other < number);
                files.segments.insert(place, number);
            } else if let Some(number) = spare_number(&name) {
                files.next_spare = files.next_spare.max(number);
                files.spares.push(name);
            } else if is_damaged(&name) {
                files.damaged += 1;
            } else if name == UNFINISHED {
                files.unfinished = true;
            }
        }
        Ok(files)
    }
}

/// Reads the headers of all segments, and checks that they belong together.
fn headers(disk: &mut dyn Disk, segments: &[u64]) -> Result<Vec<Header>, OpenError> {
    let mut headers: Vec<Header> = Vec::with_capacity(segments.len());
    for &segment in segments {
        let damaged = OpenError::Damaged { segment, offset: 0 };
        let name = segment_name(segment);
        let size = disk.size(&name)?;
        let mut block = [0; HEADER as usize];
        if size < HEADER {
            return Err(damaged);
        }
        disk.read(&name, 0, &mut block)?;
        let header = match Header::decode(&block) {
            Ok(header) => header,
            Err(HeaderError::Damaged) => return Err(damaged),
            Err(HeaderError::Version(version)) => return Err(OpenError::Version(version)),
        };
        if header.number != segment
            || u64::from(header.size) != size
            || !(4096..=1 << 30).contains(&header.size)
        {
            return Err(damaged);
        }
        if let Some(before) = headers.last() {
            if before.number + 1 != segment {
                return Err(OpenError::Damaged { segment: before.number + 1, offset: 0 });
            }
            if before.store != header.store || before.size != header.size {
                return Err(damaged);
            }
        }
        headers.push(header);
    }
    Ok(headers)
}

/// Makes entries of the records of a commit. Returns whether there was a checkpoint, which is none of them, or `None`
/// if a record is damaged.
fn repeat(commit: &Commit, index: &Index, entries: &mut Entries) -> Option<bool> {
    let mut checkpoint = false;
    let mut bytes = &commit.data[..];
    while !bytes.is_empty() {
        let (record, length) = Record::decode(bytes)?;
        bytes = &bytes[length as usize..];
        let room = RoomNumber(record.room);
        match record.kind {
            Kind::Created => entries.create(room, record.id, record.body),
            Kind::Snapshot => {
                let due = record.timer.flatten();
                match index.get(room.0) {
                    Some(_) => entries.snapshot(room, due, record.body),
                    // The segment with the room's last base may be gone, and its id with it.
                    None => entries.create_from(room, record.id, due, record.body),
                }
            }
            Kind::Event => entries.event(room, record.timer, record.body),
            Kind::End => entries.end(room),
            Kind::Damaged => entries.damaged(room, record.id, record.body),
            Kind::Checkpoint => checkpoint = true,
        }
    }
    Some(checkpoint)
}

impl<D: Disk> Journal<D> {
    /// Writes the commits that may not be durable again, as one commit at the beginning of a new segment. If the newest
    /// segment has nothing else, the new one takes its place: so the journal does not grow with each start.
    fn rewrite(&mut self, tail: &Entries, replace: bool) -> Result<(), JournalError> {
        let needed = self.most_bytes(&[tail])?.div_ceil(self.layout.usable()).max(1);
        self.reserve(needed, Writer::Recovery, false)?;
        if needed > 1 {
            self.begin_segment(true)?;
            self.write_commit(&[tail], Writer::Recovery)?;
            self.sync()?;
            // If the process ends again soon, this need not be repeated.
            return self.mark_durable();
        }
        self.begin_spare(self.head.segment + u64::from(!replace), true)?;
        self.write_commit(&[tail], Writer::Recovery)?;
        self.sync()?;
        self.name_head()
    }
}

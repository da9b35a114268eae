use std::collections::VecDeque;

use crate::{
    Disk, OpenError,
    batch::Batch,
    index::Index,
    layout::{BATCH, HEADER, Layout},
    record::{Kind, Record},
    segment::Header,
    window::Window,
};

/// Reads segments, and builds the index of the rooms in them.
#[derive(Debug)]
pub(crate) struct Scan {
    layout: Layout,
    pub(crate) window: Window,
    pub(crate) index: Index,
    /// The last batch that was read.
    at: Mark,
    /// The last batch of the last complete commit.
    complete: Mark,
    /// All batches up to this number are known to be durable.
    durable: u64,
    /// The commit that is being read.
    open: Option<Commit>,
    /// Complete commits that are not known to be durable.
    pub(crate) pending: VecDeque<Commit>,
    /// The segment in which the newest complete checkpoint began, or 0.
    pub(crate) checkpoint: u64,
    pub(crate) checkpoint_bytes: u64,
    /// The bytes that were read since then.
    pub(crate) since_checkpoint: u64,
    /// The bytes of batches that are not part of a complete commit.
    pub(crate) dropped: u64,
}

/// The end of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) chain: u32,
}

/// A commit.
#[derive(Debug)]
pub(crate) struct Commit {
    /// The batch before.
    before: Mark,
    /// The number of its last batch.
    last: u64,
    /// The position of its data.
    pub(crate) start: u64,
    pub(crate) data: Vec<u8>,
}

impl Scan {
    /// Reads segments without gaps, and at least one.
    pub(crate) fn run(layout: Layout, disk: &mut dyn Disk, headers: &[Header]) -> Result<Self, OpenError> {
        let (oldest, newest) = (&headers[0], &headers[headers.len() - 1]);
        let from = headers.iter().position(|header| header.number == newest.checkpoint).unwrap_or(0);
        let mark = Mark { number: headers[from].first.wrapping_sub(1), chain: headers[from].chain };
        let mut scan = Self {
            layout,
            window: Window::new(layout.size),
            index: Index::new(layout, oldest.number),
            at: mark,
            complete: mark,
            // Whoever begins a segment has synced those before.
            durable: newest.first.wrapping_sub(1),
            open: None,
            pending: VecDeque::new(),
            checkpoint: 0,
            checkpoint_bytes: 0,
            since_checkpoint: 0,
            dropped: 0,
        };
        let mut void_from = u64::MAX;
        let mut ends: Vec<u64> = Vec::with_capacity(headers.len());
        for header in headers.iter().rev() {
            ends.push(void_from);
            void_from = void_from.min(header.first);
        }
        ends.reverse();
        let mut begun = false;
        for (header, &end) in headers.iter().zip(&ends).skip(from) {
            // Later segments repeat all of it.
            if header.first >= end && end != u64::MAX {
                continue;
            }
            if header.recovery || !begun {
                scan.open = None;
            }
            if !begun {
                (scan.at, begun) = (Mark { number: header.first.wrapping_sub(1), chain: header.chain }, true);
                scan.complete = scan.at;
            }
            if header.first.wrapping_sub(1) != scan.at.number || header.chain != scan.at.chain {
                return Err(OpenError::Damaged { segment: header.number, offset: 0 });
            }
            scan.segment(disk, header, end)?;
        }
        for header in headers {
            scan.index.next_room = scan.index.next_room.max(header.next_room);
        }
        Ok(scan)
    }

    /// Reads the batches of a segment. Those from the number `end` on are void.
    fn segment(&mut self, disk: &mut dyn Disk, header: &Header, end: u64) -> Result<(), OpenError> {
        let mut offset = HEADER;
        while self.at.number.wrapping_add(1) != end {
            let Some(batch) = self.batch(disk, header, offset)? else {
                return self.tail(disk, header, offset, end != u64::MAX);
            };
            offset += BATCH + u64::from(batch.length);
            if batch.durable > self.durable {
                self.durable = batch.durable;
            }
            self.apply_durable()?;
        }
        Ok(())
    }

    /// Reads a batch, and returns `None` if none is there.
    fn batch(
        &mut self,
        disk: &mut dyn Disk,
        header: &Header,
        offset: u64,
    ) -> Result<Option<Batch>, OpenError> {
        let Some(batch) = self.window.header(disk, header.number, offset)? else { return Ok(None) };
        let length = u64::from(batch.length);
        let number = self.at.number.wrapping_add(1);
        if batch.salt != header.salt
            || batch.number != number
            || batch.chain != self.at.chain
            || batch.durable >= number
            || !(batch.last || offset + BATCH + length == self.layout.size)
        {
            return Ok(None);
        }
        let mut data = match &mut self.open {
            Some(commit) if !batch.first => std::mem::take(&mut commit.data),
            _ => Vec::new(),
        };
        if !self.window.data(disk, header.number, offset, &batch, Some(&mut data))? {
            if let Some(commit) = &mut self.open {
                commit.data = data;
            }
            return Ok(None);
        }
        self.since_checkpoint += BATCH + length;
        if batch.first || self.open.is_none() {
            // If the commit began in a segment that is gone, so did what lived of its records there.
            let skip = batch.skip.min(batch.length);
            data.drain(..skip as usize);
            let start = self.layout.start(header.number, offset + BATCH + u64::from(skip));
            let commit = Commit { before: self.at, last: number, start, data };
            // The record may not end in this batch either.
            self.open = (batch.first || batch.last || skip < batch.length).then_some(commit);
        } else if let Some(commit) = &mut self.open {
            commit.data = data;
            commit.last = number;
        }
        self.at = Mark { number, chain: batch.crc };
        if batch.last {
            self.complete = self.at;
            self.pending.extend(self.open.take());
        }
        Ok(Some(batch))
    }

    /// Decides what it means that no batch is at this place.
    fn tail(
        &mut self,
        disk: &mut dyn Disk,
        header: &Header,
        offset: u64,
        synced: bool,
    ) -> Result<(), OpenError> {
        let expected = self.at.number.wrapping_add(1);
        let behind = self.window.look_behind(disk, header.number, offset, expected, header.salt)?;
        if synced || behind.durable || expected <= self.durable {
            return Err(OpenError::Damaged { segment: header.number, offset });
        }
        let incomplete = self.open.take().map_or(0, |commit| BATCH + commit.data.len() as u64);
        self.dropped = behind.end - offset + incomplete;
        Ok(())
    }

    fn apply_durable(&mut self) -> Result<(), OpenError> {
        while let Some(commit) = self.pending.pop_front_if(|commit| commit.last <= self.durable) {
            let damaged = OpenError::Damaged {
                segment: self.layout.segment(commit.start),
                offset: self.layout.offset(commit.start),
            };
            self.apply(&commit).ok_or(damaged)?;
        }
        Ok(())
    }

    fn apply(&mut self, commit: &Commit) -> Option<()> {
        let mut at = 0;
        while let Some(bytes) = commit.data.get(at as usize..).filter(|bytes| !bytes.is_empty()) {
            let (record, length) = Record::decode(bytes)?;
            let position = self.layout.advance(commit.start, at);
            if record.kind == Kind::Checkpoint {
                let next_room = self.index.next_room;
                let damaged = std::mem::take(&mut self.index.damaged);
                self.index = Index::decode(self.layout, self.index.oldest, record.body, position)?;
                self.index.next_room = self.index.next_room.max(next_room);
                self.index.damaged = damaged;
                self.checkpoint = self.layout.segment(commit.start);
                self.checkpoint_bytes = length;
                self.since_checkpoint = 0;
            } else {
                self.index.apply(&record, position, length).ok()?;
            }
            at += length;
        }
        Some(())
    }

    /// Returns whether the commit that began at a batch with this number, or one after it, is complete.
    pub(crate) const fn has_commit_from(&self, number: u64) -> bool {
        self.complete.number >= number
    }

    /// Returns the batch after which a new segment has to go on.
    pub(crate) fn end(&self) -> Mark {
        self.pending.front().map_or(self.complete, |commit| commit.before)
    }
}

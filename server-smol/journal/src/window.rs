use std::io;

use crate::{Disk, batch::Batch, checksum, layout::BATCH, segment::segment_name};

/// The bytes that are read at once.
const WINDOW: u64 = 256 << 10;
/// The most bytes that can be asked for.
const PIECE: u64 = 64 << 10;

/// Reads segments from the front to the back, in large reads.
#[derive(Debug)]
pub(crate) struct Window {
    size: u64,
    segment: u64,
    start: u64,
    bytes: Vec<u8>,
    /// The bytes that were read in all.
    pub(crate) read: u64,
}

impl Window {
    pub(crate) const fn new(size: u64) -> Self {
        Self { size, segment: u64::MAX, start: 0, bytes: Vec::new(), read: 0 }
    }

    /// Returns bytes of a segment, of which there are at most [`PIECE`].
    fn get(&mut self, disk: &mut dyn Disk, segment: u64, offset: u64, length: u64) -> io::Result<&[u8]> {
        let inside = segment == self.segment
            && offset >= self.start
            && offset + length <= self.start + self.bytes.len() as u64;
        if !inside {
            let length = WINDOW.min(self.size - offset);
            self.segment = u64::MAX;
            self.bytes.resize(length as usize, 0);
            disk.read(&segment_name(segment), offset, &mut self.bytes)?;
            self.read += length;
            (self.segment, self.start) = (segment, offset);
        }
        Ok(&self.bytes[(offset - self.start) as usize..][..length as usize])
    }

    /// Returns the header of a batch at this place, if there can be one.
    pub(crate) fn header(
        &mut self,
        disk: &mut dyn Disk,
        segment: u64,
        offset: u64,
    ) -> io::Result<Option<Batch>> {
        if offset + BATCH > self.size {
            return Ok(None);
        }
        let batch = Batch::decode(self.get(disk, segment, offset, BATCH)?);
        Ok(batch.filter(|batch| u64::from(batch.length) <= self.size - offset - BATCH))
    }

    /// Checks the checksum of a batch, and appends its data. Appends nothing if it is wrong.
    pub(crate) fn data(
        &mut self,
        disk: &mut dyn Disk,
        segment: u64,
        offset: u64,
        batch: &Batch,
        mut out: Option<&mut Vec<u8>>,
    ) -> io::Result<bool> {
        let before = out.as_ref().map_or(0, |out| out.len());
        let mut crc = checksum::hasher();
        crc.update(&self.get(disk, segment, offset, BATCH)?[4..]);
        let (mut at, mut left) = (offset + BATCH, u64::from(batch.length));
        while left > 0 {
            let length = left.min(PIECE);
            let piece = self.get(disk, segment, at, length)?;
            crc.update(piece);
            if let Some(out) = &mut out {
                out.extend_from_slice(piece);
            }
            at += length;
            left -= length;
        }
        let right = crc.finalize() == batch.crc;
        if let (false, Some(out)) = (right, out) {
            out.truncate(before);
        }
        Ok(right)
    }

    /// Looks for batches with this salt behind a place where none is. `expected` is the number of the batch that
    /// should be there.
    pub(crate) fn look_behind(
        &mut self,
        disk: &mut dyn Disk,
        segment: u64,
        offset: u64,
        expected: u64,
        salt: u64,
    ) -> io::Result<Behind> {
        let mut behind = Behind { end: offset, durable: false };
        let salt = salt.to_le_bytes();
        let mut at = offset;
        while at + BATCH <= self.size {
            let length = PIECE.min(self.size - at);
            // The header of a batch that begins at `at` has its salt at 16.
            let piece = self.get(disk, segment, at, length)?;
            let found = piece[16..].windows(8).position(|bytes| bytes == salt).map(|place| at + place as u64);
            let Some(place) = found else {
                at += length - (BATCH - 1).min(length - 1);
                continue;
            };
            at = place + 1;
            let Some(batch) = self.header(disk, segment, place)? else { continue };
            if batch.number >= expected {
                behind.end = behind.end.max(place + BATCH + u64::from(batch.length));
                if batch.durable >= expected && self.data(disk, segment, place, &batch, None)? {
                    behind.durable = true;
                    return Ok(behind);
                }
            }
        }
        Ok(behind)
    }
}

/// The rest behind a place where no batch is.
#[derive(Debug)]
pub(crate) struct Behind {
    /// The end of the last batch.
    pub(crate) end: u64,
    /// True if the missing batch was durable.
    pub(crate) durable: bool,
}

/// The bytes of a segment's header.
pub(crate) const HEADER: u64 = 512;
/// The bytes of a batch's header.
pub(crate) const BATCH: u64 = 40;

/// The places of data in segments. A *position* is the number of a segment, times the size of segments, and the offset
/// in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) size: u64,
}

impl Layout {
    pub(crate) const fn segment(self, position: u64) -> u64 {
        position / self.size
    }

    pub(crate) const fn offset(self, position: u64) -> u64 {
        position % self.size
    }

    pub(crate) const fn position(self, segment: u64, offset: u64) -> u64 {
        segment * self.size + offset
    }

    /// Returns the bytes of data in a segment that one batch fills.
    pub(crate) const fn usable(self) -> u64 {
        self.size - HEADER - BATCH
    }

    /// Returns where data of a commit goes on that begins at this offset.
    pub(crate) const fn start(self, segment: u64, offset: u64) -> u64 {
        if offset < self.size {
            self.position(segment, offset)
        } else {
            self.position(segment + 1, HEADER + BATCH)
        }
    }

    /// Returns the position that is this many bytes of data after another one in the same commit. Data that does
    /// not fit into a segment goes on after the first batch header of the next one.
    pub(crate) const fn advance(self, position: u64, bytes: u64) -> u64 {
        let left = self.size - self.offset(position);
        if bytes < left {
            return position + bytes;
        }
        let over = bytes - left;
        let segment = self.segment(position) + 1 + over / self.usable();
        self.position(segment, HEADER + BATCH + over % self.usable())
    }
}

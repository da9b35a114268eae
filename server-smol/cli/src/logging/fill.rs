/// Lines, and their bytes, where there may be only so many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

/// The part of each limit that is kept for errors. A flood of other lines does not drop errors.
const RESERVE: usize = 8;

impl Fill {
    /// Adds a line of so many bytes, unless that is more than `limit`. Others than errors leave the reserve free.
    pub(crate) fn add(&mut self, bytes: usize, is_error: bool, limit: Self) -> bool {
        let share = |limit: usize| if is_error { limit } else { limit - limit / RESERVE };
        let more = Self { lines: self.lines + 1, bytes: self.bytes.saturating_add(bytes) };
        let fits = more.lines <= share(limit.lines) && more.bytes <= share(limit.bytes);
        if fits {
            *self = more;
        }
        fits
    }

    /// Takes away what was added.
    pub(crate) fn remove(&mut self, other: Self) {
        self.lines -= other.lines;
        self.bytes -= other.bytes;
    }
}

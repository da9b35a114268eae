/// A number of lines and of bytes, for a limit or for an amount within it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
}

/// The part of each limit that is kept for errors. So errors are not dropped because of many other lines.
const RESERVE: usize = 8;

impl Fill {
    /// Adds a line with this number of bytes, unless this exceeds `limit`. Lines that are not errors do not
    /// use the reserve.
    pub(crate) fn add(&mut self, bytes: usize, is_error: bool, limit: Self) -> bool {
        let share = |limit: usize| if is_error { limit } else { limit - limit / RESERVE };
        let more = Self { lines: self.lines + 1, bytes: self.bytes.saturating_add(bytes) };
        let fits = more.lines <= share(limit.lines) && more.bytes <= share(limit.bytes);
        if fits {
            *self = more;
        }
        fits
    }

    /// Subtracts lines and bytes that were added.
    pub(crate) fn remove(&mut self, other: Self) {
        self.lines -= other.lines;
        self.bytes -= other.bytes;
    }
}

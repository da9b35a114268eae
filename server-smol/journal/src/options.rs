/// The settings of a journal.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The size of the segments of a new journal, in bytes: 4 KiB to 1 GiB. Default: 16 MiB. An existing journal keeps
    /// the size that it has.
    pub segment_size: u32,
    /// The maximum size of all segments together in bytes, but at least 8 segments. Default: 1 GiB. It protects
    /// against a journal that fills the disk. About half of it can be histories of living rooms; then writing fails
    /// with [`Full`](crate::JournalError::Full). Opening can exceed it by one segment and what has to be written
    /// again.
    pub max_size: u64,
    /// The least number of bytes that are written between two checkpoints. Default: 64 MiB. It bounds what is read
    /// when the journal is opened. A checkpoint also waits until eight times its own size was written.
    pub checkpoint_every: u64,
    /// The size of the log, as a multiple of the bytes of living histories, at which the oldest segment is emptied: at least
    /// 2, and never less than 16 segments or more than three quarters of `max_size`. Default: 4. With more, more disk
    /// is used, and less is written.
    pub times_live: u32,
    /// Random bytes, different each time that a journal is opened. With them, recovery tells the bytes of the present
    /// use of a segment from older ones.
    pub random: [u8; 16],
}

impl Options {
    /// Returns the default settings, with these random bytes.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self { segment_size: 16 << 20, max_size: 1 << 30, checkpoint_every: 64 << 20, times_live: 4, random }
    }
}

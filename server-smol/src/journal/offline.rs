use std::{fmt, io};

use stateroom_journal::{Disk, Entries, Options};

use super::{
    DataDirectory, DataError,
    files::Files,
    inquiry::{self, RoomOnDisk},
    read_only::ReadOnly,
    writer::{Answer, History},
};

/// The journal of a directory that no server uses.
pub(crate) struct OfflineJournal<D>(stateroom_journal::Journal<D>);

/// A journal that is only read: its files do not change.
pub(crate) type JournalReader = OfflineJournal<ReadOnly>;
/// A journal that is changed.
pub(crate) type JournalEditor = OfflineJournal<Files>;

impl<D: Disk> OfflineJournal<D> {
    fn open_on(disk: D) -> Result<Self, DataError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| DataError::Io(io::Error::other(error)))?;
        let mut options = Options::new(random);
        // The server that uses it has its own limit.
        options.max_size = u64::MAX;
        let (journal, _) = stateroom_journal::Journal::open(disk, options)?;
        Ok(Self(journal))
    }

    pub(crate) fn list(&mut self, after: Option<&str>, most: usize) -> Vec<RoomOnDisk> {
        inquiry::list(&mut self.0, after, most)
    }
}

impl JournalReader {
    pub(crate) fn open(directory: &DataDirectory) -> Result<Self, DataError> {
        Self::open_on(ReadOnly::new(Files::new(directory.journal())))
    }

    pub(crate) fn read(&mut self, id: &str) -> Answer<Option<(RoomOnDisk, History)>> {
        inquiry::read(&mut self.0, id)
    }
}

impl JournalEditor {
    pub(crate) fn open(directory: &DataDirectory) -> Result<Self, DataError> {
        Self::open_on(Files::new(directory.journal()))
    }

    /// Returns the bytes of all histories.
    pub(crate) fn live(&self) -> u64 {
        self.0.stats().bytes_live
    }

    pub(crate) fn exists(&self, id: &str) -> bool {
        self.0.find(id).is_some()
    }

    /// Adds a room that does not exist. When this returns it is on the disk.
    pub(crate) fn add(&mut self, id: &str, base: &[u8], timer_due: Option<u64>) -> Result<(), DataError> {
        let mut entries = Entries::default();
        let number = self.0.next_room();
        entries.create_from(number, id, timer_due, base);
        self.0
            .write(&[&entries])
            .and_then(|()| self.0.sync())
            .map_err(|error| DataError::Journal(error.to_string()))
    }

    /// Deletes a room. When this returns it is gone from the disk. Returns whether there was one.
    pub(crate) fn delete(&mut self, id: &str) -> Result<bool, DataError> {
        let ended = inquiry::end(&mut self.0, id).map_err(DataError::Journal)?;
        self.0.sync().map_err(|error| DataError::Journal(error.to_string()))?;
        Ok(ended.is_some())
    }

    pub(crate) fn close(mut self) -> Result<(), DataError> {
        // Each start takes a new segment. If this makes none free, the next one tries again.
        while matches!(self.0.maintain(), Ok(true)) {}
        self.0.close().map_err(|error| DataError::Journal(error.to_string()))
    }
}

impl<D> fmt::Debug for OfflineJournal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfflineJournal").finish_non_exhaustive()
    }
}

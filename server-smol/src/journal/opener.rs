use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::file_limit;

/// The number of files that the journal has open at a time: one that is read, one that is written, and one that is made, or its directory.
const MOST: usize = 3;

/// The time to wait before the next attempt, if others have taken all file descriptors.
const BACK_OFF: Duration = Duration::from_millis(10);

/// Opens the files of the journal. It keeps file descriptors for them, so that clients, who take many, cannot end the journal.
#[derive(Debug)]
pub(super) struct Opener {
    directory: PathBuf,
    /// Handles of the directory.
    kept: Vec<File>,
}

impl Opener {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, kept: Vec::new() }
    }

    /// Opens a file. If there is no file descriptor for it, it takes one that was kept, or waits for one.
    pub(super) fn open(&mut self, options: &OpenOptions, path: &Path) -> io::Result<File> {
        while self.kept.len() < MOST
            && let Ok(directory) = File::open(&self.directory)
        {
            self.kept.push(directory);
        }
        loop {
            match options.open(path) {
                Err(error) if file_limit::is_reached(&error) => {
                    if self.kept.pop().is_none() {
                        thread::sleep(BACK_OFF);
                    }
                }
                opened => return opened,
            }
        }
    }
}

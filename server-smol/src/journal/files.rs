use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use stateroom_journal::Disk;

/// The journal's files, in a directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    /// The files that were written and read last. One that was written stays open until it is synced: the system tells of errors
    /// through it.
    written: Option<(String, File)>,
    read: Option<(String, File)>,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, written: None, read: None }
    }

    /// Forgets a file whose name changes.
    fn close(&mut self, name: &str) {
        for open in [&mut self.written, &mut self.read] {
            *open = open.take().filter(|(open, _)| open != name);
        }
    }
}

/// Returns a file, which stays open.
fn file<'a>(open: &'a mut Option<(String, File)>, directory: &Path, name: &str) -> io::Result<&'a File> {
    if open.as_ref().is_none_or(|(open, _)| open != name) {
        let file = OpenOptions::new().read(true).write(true).open(directory.join(name))?;
        *open = Some((name.to_owned(), file));
    }
    // It has just been put there.
    open.as_ref().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(unix)]
fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, into: &mut [u8], at: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    io::Read::read_exact(&mut file, into)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    file.write_all(bytes)
}

impl Disk for Files {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // Others are not the journal's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn size(&mut self, file: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.directory.join(file))?.len())
    }

    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        self.close(file);
        let mut new = File::create(self.directory.join(file))?;
        let zeros = [0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let size = left.min(zeros.len() as u64);
            new.write_all(&zeros[..size as usize])?;
            left -= size;
        }
        new.sync_all()
    }

    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        read_at(self::file(&mut self.read, &self.directory, file)?, into, at)
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        write_at(self::file(&mut self.written, &self.directory, file)?, bytes, at)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self::file(&mut self.written, &self.directory, file)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        self.close(to);
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.close(file);
        fs::remove_file(self.directory.join(file))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        sync_directory(&self.directory)
    }
}

/// Makes names of files in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

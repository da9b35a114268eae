use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use stateroom_journal::Disk;

use super::opener::Opener;

/// The journal's files, in a directory.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    opener: Opener,
    /// The files that were written and read last. One that was written stays open until it is synced: the system tells of errors
    /// through it.
    written: Option<(String, File)>,
    read: Option<(String, File)>,
}

impl Files {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { opener: Opener::new(directory.clone()), directory, written: None, read: None }
    }

    /// Forgets a file whose name changes.
    fn close(&mut self, name: &str) {
        for open in [&mut self.written, &mut self.read] {
            *open = open.take().filter(|(open, _)| open != name);
        }
    }
}

/// Returns a file, which stays open.
fn file<'a>(
    open: &'a mut Option<(String, File)>,
    opener: &mut Opener,
    directory: &Path,
    name: &str,
    options: &OpenOptions,
) -> io::Result<&'a File> {
    if open.as_ref().is_none_or(|(open, _)| open != name) {
        *open = Some((name.to_owned(), opener.open(options, &directory.join(name))?));
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

/// Makes a file that only its owner can read, or makes the one that is there empty.
pub(super) fn create(path: &Path) -> io::Result<File> {
    creation().open(path)
}

fn creation() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Files {
    fn open_to_write(&mut self, file: &str) -> io::Result<&File> {
        let Self { directory, opener, written, .. } = self;
        self::file(written, opener, directory, file, OpenOptions::new().write(true))
    }

    fn try_create(&mut self, file: &str, size: u64) -> io::Result<()> {
        self.close(file);
        let mut new = self.opener.open(&creation(), &self.directory.join(file))?;
        let zeros = [0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let size = left.min(zeros.len() as u64);
            new.write_all(&zeros[..size as usize])?;
            left -= size;
        }
        new.sync_all()
    }

    /// Lets an error name the file.
    fn name<T>(&self, file: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| named(&self.directory.join(file), &error))
    }
}

/// Returns an error that names the file.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

impl Disk for Files {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(|error| named(&self.directory, &error))? {
            // Others are not the journal's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn size(&mut self, file: &str) -> io::Result<u64> {
        let size = fs::metadata(self.directory.join(file)).map(|metadata| metadata.len());
        self.name(file, size)
    }

    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        let created = self.try_create(file, size);
        self.name(file, created)
    }

    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        let open = self::file(
            &mut self.read,
            &mut self.opener,
            &self.directory,
            file,
            OpenOptions::new().read(true),
        );
        let read = open.and_then(|file| read_at(file, into, at));
        self.name(file, read)
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let open = self.open_to_write(file);
        let written = open.and_then(|file| write_at(file, bytes, at));
        self.name(file, written)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        let open = self.open_to_write(file);
        let synced = open.and_then(File::sync_data);
        self.name(file, synced)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        self.close(to);
        let renamed = fs::rename(self.directory.join(from), self.directory.join(to));
        self.name(from, renamed)
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.close(file);
        let removed = fs::remove_file(self.directory.join(file));
        self.name(file, removed)
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        let Self { opener, directory, .. } = self;
        let opened = opener.open(OpenOptions::new().read(true), directory);
        opened.and_then(|directory| directory.sync_all()).map_err(|error| named(&self.directory, &error))
    }
}

/// Makes names of files in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(|error| named(directory, &error))
}

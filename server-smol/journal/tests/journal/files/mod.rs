//! The files of a journal in a folder of the file system.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
};

use stateroom_journal::Disk;

/// The files in a folder. Those that were used stay open.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    open: BTreeMap<String, File>,
}

impl Files {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), open: BTreeMap::new() }
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.folder.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        Ok(&self.open[name])
    }
}

impl Disk for Files {
    fn list(&mut self) -> io::Result<Vec<String>> {
        // Names that are not UTF-8 are not the journal's.
        fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn size(&mut self, file: &str) -> io::Result<u64> {
        Ok(self.file(file)?.metadata()?.len())
    }

    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        self.open.remove(file);
        let path = self.folder.join(file);
        let created = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < size {
            let part = (size - at).min(zeros.len() as u64);
            created.write_all_at(&zeros[..part as usize], at)?;
            at += part;
        }
        created.sync_all()?;
        self.open.insert(file.to_owned(), created);
        Ok(())
    }

    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file(file)?.read_exact_at(into, at)
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(file)?.write_all_at(bytes, at)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.file(file)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))?;
        if let Some(file) = self.open.remove(from) {
            self.open.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.open.remove(file);
        fs::remove_file(self.folder.join(file))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use stateroom_journal::Disk;

use super::files::Files;

/// The journal's files, which stay as they are. All changes are in memory: to open a journal is to write the end of it again.
#[derive(Debug)]
pub(crate) struct ReadOnly {
    files: Files,
    /// The files that have been created, changed or renamed.
    changed: BTreeMap<String, Vec<u8>>,
    /// The names that are no more.
    removed: BTreeSet<String>,
}

impl ReadOnly {
    pub(super) fn new(files: Files) -> Self {
        Self { files, changed: BTreeMap::new(), removed: BTreeSet::new() }
    }

    fn put(&mut self, file: &str, bytes: Vec<u8>) {
        self.removed.remove(file);
        self.changed.insert(file.to_owned(), bytes);
    }

    /// Returns the bytes of a file in memory.
    fn bytes(&mut self, file: &str) -> io::Result<&mut Vec<u8>> {
        if !self.changed.contains_key(file) {
            let mut bytes = vec![0; self.size(file)? as usize];
            self.files.read(file, 0, &mut bytes)?;
            self.put(file, bytes);
        }
        self.changed.get_mut(file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Returns the range of `size` bytes of a file.
fn range(bytes: &mut [u8], at: u64, size: usize) -> io::Result<&mut [u8]> {
    let bytes = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..)?.get_mut(..size));
    bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

impl Disk for ReadOnly {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names: BTreeSet<_> = self.files.list()?.into_iter().collect();
        names.retain(|name| !self.removed.contains(name));
        names.extend(self.changed.keys().cloned());
        Ok(names.into_iter().collect())
    }

    fn size(&mut self, file: &str) -> io::Result<u64> {
        match self.changed.get(file) {
            Some(bytes) => Ok(bytes.len() as u64),
            None if self.removed.contains(file) => Err(io::ErrorKind::NotFound.into()),
            None => self.files.size(file),
        }
    }

    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        self.put(file, vec![0; size as usize]);
        Ok(())
    }

    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self.changed.get_mut(file) {
            Some(bytes) => into.copy_from_slice(range(bytes, at, into.len())?),
            None if self.removed.contains(file) => return Err(io::ErrorKind::NotFound.into()),
            None => self.files.read(file, at, into)?,
        }
        Ok(())
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        range(self.bytes(file)?, at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let bytes = std::mem::take(self.bytes(from)?);
        self.remove(from)?;
        self.put(to, bytes);
        Ok(())
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.changed.remove(file);
        self.removed.insert(file.to_owned());
        Ok(())
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        Ok(())
    }
}

use std::io;

/// The files of a journal. Their names are chosen by the journal, and have no folders in them.
///
/// The journal calls it from one thread. It never opens a file twice, and never makes one longer or shorter.
pub trait Disk {
    /// Returns the names of all files. Those of others are ignored.
    fn list(&mut self) -> io::Result<Vec<String>>;
    /// Returns the size of a file in bytes.
    fn size(&mut self, file: &str) -> io::Result<u64>;
    /// Creates a file of this size that is all zeros, written (not sparse) and synced. If the file exists, it is
    /// replaced.
    fn create(&mut self, file: &str, size: u64) -> io::Result<()>;
    /// Reads exactly as many bytes as fit into `into`.
    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all the bytes. They need not be durable.
    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes durable what was written to the file (`fdatasync`).
    fn sync(&mut self, file: &str) -> io::Result<()>;
    /// Renames a file. If a file has the new name, it is replaced: either the one or the other has it after a crash.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&mut self, file: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable (`fsync` of the folder).
    fn sync_directory(&mut self) -> io::Result<()>;
}

impl<D: Disk + ?Sized> Disk for &mut D {
    fn list(&mut self) -> io::Result<Vec<String>> {
        (**self).list()
    }
    fn size(&mut self, file: &str) -> io::Result<u64> {
        (**self).size(file)
    }
    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        (**self).create(file, size)
    }
    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read(file, at, into)
    }
    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write(file, at, bytes)
    }
    fn sync(&mut self, file: &str) -> io::Result<()> {
        (**self).sync(file)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }
    fn remove(&mut self, file: &str) -> io::Result<()> {
        (**self).remove(file)
    }
    fn sync_directory(&mut self) -> io::Result<()> {
        (**self).sync_directory()
    }
}

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::files::{create, sync_directory};

/// The modules that rooms on disk run, each in a file with its SHA-256 as the name.
#[derive(Debug, Clone)]
pub(crate) struct Modules(PathBuf);

impl Modules {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Returns a module.
    pub(crate) fn read(&self, hash: &[u8; 32]) -> io::Result<Vec<u8>> {
        fs::read(self.path(hash))
    }

    /// Keeps a module. When this returns it is on the disk.
    pub(crate) fn keep(&self, hash: &[u8; 32], module: &[u8]) -> io::Result<()> {
        // Several rooms with one module may be imported at once.
        static KEEPING: Mutex<()> = Mutex::new(());
        let _keeping = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(hash);
        // It has been synced before it got this name.
        if fs::read(&path).is_ok_and(|kept| kept == module) {
            return Ok(());
        }
        let new = path.with_extension("new");
        let mut file = create(&new)?;
        file.write_all(module)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_directory(&self.0)
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        self.0.join(hex(hash) + ".wasm")
    }
}

/// Returns bytes as a text of hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

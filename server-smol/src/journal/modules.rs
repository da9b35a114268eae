use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::files::{create, sync_directory};

/// The modules that rooms on disk run, each in a file with its SHA-256 as the name.
#[derive(Debug, Clone)]
pub(crate) struct Modules {
    directory: PathBuf,
    /// The modules that were kept since the start. A room may begin to run one at any time.
    kept: Arc<Mutex<Vec<[u8; 32]>>>,
}

impl Modules {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, kept: Arc::default() }
    }

    /// Returns a module.
    pub(crate) fn read(&self, hash: &[u8; 32]) -> io::Result<Vec<u8>> {
        fs::read(self.path(hash))
    }

    /// Keeps a module. When this returns it is on the disk.
    pub(crate) fn keep(&self, hash: &[u8; 32], module: &[u8]) -> io::Result<()> {
        // Several rooms with one module may be imported at once.
        let mut all_kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !all_kept.contains(hash) {
            all_kept.push(*hash);
        }
        let path = self.path(hash);
        // It has been synced before it got this name.
        if fs::read(&path).is_ok_and(|kept| kept == module) {
            return Ok(());
        }
        let new = path.with_extension(NEW);
        let mut file = create(&new)?;
        file.write_all(module)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_directory(&self.directory)
    }

    /// Returns how many files there are.
    #[cfg(feature = "rooms")]
    pub(crate) fn count(&self) -> io::Result<usize> {
        Ok(fs::read_dir(&self.directory)?.count())
    }

    /// Removes the modules that are not among these, and were not kept since the start, and files that were not completed. Returns how
    /// many modules that were.
    #[cfg(feature = "rooms")]
    pub(crate) fn remove_all_but(&self, needed: &[[u8; 32]]) -> io::Result<usize> {
        let all_kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<_> = needed.iter().chain(&*all_kept).map(|hash| hex(hash)).collect();
        let mut removed = 0;
        for file in fs::read_dir(&self.directory)? {
            let path = file?.path();
            let is_needed = path.file_stem().is_some_and(|stem| names.iter().any(|name| stem == &**name));
            match path.extension() {
                Some(extension) if extension == WASM && !is_needed => removed += 1,
                // Nobody keeps one now.
                Some(extension) if extension == NEW => {}
                _ => continue,
            }
            fs::remove_file(&path)?;
        }
        Ok(removed)
    }

    fn path(&self, hash: &[u8; 32]) -> PathBuf {
        self.directory.join(hex(hash)).with_extension(WASM)
    }
}

const WASM: &str = "wasm";
/// The extension of a module that is being written.
const NEW: &str = "new";

/// Returns bytes as a text of hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

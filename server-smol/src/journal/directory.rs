use std::{
    error::Error,
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::files::sync_directory;
#[cfg(feature = "wasm")]
use super::modules::Modules;

/// The directory in which the rooms of a server are kept. Only one process has it at a time.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// Locked while this exists.
    _lock: File,
}

/// The reason why the rooms in a directory cannot be served.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// Another process has the directory.
    InUse,
    /// The system refuses.
    Io(io::Error),
    /// The journal cannot be read. The text names the place.
    Journal(String),
    /// The rooms run a native service, whose state cannot be kept.
    NativeService,
}

impl DataDirectory {
    /// Opens a directory, and makes it if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let make = |path: &Path| {
            let existed = match fs::create_dir(path) {
                Ok(()) => false,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => true,
                Err(error) => return Err(error),
            };
            let parent = path.parent().filter(|parent| parent.components().next().is_some());
            match sync_directory(parent.unwrap_or(Path::new("."))) {
                // Somebody else has made it, in a place that this user may not look into.
                Err(error) if existed && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                // A start that was killed may have made it, and not synced that.
                synced => synced,
            }
        };
        make(path).map_err(DataError::Io)?;
        let lock = File::create(path.join("lock")).map_err(DataError::Io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::InUse),
            Err(TryLockError::Error(error)) => return Err(DataError::Io(error)),
        }
        let directory = Self { path: path.to_owned(), _lock: lock };
        make(&directory.modules_path()).map_err(DataError::Io)?;
        make(&directory.journal()).map_err(DataError::Io)?;
        Ok(directory)
    }

    /// Returns the directory of the journal's files.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    fn modules_path(&self) -> PathBuf {
        self.path.join("modules")
    }

    #[cfg(feature = "wasm")]
    pub(crate) fn modules(&self) -> Modules {
        Modules::new(self.modules_path())
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => {
                f.write_str("another process serves it; end that process, or choose another directory")
            }
            Self::Io(error) => write!(f, "{error}; {}", mend(error)),
            Self::Journal(reason) => f.write_str(reason),
            Self::NativeService => f.write_str(
                "the rooms run a native service, and only the state of guests can be kept on disk",
            ),
        }
    }
}

/// Returns what the operator can do about an error of the system.
fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make the directory above it, or choose another path",
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => "choose a path where no file is",
        io::ErrorKind::PermissionDenied => "let the user that runs the server write there",
        io::ErrorKind::ReadOnlyFilesystem => "choose a directory on a disk that can be written",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make space on its disk, and start again"
        }
        _ => "look for errors of its disk in the system's log, and start again",
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::InUse | Self::Journal(_) | Self::NativeService => None,
        }
    }
}

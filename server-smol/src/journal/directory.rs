use std::{
    error::Error,
    fmt,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use stateroom_journal::OpenError;

use super::files::{create, named, sync_directory};
#[cfg(feature = "wasm")]
use super::modules::Modules;

/// The names of its directories.
const JOURNAL: &str = "journal";
const MODULES: &str = "modules";

/// The directory in which the rooms of a server are kept. Only one process has it at a time.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    /// True if a server kept modules there before, so there were rooms.
    had_modules: bool,
    /// Locked while this exists.
    _lock: Option<File>,
}

/// The reason why the rooms in a directory cannot be served.
#[derive(Debug)]
#[non_exhaustive]
pub enum DataError {
    /// Another process has the directory.
    InUse,
    /// The directory has files of others, and no rooms.
    OtherFiles,
    /// The directory belongs to another user, who could not use what this process writes.
    OtherOwner {
        /// The number of the directory's user.
        owner: u32,
        /// The number of this process's user.
        user: u32,
    },
    /// The system refuses.
    Io(io::Error),
    /// The journal cannot be read or written. The text names the place.
    Journal(String),
    /// The rooms run a native service, whose state cannot be kept.
    NativeService,
}

impl DataDirectory {
    /// Opens a directory, and makes it if it does not exist.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        make(path).map_err(DataError::Io)?;
        if !path.join("lock").exists() && !path.join(JOURNAL).exists() && has_files(path) {
            return Err(DataError::OtherFiles);
        }
        let name = path.join("lock");
        let lock = create(&name).map_err(|error| DataError::Io(named(&name, &error)))?;
        locked(lock.try_lock())?;
        let had_modules = has_files(&path.join(MODULES));
        make(&path.join(MODULES)).map_err(DataError::Io)?;
        make(&path.join(JOURNAL)).map_err(DataError::Io)?;
        Ok(Self { path: path.to_owned(), had_modules, _lock: Some(lock) })
    }

    /// Opens a directory that exists, only to read it. Others may read it at the same time.
    #[cfg(feature = "rooms")]
    pub(crate) fn open_to_read(path: &Path) -> Result<Self, DataError> {
        let name = path.join("lock");
        let lock = match File::open(&name) {
            Ok(lock) => Some(lock),
            // A copy of a directory may lack it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(DataError::Io(named(&name, &error))),
        };
        lock.as_ref().map_or(Ok(()), |lock| locked(lock.try_lock_shared()))?;
        Ok(Self { path: path.to_owned(), had_modules: true, _lock: lock })
    }

    /// Checks that this process's user owns a directory, if it exists. Only the owner can use what is written there.
    ///
    /// # Errors
    /// [`DataError::OtherOwner`].
    #[cfg(all(feature = "rooms", unix))]
    pub(crate) fn check_owner(path: &Path) -> Result<(), DataError> {
        use std::os::unix::fs::MetadataExt as _;
        // The server has made this one.
        let Ok(metadata) = fs::metadata(path.join(JOURNAL)).or_else(|_| fs::metadata(path)) else {
            return Ok(());
        };
        let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
        if owner == user { Ok(()) } else { Err(DataError::OtherOwner { owner, user }) }
    }

    #[cfg(all(feature = "rooms", not(unix)))]
    pub(crate) fn check_owner(_: &Path) -> Result<(), DataError> {
        Ok(())
    }

    /// Returns whether the directory had modules before it was opened, so there were rooms.
    pub(super) fn had_modules(&self) -> bool {
        self.had_modules
    }

    /// Returns the directory of the journal's files.
    pub(super) fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    #[cfg(feature = "wasm")]
    pub(crate) fn modules(&self) -> Modules {
        Modules::new(self.path.join(MODULES))
    }
}

/// Makes a directory that only its owner can read, if it does not exist.
fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let existed = match builder.create(path) {
        Ok(()) => false,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let words = format!("`{}` is a file, and no directory", path.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, words));
        }
        Err(error) => return Err(named(path, &error)),
    };
    let parent = path.parent().filter(|parent| parent.components().next().is_some());
    match sync_directory(parent.unwrap_or(Path::new("."))) {
        // Somebody else has made it, in a place that this user may not look into.
        Err(error) if existed && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        // A start that was killed may have made it, and not synced that.
        synced => synced,
    }
}

fn locked(result: Result<(), TryLockError>) -> Result<(), DataError> {
    match result {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DataError::InUse),
        Err(TryLockError::Error(error)) => Err(DataError::Io(error)),
    }
}

/// Returns whether a directory has files, apart from hidden ones, and from what a file system has of its own.
fn has_files(path: &Path) -> bool {
    let files = fs::read_dir(path).into_iter().flatten().flatten();
    files
        .map(|file| file.file_name())
        .any(|name| name != "lost+found" && !name.as_encoded_bytes().starts_with(b"."))
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => {
                f.write_str("another process uses it; end that process, or choose another directory")
            }
            Self::OtherFiles => f.write_str("other files are there, and no rooms; choose an empty directory"),
            Self::OtherOwner { owner, user } => write!(
                f,
                "the directory belongs to user {owner}, and you are user {user}: a server of user {owner} could not use what you write; run this as that user (`sudo -u '#{owner}' …`)"
            ),
            Self::Io(error) => write!(f, "{error}; {}", mend(error)),
            Self::Journal(reason) => f.write_str(reason),
            Self::NativeService => f.write_str(
                "the rooms run a native service, and only the state of guests can be kept on disk",
            ),
        }
    }
}

impl From<OpenError> for DataError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => Self::Io(error),
            OpenError::Damaged { .. } => {
                Self::Journal(format!("{error}; restore the directory from a backup, or choose an empty one"))
            }
            OpenError::Version(_) => {
                Self::Journal(format!("{error}; use the version of stateroom that has written it"))
            }
            error => Self::Journal(error.to_string()),
        }
    }
}

/// Returns what the operator can do about an error of the system.
fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "make the directory above it, or choose another path",
        io::ErrorKind::NotADirectory => "choose another path",
        io::ErrorKind::PermissionDenied => "run this as the user to which it belongs",
        io::ErrorKind::ReadOnlyFilesystem => "choose a directory on a disk that can be written",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "its disk needs 16 MiB of space: make space, and start again"
        }
        _ => "look for errors of its disk in the system's log, and start again",
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

use std::{
    error::Error,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    journal::{DataDirectory, DataError, JournalEditor, JournalReader, is_filling, max_entry},
    room::{Presence, RoomId},
    settings::Settings,
};

use stateroom_host_min::Limits;

use super::{Bounds, Import, ImportError, KeptRoom, RoomDetails, export, modules::clean};

/// The rooms in the [directory](crate::Settings::data) of a server, to read them while no server uses it. Nothing in the directory changes, so
/// it may be a copy on a disk that cannot be written.
#[derive(Debug)]
pub struct DataReader {
    directory: DataDirectory,
    journal: JournalReader,
}

/// The rooms in the [directory](crate::Settings::data) of a server, to change them while no server uses it.
#[derive(Debug)]
pub struct DataRooms {
    path: PathBuf,
    directory: DataDirectory,
    journal: JournalEditor,
    limits: Limits,
    journal_size: u64,
}

/// The time that the events of an imported room may take.
const IMPORT_TIME: Duration = Duration::from_secs(60);

/// The reason why something cannot be done with rooms on disk.
#[derive(Debug)]
#[non_exhaustive]
pub enum RoomsError {
    /// There is no such directory, or no server has used it.
    NoRooms(PathBuf),
    /// The directory cannot be used.
    Data {
        /// The directory.
        path: PathBuf,
        /// The reason.
        error: DataError,
    },
    /// The id is not valid.
    InvalidId(&'static str),
    /// There is no such room.
    NoSuchRoom(String),
    /// A room with this id exists.
    Exists(String),
    /// A server whose journal has this size has no space for the room.
    NoSpace {
        /// The bytes of the room.
        room: u64,
        /// The bytes of the journal.
        journal: u64,
    },
    /// The room cannot be read.
    Damaged(String),
    /// The file cannot become a room.
    Import(ImportError),
}

impl DataReader {
    /// Opens a directory.
    ///
    /// # Errors
    /// [`RoomsError::NoRooms`], or [`RoomsError::Data`].
    pub fn open(path: &Path) -> Result<Self, RoomsError> {
        check_exists(path)?;
        let refused = |error| RoomsError::Data { path: path.to_owned(), error };
        let directory = DataDirectory::open_to_read(path).map_err(refused)?;
        let journal = JournalReader::open(&directory).map_err(refused)?;
        Ok(Self { directory, journal })
    }

    /// Returns up to `most` rooms in the order of their ids, those after `after`.
    pub fn list(&mut self, after: Option<&str>, most: usize) -> Vec<KeptRoom> {
        self.journal.list(after, most).into_iter().map(KeptRoom::from).collect()
    }

    /// Returns what is known of a room.
    ///
    /// # Errors
    /// [`RoomsError::NoSuchRoom`], or [`RoomsError::Damaged`].
    pub fn show(&mut self, id: &str) -> Result<RoomDetails, RoomsError> {
        let room = self.journal.read(id).map_err(RoomsError::Damaged)?;
        let details = RoomDetails::new(room, Presence::Absent).map_err(RoomsError::Damaged)?;
        details.ok_or_else(|| RoomsError::NoSuchRoom(id.to_owned()))
    }

    /// Returns a file of a room, which [`import`](DataRooms::import) takes.
    ///
    /// # Errors
    /// [`RoomsError::NoSuchRoom`], or [`RoomsError::Damaged`].
    pub fn export(&mut self, id: &str) -> Result<Vec<u8>, RoomsError> {
        let room = self.journal.read(id).map_err(RoomsError::Damaged)?;
        let (_, history) = room.ok_or_else(|| RoomsError::NoSuchRoom(id.to_owned()))?;
        let modules = self.directory.modules();
        export(&history, &|hash| modules.read(hash)).map_err(RoomsError::Damaged)
    }
}

/// Checks that a server has kept rooms in a directory.
fn check_exists(path: &Path) -> Result<(), RoomsError> {
    match fs::metadata(path.join("journal")) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(RoomsError::Data { path: path.to_owned(), error: DataError::Io(error) })
        }
        _ => Err(RoomsError::NoRooms(path.to_owned())),
    }
}

impl DataRooms {
    /// Opens a directory that exists. This writes to it.
    ///
    /// # Errors
    /// [`RoomsError::NoRooms`], or [`RoomsError::Data`].
    pub fn open(path: &Path) -> Result<Self, RoomsError> {
        check_exists(path)?;
        Self::open_or_create(path)
    }

    /// Opens a directory, and makes it if it does not exist. A directory of another user is refused: that user's server could not use
    /// what is written.
    ///
    /// # Errors
    /// [`RoomsError::Data`].
    pub fn open_or_create(path: &Path) -> Result<Self, RoomsError> {
        let refused = |error| RoomsError::Data { path: path.to_owned(), error };
        DataDirectory::check_owner(path).map_err(refused)?;
        let directory = DataDirectory::open(path).map_err(refused)?;
        let journal = JournalEditor::open(&directory).map_err(refused)?;
        let Settings { journal_size, .. } = Settings::default();
        Ok(Self { path: path.to_owned(), directory, journal, limits: Limits::default(), journal_size })
    }

    /// Sets the limits of the server that will use the directory: those of rooms, and the [size of its
    /// journal](crate::Settings::journal_size). A room that exceeds them is not imported. Default: those of a server without options.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits, journal_size: u64) -> Self {
        (self.limits, self.journal_size) = (limits, journal_size);
        self
    }

    /// Makes a room of a file, and returns its id when it is on the disk. It gets the id `id`, or keeps its own.
    ///
    /// # Errors
    /// [`RoomsError::Exists`], [`RoomsError::Import`], [`RoomsError::InvalidId`], [`RoomsError::NoSpace`], or [`RoomsError::Data`].
    pub fn import(&mut self, file: &[u8], id: Option<&str>) -> Result<String, RoomsError> {
        let id = id.map(RoomId::new).transpose().map_err(RoomsError::InvalidId)?;
        // Nobody else waits for this memory.
        let bounds = Bounds { limits: self.limits, time: IMPORT_TIME, take_memory: &mut |_| true };
        let Import { id, module_hash, module, base } =
            Import::read(file, id.as_ref(), bounds).map_err(RoomsError::Import)?;
        let id = id.as_str();
        if self.journal.exists(id) {
            return Err(RoomsError::Exists(id.to_owned()));
        }
        let size = base.bytes.len() as u64;
        if size > max_entry(self.journal_size) || is_filling(self.journal.live() + size, self.journal_size) {
            return Err(RoomsError::NoSpace { room: size, journal: self.journal_size });
        }
        let kept = self.directory.modules().keep(&module_hash, &module).map_err(DataError::Io);
        kept.and_then(|()| self.journal.add(id, &base.bytes, base.timer_due))
            .map_err(|error| self.refused(error))?;
        Ok(id.to_owned())
    }

    /// Deletes a room. When this returns it is gone from the disk.
    ///
    /// # Errors
    /// [`RoomsError::NoSuchRoom`], or [`RoomsError::Data`].
    pub fn delete(&mut self, id: &str) -> Result<(), RoomsError> {
        match self.journal.delete(id) {
            Ok(true) => Ok(()),
            Ok(false) => Err(RoomsError::NoSuchRoom(id.to_owned())),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// Gives the directory back, so that a server can use it.
    ///
    /// # Errors
    /// [`RoomsError::Data`]: the disk fails. What was done before is on it.
    pub fn close(self) -> Result<(), RoomsError> {
        let Self { path, directory, mut journal, .. } = self;
        // What cannot be removed now stays.
        let _ = clean(|after| journal.list(after, 10_000), &directory.modules());
        let closed = journal.close().map_err(|error| RoomsError::Data { path, error });
        drop(directory);
        closed
    }

    fn refused(&self, error: DataError) -> RoomsError {
        RoomsError::Data { path: self.path.clone(), error }
    }
}

impl fmt::Display for RoomsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRooms(path) => {
                write!(
                    f,
                    "there are no rooms in `{}`: no server has kept rooms there (`--data`)",
                    path.display()
                )
            }
            Self::Data { path, error: DataError::InUse } => write!(
                f,
                "a server uses `{}`: use `--admin ADDRESS` instead of `--data`, with the address that the server has for the operator, or end the server",
                path.display()
            ),
            Self::Data { path, error } => write!(f, "cannot use the rooms in `{}`: {error}", path.display()),
            Self::InvalidId(reason) => f.write_str(reason),
            Self::NoSuchRoom(id) => write!(f, "there is no room {id:?}"),
            Self::Exists(id) => {
                write!(f, "a room {id:?} exists: delete it first, or give the new one another id (`--as`)")
            }
            Self::NoSpace { room, journal } => write!(
                f,
                "the room has {room} bytes, and a journal of {journal} bytes has no space for it: a room may take a quarter of it, and all rooms together 3/8; delete rooms, or give the `--journal-size` that the server has"
            ),
            Self::Damaged(reason) => write!(f, "the room cannot be read: {reason}"),
            Self::Import(error) => write!(f, "the file cannot become a room: {error}"),
        }
    }
}

/// The text has that of what it comes from.
impl Error for RoomsError {}

use std::{
    error::Error,
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use stateroom_core::settings::SettingsError;

use crate::{admin_address::AdminAddress, journal::DataError, listen::ListenAddress, room::CreateRoomError};

/// The reason why a server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The settings contradict one another, or the limits of guests, or are out of their ranges.
    Settings(SettingsError),
    /// The address cannot be listened on.
    Bind {
        /// The address.
        address: ListenAddress,
        /// The system's error.
        source: io::Error,
    },
    /// The operator's address cannot be listened on.
    Admin {
        /// The address.
        address: AdminAddress,
        /// The reason.
        source: io::Error,
    },
    /// The rooms on disk cannot be served.
    Data {
        /// The directory.
        path: PathBuf,
        /// The reason.
        error: DataError,
    },
    /// The system does not let the server handle signals, start threads, or wait for connections.
    System(io::Error),
    /// A thread of rooms has panicked, and its rooms are gone. What it said has been printed; it is a fault of this
    /// crate, or of a service that panics as it is dropped.
    Panicked,
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => write!(f, "{error}"),
            Self::Bind { address, source } => {
                write!(f, "cannot listen on {address}: ")?;
                match address {
                    ListenAddress::Tcp(address) => refusal(f, address, source),
                    ListenAddress::Unix { path, .. } => refusal_at(f, path, source),
                    ListenAddress::Systemd => write!(f, "{source}"),
                }
            }
            Self::Admin { address: AdminAddress::Tcp(address), source }
                if source.kind() == io::ErrorKind::InvalidInput =>
            {
                write!(f, "the operator's address {address} {source}")
            }
            Self::Admin { address, source } => {
                write!(f, "cannot listen on the operator's address {address}: ")?;
                match address {
                    AdminAddress::Tcp(address) => refusal(f, address, source),
                    AdminAddress::Unix(path) => refusal_at(f, path, source),
                }
            }
            Self::Data { path, error } => write!(f, "cannot keep rooms in `{}`: {error}", path.display()),
            Self::System(source) => write!(f, "the system refused: {source}"),
            Self::Panicked => f.write_str("a thread of rooms has panicked, and the server has ended"),
        }
    }
}

/// Writes why the system does not let the server listen on an address, and what to do about it.
fn refusal(f: &mut fmt::Formatter<'_>, address: &SocketAddr, source: &io::Error) -> fmt::Result {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            f.write_str("the port is in use; choose another one, or end the program that has it")
        }
        io::ErrorKind::PermissionDenied => f.write_str(
            "the port is not yours to use; ports below 1024 are the system's, choose a higher one",
        ),
        io::ErrorKind::AddrNotAvailable => {
            write!(f, "{} is not an address of this machine; use one that `ip addr` lists", address.ip())
        }
        _ => write!(f, "{source}"),
    }
}

/// Writes why there can be no socket at a path, and what to do about it.
fn refusal_at(f: &mut fmt::Formatter<'_>, path: &Path, source: &io::Error) -> fmt::Result {
    let (reason, mend) = match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ("there is no directory", ": create it, or")
        }
        io::ErrorKind::PermissionDenied => ("this user may not write to", ": let it, or"),
        io::ErrorKind::IsADirectory => return f.write_str("it is a directory; give a path in it"),
        io::ErrorKind::AlreadyExists => return f.write_str("another file is there; choose another path"),
        io::ErrorKind::AddrInUse => {
            return f.write_str("another program listens there; choose another path, or end that program");
        }
        io::ErrorKind::InvalidFilename => {
            return f.write_str("a socket's path has at most 107 bytes; choose a shorter one");
        }
        _ => return write!(f, "{source}"),
    };
    write!(f, "{reason} `{}`{mend} choose another path", path.parent().unwrap_or(path).display())
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Bind { source, .. } | Self::Admin { source, .. } | Self::System(source) => Some(source),
            Self::Data { error, .. } => Some(error),
            Self::Panicked => None,
        }
    }
}

/// The reason why a request about a room failed; see [`ServerHandle`](crate::ServerHandle).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomError {
    /// The id is not valid.
    InvalidId {
        /// The reason.
        reason: &'static str,
    },
    /// A room with this id exists already.
    Exists,
    /// The room could not be made, or failed at once. The log says why.
    Failed,
    /// The server has its maximum number of rooms, and none of them is empty.
    TooMany,
    /// There is no memory for it.
    OutOfMemory,
    /// A program was not deployed, because rooms are kept on disk and its module is not.
    NotKept {
        /// The reason.
        reason: String,
    },
    /// A room was not deleted from the disk.
    NotDeleted {
        /// The reason.
        reason: String,
    },
    /// The server is ending, or has ended.
    Ending,
}

impl From<CreateRoomError> for RoomError {
    fn from(error: CreateRoomError) -> Self {
        match error {
            CreateRoomError::Exists => Self::Exists,
            CreateRoomError::Failed => Self::Failed,
            CreateRoomError::TooMany => Self::TooMany,
            CreateRoomError::OutOfMemory => Self::OutOfMemory,
        }
    }
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidId { reason } => reason,
            Self::Exists => "the room exists",
            Self::Failed => "the room failed; the log says why",
            Self::TooMany => "there are as many rooms as there may be, and somebody is in each",
            Self::OutOfMemory => "there is no memory for another room",
            Self::NotKept { reason } | Self::NotDeleted { reason } => reason,
            Self::Ending => "the server is ending",
        })
    }
}

impl Error for RoomError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_this_user_may_not_write_is_told() {
        let address = AdminAddress::Unix("/run/rooms/admin.sock".into());
        let error = ServeError::Admin { address, source: io::ErrorKind::PermissionDenied.into() };
        let told = "this user may not write to `/run/rooms`: let it, or choose another path";
        assert!(error.to_string().ends_with(told), "{error}");
    }
}

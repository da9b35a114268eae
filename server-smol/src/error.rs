use std::{error::Error, fmt, io, net::SocketAddr};

/// Why a server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
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
            Self::Bind { address, source } => match source.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "port {} of {} is in use; choose another one, or end the program that has it",
                    address.port(),
                    address.ip()
                ),
                io::ErrorKind::PermissionDenied => write!(
                    f,
                    "port {} of {} is not yours to use; ports below 1024 are the system's, choose a higher one",
                    address.port(),
                    address.ip()
                ),
                io::ErrorKind::AddrNotAvailable => {
                    write!(f, "{} is not an address of this machine", address.ip())
                }
                _ => write!(f, "cannot listen on {address}: {source}"),
            },
            Self::System(source) => write!(f, "the system refused: {source}"),
            Self::Panicked => f.write_str("a thread of rooms has panicked, and the server has ended"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { source, .. } | Self::System(source) => Some(source),
            Self::Panicked => None,
        }
    }
}

#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::{io, net::TcpListener};

use crate::{
    admin_address::{AdminAddress, NOT_LOOPBACK},
    reactor::{self, Stream},
};

#[cfg(unix)]
use super::unix_socket::UnixSocket;

/// The operator's address, while this server listens on it.
#[derive(Debug)]
pub(super) enum Listener {
    #[cfg(unix)]
    Unix(UnixSocket),
    Tcp(TcpListener),
}

/// The socket for the operator's connections.
#[derive(Debug)]
pub(super) enum Incoming {
    #[cfg(unix)]
    Unix(reactor::Listener<UnixListener>),
    Tcp(reactor::Listener),
}

impl Listener {
    /// Listens on an address.
    ///
    /// # Errors
    /// The system refuses it, or others than this machine could reach it.
    pub(super) fn bind(address: &AdminAddress) -> io::Result<Self> {
        match address {
            AdminAddress::Tcp(address) if !address.ip().is_loopback() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_LOOPBACK))
            }
            AdminAddress::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
            #[cfg(unix)]
            AdminAddress::Unix(path) => UnixSocket::bind(path).map(Self::Unix),
            #[cfg(not(unix))]
            AdminAddress::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no Unix sockets; use an address such as `127.0.0.1:9000`",
            )),
        }
    }

    /// Returns the address, with the port that the system has chosen.
    pub(super) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            #[cfg(unix)]
            Self::Unix(socket) => Ok(AdminAddress::Unix(socket.path().to_owned())),
            Self::Tcp(listener) => listener.local_addr().map(AdminAddress::Tcp),
        }
    }

    /// Begins to accept connections on this thread.
    ///
    /// # Errors
    /// The system has no memory or no file descriptor for that.
    pub(super) fn incoming(&self) -> io::Result<Incoming> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(socket) => Incoming::Unix(reactor::Listener::of_unix(socket.try_clone()?)?),
            Self::Tcp(listener) => Incoming::Tcp(reactor::Listener::new(listener.try_clone()?)?),
        })
    }
}

impl Incoming {
    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            #[cfg(unix)]
            Self::Unix(listener) => listener.accept().await,
            Self::Tcp(listener) => Ok(listener.accept().await?.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_could_reach_is_refused() {
        let error = Listener::bind(&AdminAddress::Tcp(([0, 0, 0, 0], 0).into())).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
    }
}

use std::{io, net::TcpListener};

use async_io::Async;
use smol::io::{AsyncRead, AsyncWrite};

use crate::admin_address::{AdminAddress, NOT_LOOPBACK};

#[cfg(unix)]
use super::unix_socket::UnixSocket;

/// Where the operator's connections come in.
#[derive(Debug)]
pub(super) enum Listener {
    #[cfg(unix)]
    Unix(UnixSocket),
    Tcp(Async<TcpListener>),
}

/// A connection of either kind.
pub(super) type Stream = Box<dyn ReadWrite>;

/// Can be read and written.
pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> ReadWrite for T {}

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
            AdminAddress::Tcp(address) => Async::<TcpListener>::bind(*address).map(Self::Tcp),
            #[cfg(unix)]
            AdminAddress::Unix(path) => UnixSocket::bind(path).map(Self::Unix),
            #[cfg(not(unix))]
            AdminAddress::Unix(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no Unix sockets; use an address such as `127.0.0.1:9000`",
            )),
        }
    }

    /// The address, with the port that the system has chosen.
    pub(super) fn address(&self) -> io::Result<AdminAddress> {
        match self {
            #[cfg(unix)]
            Self::Unix(socket) => Ok(AdminAddress::Unix(socket.path().to_owned())),
            Self::Tcp(listener) => listener.get_ref().local_addr().map(AdminAddress::Tcp),
        }
    }

    /// Waits for a connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            #[cfg(unix)]
            Self::Unix(socket) => Box::new(socket.accept().await?),
            Self::Tcp(listener) => Box::new(listener.accept().await?.0),
        })
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

#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};
#[cfg(unix)]
use std::os::{
    fd::{AsFd, BorrowedFd},
    unix::net::UnixStream,
};
use std::{
    fmt,
    io::{self, IoSlice, Write as _},
    net::{Shutdown, TcpStream},
};

/// The handle of a socket, as the system knows it.
#[cfg(unix)]
pub(crate) type Handle<'a> = BorrowedFd<'a>;
#[cfg(windows)]
pub(crate) type Handle<'a> = BorrowedSocket<'a>;

/// Carries the bytes of a connection: a socket, or a protocol around a socket, such as TLS.
///
/// Nothing here blocks. What cannot be done now fails with [`WouldBlock`](io::ErrorKind::WouldBlock), and is tried again when
/// the socket has news. The news come once: so a transport may fail with `WouldBlock` only if its last system call on the
/// [socket](Self::socket) in that direction has done so, too.
///
/// A transport holds at most a bounded number of bytes, in each direction, and charges their memory itself.
pub(crate) trait Transport: Send {
    /// Reads bytes. Zero is the end: the peer writes no more.
    ///
    /// It may bring fewer bytes than there is room for although there are more. It must not fail with `WouldBlock` while the
    /// transport has bytes that can be delivered. What the protocol has to write in answer is written, or held back.
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Takes bytes to write, and returns how many.
    ///
    /// Bytes that it has taken are on their way: they are never asked for again. The transport may hold them back until they are
    /// [flushed](Self::flush). While it holds back as much as it may, it takes no more and fails with `WouldBlock`.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes what is held back. It succeeds if nothing is.
    fn flush(&self) -> io::Result<()>;

    /// Tells the peer that nothing more is written. This is called when nothing is held back, or when what is may be lost.
    fn end_writing(&self) -> io::Result<()>;

    /// Returns the socket whose news are the transport's. It is always the same, and does not block.
    fn socket(&self) -> Handle<'_>;
}

/// A transport of any kind. The kind that most connections have costs no allocation, and no call through a table.
pub(crate) enum AnyTransport {
    Tcp(TcpStream),
    Other(Box<dyn Transport>),
}

impl AnyTransport {
    /// Returns the transport, if it is one that may hold bytes.
    #[inline(always)]
    pub(super) fn other(&self) -> Option<&dyn Transport> {
        match self {
            Self::Tcp(_) => None,
            Self::Other(transport) => Some(&**transport),
        }
    }

    #[inline(always)]
    pub(super) fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Transport::read(stream, bytes),
            Self::Other(transport) => transport.read(bytes),
        }
    }

    #[inline(always)]
    pub(super) fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => Transport::write(stream, pieces),
            Self::Other(transport) => transport.write(pieces),
        }
    }

    pub(super) fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.end_writing(),
            Self::Other(transport) => transport.end_writing(),
        }
    }

    fn socket(&self) -> Handle<'_> {
        match self {
            Self::Tcp(stream) => stream.socket(),
            Self::Other(transport) => transport.socket(),
        }
    }
}

#[cfg(unix)]
impl AsFd for AnyTransport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket()
    }
}

#[cfg(windows)]
impl AsSocket for AnyTransport {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.socket()
    }
}

// A transport's own would be in each binary, whether anything prints it or not: it would be called through a table.
impl fmt::Debug for AnyTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyTransport").finish_non_exhaustive()
    }
}

impl From<TcpStream> for AnyTransport {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl<T: Transport + 'static> From<Box<T>> for AnyTransport {
    fn from(transport: Box<T>) -> Self {
        Self::Other(transport)
    }
}

/// Implements the trait for a socket of the standard library.
macro_rules! socket {
    ($stream:ty, $handle:ident) => {
        impl Transport for $stream {
            #[inline(always)]
            fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
                receive(self, bytes)
            }

            #[inline(always)]
            fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
                let mut stream = self;
                match pieces {
                    [piece] => send(self, piece),
                    pieces => stream.write_vectored(pieces),
                }
            }

            fn flush(&self) -> io::Result<()> {
                Ok(())
            }

            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn socket(&self) -> Handle<'_> {
                self.$handle()
            }
        }
    };
}

#[cfg(unix)]
socket!(TcpStream, as_fd);
#[cfg(unix)]
socket!(UnixStream, as_fd);
#[cfg(windows)]
socket!(TcpStream, as_socket);

/// Reads from a socket, straight from the system. The C library looks whether the thread is to be cancelled before and after, which
/// takes as long as the rest.
#[cfg(target_os = "linux")]
#[inline(always)]
fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, bytes, rustix::net::RecvFlags::empty())?.0)
}

/// Writes to a socket, straight to the system.
#[cfg(target_os = "linux")]
#[inline(always)]
fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
fn receive(mut socket: impl io::Read, bytes: &mut [u8]) -> io::Result<usize> {
    socket.read(bytes)
}

#[cfg(not(target_os = "linux"))]
fn send(mut socket: impl io::Write, bytes: &[u8]) -> io::Result<usize> {
    socket.write(bytes)
}

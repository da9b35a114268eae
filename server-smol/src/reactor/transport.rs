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

/// The system's handle of a socket.
#[cfg(unix)]
pub(crate) type Handle<'a> = BorrowedFd<'a>;
#[cfg(windows)]
pub(crate) type Handle<'a> = BorrowedSocket<'a>;

/// Carries the bytes of a connection: a socket, or a protocol on top of a socket, such as TLS.
///
/// No method blocks. An operation that is not possible now fails with
/// [`WouldBlock`](io::ErrorKind::WouldBlock), and is tried again after the next event of the socket. Each
/// event is reported only once. So a transport may fail with `WouldBlock` only if its last system call on the
/// [socket](Self::socket) in that direction has failed with it.
///
/// A transport holds at most a bounded number of bytes, in each direction, and charges their memory itself.
pub(crate) trait Transport: Send {
    /// Reads bytes. Zero means the end: the peer writes no more.
    ///
    /// It may return fewer bytes than there is space for, although there are more. It must not fail with
    /// `WouldBlock` while the transport has bytes to deliver. If the protocol must write an answer, this is
    /// written or buffered.
    fn read(&self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Accepts bytes to write, and returns their number.
    ///
    /// The caller does not pass accepted bytes again. The transport may buffer them until they are
    /// [flushed](Self::flush). While its buffer is full, it accepts no more and fails with `WouldBlock`.
    fn write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes the buffered bytes. It succeeds if there are none.
    fn flush(&self) -> io::Result<()>;

    /// Tells the peer that no more bytes follow. This is called when nothing is buffered, or when buffered
    /// bytes may be lost.
    fn end_writing(&self) -> io::Result<()>;

    /// Returns true if the last read has taken all that there is until the next event of the socket.
    #[cfg_attr(not(epoll), allow(dead_code, reason = "the runtime asks the socket each time"))]
    fn is_drained(&self) -> bool {
        false
    }

    /// Returns whether nobody else can read or change the bytes on their way.
    #[cfg(feature = "tls")]
    fn is_secure(&self) -> bool {
        false
    }

    /// Returns the work of the last read, which returned so many bytes, as a number of bytes.
    #[cfg(feature = "tls")]
    fn work(&self, read: usize) -> usize {
        read
    }

    /// Charges the transport's memory to this thread, which it has come to.
    ///
    /// # Errors
    /// There is none for it ([`OutOfMemory`](io::ErrorKind::OutOfMemory)).
    fn arrive(&self) -> io::Result<()> {
        Ok(())
    }

    /// Gives back what is charged, before the transport goes to another thread.
    fn depart(&self) {}

    /// Returns the socket whose events are the events of the transport. It is always the same, and does not
    /// block.
    fn socket(&self) -> Handle<'_>;
}

/// A transport of any kind. TCP, which most connections use, needs no allocation and no virtual call.
pub(crate) enum AnyTransport {
    Tcp(TcpStream),
    Other(Box<dyn Transport>),
}

impl AnyTransport {
    /// Returns the transport, if it is of a kind that may buffer bytes.
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

    pub(super) fn flush(&self) -> io::Result<()> {
        self.other().map_or(Ok(()), Transport::flush)
    }

    pub(super) fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.end_writing(),
            Self::Other(transport) => transport.end_writing(),
        }
    }

    /// See [`Transport::is_drained`], of a read that took less than there was space for.
    #[cfg_attr(not(epoll), allow(dead_code, reason = "the runtime asks the socket each time"))]
    pub(super) fn is_drained(&self) -> bool {
        self.other().is_none_or(Transport::is_drained)
    }

    /// See [`Transport::work`].
    #[cfg(feature = "tls")]
    pub(super) fn work(&self, read: usize) -> usize {
        self.other().map_or(read, |transport| transport.work(read))
    }

    #[cfg(feature = "tls")]
    pub(super) fn is_secure(&self) -> bool {
        self.other().is_some_and(Transport::is_secure)
    }

    pub(super) fn arrive(&self) -> io::Result<()> {
        self.other().map_or(Ok(()), Transport::arrive)
    }

    pub(super) fn depart(&self) {
        self.other().into_iter().for_each(Transport::depart);
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

// With `Debug` as a supertrait of `Transport`, its code would be in each binary even if it is never used.
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

            fn is_drained(&self) -> bool {
                true
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

/// Reads from a socket with a direct system call. The C library also checks whether the thread is being
/// cancelled, which takes as long as the rest.
#[cfg(target_os = "linux")]
#[inline(always)]
fn receive(socket: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, bytes, rustix::net::RecvFlags::empty())?.0)
}

/// Writes to a socket with a direct system call.
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

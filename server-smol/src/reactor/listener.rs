use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    task::{Context, Poll},
};

use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, sockopt::set_tcp_nodelay};

use super::{
    epoll::Sockets,
    stream::{Stream, Watch},
};

/// An accepted connection and its address.
type Accepted = (OwnedFd, Option<SocketAddrAny>);

/// A listening socket. Several threads may each have one for the same address.
#[derive(Debug)]
pub(crate) struct Listener<L = TcpListener> {
    listener: L,
    watch: Watch,
}

impl Listener {
    /// Takes over a listener that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        // Small messages must not wait for acknowledgements of earlier ones. Connections inherit this option.
        set_tcp_nodelay(&listener, true)?;
        let watch = Sockets::current().watch(&listener)?;
        Ok(Self { listener, watch })
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (stream, address) = accept(&self.listener, &self.watch).await?;
        let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
        let address = SocketAddr::try_from(address).map_err(|_| io::ErrorKind::ConnectionAborted)?;
        Ok((Stream::new(TcpStream::from(stream))?, address))
    }
}

impl Listener<UnixListener> {
    /// Takes over a listener that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn of_unix(listener: UnixListener) -> io::Result<Self> {
        let watch = Sockets::current().watch(&listener)?;
        Ok(Self { listener, watch })
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = accept(&self.listener, &self.watch).await?;
        Stream::new(Box::new(UnixStream::from(stream)))
    }
}

async fn accept(listener: &impl AsFd, watch: &Watch) -> io::Result<Accepted> {
    poll_fn(|cx| poll_accept(listener.as_fd(), watch, cx)).await
}

fn poll_accept(listener: BorrowedFd<'_>, watch: &Watch, cx: &Context<'_>) -> Poll<io::Result<Accepted>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let accepted = watch.source.attempt_read(|| Ok(acceptfrom_with(listener, flags)?));
    match accepted {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            watch.source.wait_for_read(cx);
            Poll::Pending
        }
        accepted => Poll::Ready(accepted),
    }
}

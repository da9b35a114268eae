use std::{
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    task::{Context, Poll},
};

use rustix::net::{SocketFlags, acceptfrom_with, sockopt::set_tcp_nodelay};

use super::{
    epoll::Sockets,
    stream::{Stream, Watch},
};

/// Where connections come in. Several threads may have one each for the same address.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    watch: Watch,
}

impl Listener {
    /// Takes over a listener that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn new(listener: TcpListener) -> io::Result<Self> {
        // Messages are small and must not wait for one another's acknowledgement. Connections have it from here.
        set_tcp_nodelay(&listener, true)?;
        let watch = Sockets::current().watch(&listener)?;
        Ok(Self { listener, watch })
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accepted = self.watch.source.attempt_read(|| Ok(acceptfrom_with(&self.listener, flags)?));
        match accepted {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.watch.source.wait_for_read(cx);
                Poll::Pending
            }
            accepted => Poll::Ready(accepted.and_then(|(stream, address)| {
                let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
                let address = SocketAddr::try_from(address).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                Ok((Stream::new(TcpStream::from(stream))?, address))
            })),
        }
    }
}

use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    task::{Context, Poll},
};

use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, sockopt::set_tcp_nodelay};

use crate::listen::{self, Socket};

use super::{AnyTransport, epoll::Sockets, stream::Watch};

/// A listening socket. Several threads may each have one for the same address.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: listen::Listener,
    watch: Watch,
}

impl Listener {
    /// Takes over a listener that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn new(listener: listen::Listener) -> io::Result<Self> {
        if let Socket::Tcp(listener) = &listener.socket {
            // Small messages must not wait for acknowledgements of earlier ones. Connections inherit this option.
            set_tcp_nodelay(listener, true)?;
        }
        let watch = Sockets::current().watch(&listener.socket)?;
        Ok(Self { listener, watch })
    }

    /// Returns true if another process may listen on the same address, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.listener.is_shared
    }

    /// Returns true if it leads clients to the port for TLS, and serves nothing else.
    pub(crate) fn leads_to_tls(&self) -> bool {
        self.listener.leads_to_tls
    }

    /// Waits for a connection. A program that connects to a Unix socket is on this machine, and this is its address.
    pub(crate) async fn accept(&self) -> io::Result<(AnyTransport, SocketAddr)> {
        let socket = self.listener.socket.as_fd();
        let (stream, address) = poll_fn(|cx| poll_accept(socket, &self.watch, cx)).await?;
        match &self.listener.socket {
            Socket::Tcp(_) => {
                let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
                let address = SocketAddr::try_from(address).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                Ok((TcpStream::from(stream).into(), address))
            }
            Socket::Unix(_) => {
                Ok((Box::new(UnixStream::from(stream)).into(), (Ipv4Addr::LOCALHOST, 0).into()))
            }
        }
    }
}

/// An accepted connection and its address.
type Accepted = (OwnedFd, Option<SocketAddrAny>);

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

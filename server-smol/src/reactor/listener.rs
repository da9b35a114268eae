use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    rc::Rc,
    task::{Context, Poll},
};

use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with, sockopt::set_tcp_nodelay};

use crate::{
    file_limit,
    listen::{self, Socket},
};

use super::{
    Accepted,
    epoll::Sockets,
    spares::{Spare, Spares},
    stream::Watch,
};

/// A listening socket. Several threads may each have one for the same address.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: listen::Listener,
    watch: Watch,
    spares: Rc<Spares>,
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
        let sockets = Sockets::current();
        let watch = sockets.watch(&listener.socket)?;
        Ok(Self { listener, watch, spares: Spares::new(sockets) })
    }

    /// Returns true if another process may listen on the same address, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.listener.is_shared
    }

    /// Returns true if it leads clients to the port for TLS, and serves nothing else.
    pub(crate) fn leads_to_tls(&self) -> bool {
        self.listener.leads_to_tls
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let (stream, address, spare) = poll_fn(|cx| self.poll_accept(cx)).await?;
        let (transport, address) = match &self.listener.socket {
            Socket::Tcp(_) => {
                let address = address.ok_or(io::ErrorKind::ConnectionAborted)?;
                let address = SocketAddr::try_from(address).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                (TcpStream::from(stream).into(), address)
            }
            Socket::Unix(_) => (Box::new(UnixStream::from(stream)).into(), (Ipv4Addr::LOCALHOST, 0).into()),
        };
        Ok(Accepted { transport, address, spare })
    }

    fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<New>> {
        let source = &self.watch.source;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accept = || source.attempt_read(|| Ok(acceptfrom_with(self.listener.socket.as_fd(), flags)?));
        let (mut accepted, mut spare) = (accept(), None);
        // The system says so even if nobody has come.
        if accepted.as_ref().is_err_and(file_limit::is_reached)
            && let Some(lent) = self.spares.lend()
        {
            (accepted, spare) = (accept(), Some(lent));
        }
        match accepted {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                source.wait_for_read(cx);
                Poll::Pending
            }
            accepted => Poll::Ready(accepted.map(|(stream, address)| (stream, address, spare))),
        }
    }
}

/// An accepted connection, its address, and the spare descriptor that it has taken, if it has.
type New = (OwnedFd, Option<SocketAddrAny>, Option<Spare>);

//! The sockets that listen.

mod address;
#[cfg(unix)]
mod systemd;
mod tcp;
#[cfg(unix)]
mod unix_socket;

#[cfg(unix)]
use std::os::{
    fd::{AsFd, BorrowedFd},
    unix::net::UnixListener,
};
#[cfg(unix)]
use std::path::Path;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

pub use address::ListenAddress;

#[cfg(unix)]
use unix_socket::SocketFile;

/// The maximum number of connections that wait to be accepted.
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// The sockets that a server listens on: those of [`Server::bind`](crate::Server::bind), or others.
///
/// ```
/// use std::net::TcpListener;
///
/// use stateroom_server_smol::Listeners;
///
/// let public = Listeners::from(TcpListener::bind("127.0.0.1:0")?);
/// let both = public.and(TcpListener::bind("127.0.0.1:0")?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    /// True if it leads clients to the port for TLS, and serves nothing else.
    pub(crate) leads_to_tls: bool,
    /// True if another process may listen on the same address, too, and take over when this one ends.
    pub(crate) is_shared: bool,
    #[cfg(unix)]
    file: Option<Arc<SocketFile>>,
}

/// The socket of a listener.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

/// The sockets that the server is to listen on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) addresses: &'a [ListenAddress],
    /// The port from which clients are led to the one for TLS.
    #[cfg(feature = "tls")]
    pub(crate) redirect: Option<u16>,
    /// True if other processes may listen on the same ports.
    pub(crate) shares_ports: bool,
}

impl Listeners {
    /// Listens on all addresses.
    ///
    /// # Errors
    /// The system refuses this address.
    pub(crate) fn bind(wanted: Wanted<'_>) -> Result<Self, (ListenAddress, io::Error)> {
        let mut all = Self(Vec::new());
        for address in wanted.addresses {
            all.add(address, wanted).map_err(|error| (address.clone(), error))?;
        }
        #[cfg(feature = "tls")]
        if let Some(port) = wanted.redirect {
            all.add_redirects(port, wanted)?;
        }
        Ok(all)
    }

    /// Makes the sockets with this port, if such were passed to the process, those that lead to TLS. Or else listens on it, at each
    /// IP address.
    #[cfg(feature = "tls")]
    fn add_redirects(&mut self, port: u16, wanted: Wanted<'_>) -> Result<(), (ListenAddress, io::Error)> {
        let is_passed = wanted.addresses.contains(&ListenAddress::Systemd);
        let has_port = |listener: &&mut Listener| match &listener.socket {
            Socket::Tcp(socket) => socket.local_addr().is_ok_and(|address| address.port() == port),
            #[cfg(unix)]
            Socket::Unix(_) => false,
        };
        let mut count = 0;
        for listener in self.0.iter_mut().filter(has_port).filter(|_| is_passed) {
            listener.leads_to_tls = true;
            count += 1;
        }
        if count > 0 {
            return Ok(());
        }
        let redirects = wanted.addresses.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(ListenAddress::Tcp(SocketAddr::new(address.ip(), port))),
            _ => None,
        });
        let redirects: Vec<_> = redirects.collect();
        if redirects.is_empty() {
            let words = format!(
                "no socket is for the port {port}, which is to lead to TLS: listen on an IP address, too, or let systemd pass \
                 a socket with this port (`ListenStream={port}`)"
            );
            let address = SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, port));
            return Err((ListenAddress::Tcp(address), io::Error::new(io::ErrorKind::NotFound, words)));
        }
        let wanted = Wanted { addresses: &redirects, ..wanted };
        for address in &redirects {
            let begin = self.0.len();
            self.add(address, wanted).map_err(|error| (address.clone(), error))?;
            self.0[begin..].iter_mut().for_each(|listener| listener.leads_to_tls = true);
        }
        Ok(())
    }

    fn add(&mut self, address: &ListenAddress, wanted: Wanted<'_>) -> io::Result<()> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = Listener::tcp(tcp::bind(*address, wanted)?);
                self.0.push(Listener { is_shared: wanted.shares_ports, ..listener });
            }
            #[cfg(unix)]
            ListenAddress::Unix { path, mode } => self.0.push(Listener::bind_unix(path, *mode)?),
            #[cfg(unix)]
            ListenAddress::Systemd => {
                let passed = systemd::take()?.into_iter();
                self.0.extend(passed.map(|socket| Listener { is_shared: true, ..Listener::of(socket) }));
            }
            #[cfg(not(unix))]
            ListenAddress::Unix { .. } | ListenAddress::Systemd => return Err(no_unix_sockets()),
        }
        Ok(())
    }

    /// Adds other sockets.
    #[must_use]
    pub fn and(mut self, others: impl Into<Self>) -> Self {
        self.0.extend(others.into().0);
        self
    }

    /// Returns the same sockets once more. Connections come to only one of the two.
    ///
    /// # Errors
    /// The system has no file descriptors for them.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.iter().map(Listener::try_clone).collect::<io::Result<_>>().map(Self)
    }

    /// Returns the addresses, with the ports that the system has chosen.
    ///
    /// # Errors
    /// The system does not know them.
    pub fn addresses(&self) -> io::Result<Vec<ListenAddress>> {
        self.0.iter().map(Listener::address).collect()
    }

    /// Returns the address of the first TCP socket, with the port that the system has chosen.
    ///
    /// # Errors
    /// There is none ([`io::ErrorKind::AddrNotAvailable`]), or the system does not know it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let mut tcp = self.0.iter().filter_map(|listener| match &listener.socket {
            Socket::Tcp(listener) => Some(listener.local_addr()),
            #[cfg(unix)]
            Socket::Unix(_) => None,
        });
        tcp.next().unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()))
    }

    pub(crate) fn into_inner(self) -> Vec<Listener> {
        self.0
    }
}

impl Listener {
    fn of(socket: Socket) -> Self {
        Self {
            socket,
            leads_to_tls: false,
            is_shared: false,
            #[cfg(unix)]
            file: None,
        }
    }

    /// Takes over a TCP socket.
    pub(crate) fn tcp(listener: TcpListener) -> Self {
        Self::of(Socket::Tcp(listener))
    }

    /// Listens on a Unix socket, for those whom `mode` permits.
    ///
    /// # Errors
    /// The system refuses it, another program listens there, or there is a file that is no socket.
    #[cfg(unix)]
    pub(crate) fn bind_unix(path: &Path, mode: u32) -> io::Result<Self> {
        let (listener, file) = SocketFile::bind(path, mode)?;
        Ok(Self { file: Some(Arc::new(file)), ..Self::of(Socket::Unix(listener)) })
    }

    /// Returns the same listener once more.
    ///
    /// # Errors
    /// The system has no file descriptor for it.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let socket = match &self.socket {
            Socket::Tcp(listener) => Socket::Tcp(listener.try_clone()?),
            #[cfg(unix)]
            Socket::Unix(listener) => Socket::Unix(listener.try_clone()?),
        };
        Ok(Self {
            socket,
            #[cfg(unix)]
            file: self.file.clone(),
            ..*self
        })
    }

    /// Returns the address, with the port that the system has chosen.
    ///
    /// # Errors
    /// The system does not know it.
    pub(crate) fn address(&self) -> io::Result<ListenAddress> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            #[cfg(unix)]
            Socket::Unix(listener) => {
                let address = listener.local_addr()?;
                // A socket that was passed may have no path.
                let path = address.as_pathname().unwrap_or_else(|| Path::new("(no path)"));
                Ok(ListenAddress::Unix { path: path.to_owned(), mode: 0 })
            }
        }
    }

    /// Makes the socket one that does not block.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(listener) => listener.set_nonblocking(true),
            #[cfg(unix)]
            Socket::Unix(listener) => listener.set_nonblocking(true),
        }
    }
}

#[cfg(unix)]
impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

/// Returns the error for what only Unix systems have.
#[cfg(not(unix))]
pub(crate) fn no_unix_sockets() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no Unix sockets; use an address such as `127.0.0.1:9000`",
    )
}

impl From<TcpListener> for Listeners {
    fn from(listener: TcpListener) -> Self {
        Self(vec![Listener::tcp(listener)])
    }
}

#[cfg(unix)]
impl From<UnixListener> for Listeners {
    fn from(listener: UnixListener) -> Self {
        Self(vec![Listener::of(Socket::Unix(listener))])
    }
}

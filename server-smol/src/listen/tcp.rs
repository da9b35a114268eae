use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use super::{ListenAddress, Wanted};

/// Listens on a TCP address.
///
/// # Errors
/// The system refuses it.
#[cfg(unix)]
pub(super) fn bind(address: SocketAddr, wanted: Wanted<'_>) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

    let is_v6_only = address.is_ipv6() && has_twin(address, wanted.addresses);
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::empty(), None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if wanted.shares_ports {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    if is_v6_only {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, super::BACKLOG)?;
    Ok(socket.into())
}

#[cfg(not(unix))]
pub(super) fn bind(address: SocketAddr, wanted: Wanted<'_>) -> io::Result<TcpListener> {
    if wanted.shares_ports {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "two processes cannot share a port on this system",
        ));
    }
    TcpListener::bind(address)
}

/// Returns true if the same port is also wanted for IPv4. Sockets for IPv6 otherwise take IPv4, too, and then there could be
/// only one of `0.0.0.0:80` and `[::]:80`.
#[cfg(unix)]
fn has_twin(address: SocketAddr, all: &[ListenAddress]) -> bool {
    address.port() != 0
        && all.iter().any(|other| {
            matches!(other, ListenAddress::Tcp(other) if other.is_ipv4() && other.port() == address.port())
        })
}

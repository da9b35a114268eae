use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt},
};

/// The innocent client's own address.
pub(crate) const INNOCENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The address of the client that comes last.
pub(crate) const NEWCOMER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// The number of addresses of those attackers that come from several.
const ADDRESSES: usize = 64;

/// Returns one of the attackers' addresses.
pub(crate) fn attacker(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, 1 + (index % ADDRESSES) as u8)
}

/// Begins to connect to a server on this machine, from an address of this machine. The socket does not block, and may
/// have a small buffer for what it receives.
pub(crate) fn dial(to: SocketAddr, from: Ipv4Addr, receive: Option<usize>) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(receive) = receive {
        sockopt::set_socket_recv_buffer_size(&socket, receive)?;
    }
    // The system has this address unless it is told another one, and finds a port faster when it knows where to.
    if from != Ipv4Addr::LOCALHOST {
        bind(&socket, &SocketAddrV4::new(from, 0))?;
    }
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt},
};

/// Begins to connect to a server on this machine, from an address of this machine. The socket does not block, and may
/// have a small buffer for what it receives.
///
/// # Errors
/// The system has no socket, or no port.
pub fn dial(to: SocketAddr, from: Ipv4Addr, receive: Option<usize>) -> io::Result<TcpStream> {
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

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;
use rustls::{ClientConfig, ClientConnection};
use smol::{
    Async,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use stateroom_tests::dial;

/// Where the server is, and how one speaks with it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// A connection, with TLS or without. A read that is given up has lost nothing.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Async<TcpStream>,
    tls: Option<Box<ClientConnection>>,
}

impl Target {
    /// Returns the state of TLS for a new connection, if there is TLS.
    pub(crate) fn tls(&self) -> io::Result<Option<Box<ClientConnection>>> {
        let Some(config) = &self.tls else { return Ok(None) };
        let name = "localhost".try_into().map_err(io::Error::other)?;
        Ok(Some(Box::new(ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?)))
    }

    /// Opens a TCP connection, which may have a small buffer for what it receives.
    pub(crate) async fn dial(&self, receive: Option<usize>) -> io::Result<Async<TcpStream>> {
        let socket = Async::new_nonblocking(dial(self.address, Ipv4Addr::LOCALHOST, receive)?)?;
        socket.writable().await?;
        match socket.get_ref().take_error()? {
            None => Ok(socket),
            Some(error) => Err(error),
        }
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self, receive: Option<usize>) -> io::Result<Stream> {
        let (socket, tls) = (self.dial(receive).await?, self.tls()?);
        Ok(Stream { socket, tls })
    }
}

impl Stream {
    /// Reads once; 0 bytes at the end.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.socket.read(buffer).await };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            write_records(&self.socket, tls).await?;
            self.socket.read_with(|mut socket| tls.read_tls(&mut socket)).await?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes all bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return self.socket.write_all(bytes).await };
        tls.writer().write_all(bytes)?;
        write_records(&self.socket, tls).await
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        reset(self.socket);
    }
}

/// Ends a connection with a reset.
pub(crate) fn reset(socket: Async<TcpStream>) {
    let _ = set_socket_linger(&socket, Some(Duration::ZERO));
}

async fn write_records(socket: &Async<TcpStream>, tls: &mut ClientConnection) -> io::Result<()> {
    while tls.wants_write() {
        socket.write_with(|mut socket| tls.write_tls(&mut socket)).await?;
    }
    Ok(())
}

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use stateroom_tests::Frame;

use crate::server::SOON;

/// A client of a server that may end at any time.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    /// Its id in the room.
    pub(crate) id: u32,
}

impl Client {
    /// Joins a room. Waits until the room has said the client's id.
    pub(crate) fn join(address: SocketAddr, room: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        let mut stream = BufReader::new(stream);
        let request = format!(
            "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 101 ") {
            return Err(io::Error::other(line));
        }
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut client = Self { stream, id: 0 };
        loop {
            // Counts for everyone may come before it.
            if let [a, b, c, d] = *client.payload()? {
                client.id = u32::from_le_bytes([a, b, c, d]);
                return Ok(client);
            }
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&Frame::new(Frame::BINARY, "+").masked())
    }

    /// Waits for the next count.
    pub(crate) fn count(&mut self) -> io::Result<u64> {
        let payload = self.payload()?;
        let count = payload.as_slice().try_into().map_err(io::Error::other)?;
        Ok(u64::from_le_bytes(count))
    }

    fn payload(&mut self) -> io::Result<Vec<u8>> {
        match Frame::read(&mut self.stream)? {
            Some(Frame { opcode: Frame::BINARY, payload, .. }) => Ok(payload),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Returns whether nothing comes for a moment.
    pub(crate) fn is_quiet(&mut self, moment: std::time::Duration) -> bool {
        let set = |client: &Self, time| client.stream.get_ref().set_read_timeout(Some(time)).is_ok();
        if !self.stream.buffer().is_empty() || !set(self, moment) {
            return false;
        }
        let read = self.stream.read(&mut [0]);
        set(self, SOON) && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

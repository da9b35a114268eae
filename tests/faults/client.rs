use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use stateroom_tests::{Frame, Heard};

use crate::server::SOON;

/// A client of a server that may end at any time.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    /// Its id in the room.
    pub(crate) id: u32,
}

impl Client {
    /// Opens a connection to a room.
    pub(crate) fn connect(address: SocketAddr, room: &str, protocols: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SOON))?;
        let mut stream = BufReader::new(stream);
        let protocols = protocols
            .map_or_else(String::new, |protocols| format!("Sec-WebSocket-Protocol: {protocols}\r\n"));
        let request = format!(
            "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n"
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
        Ok(Self { stream, id: 0 })
    }

    /// Joins a room. Waits until the room has said the client's id.
    pub(crate) fn join(address: SocketAddr, room: &str) -> io::Result<Self> {
        let mut client = Self::connect(address, room, None)?;
        loop {
            // Counts for everyone may come before it.
            if let Heard::Id(id) = client.message()? {
                client.id = id;
                return Ok(client);
            }
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self) -> io::Result<()> {
        self.write(&Frame::new(Frame::BINARY, "+"))
    }

    pub(crate) fn write(&mut self, frame: &Frame) -> io::Result<()> {
        self.stream.get_mut().write_all(&frame.masked())
    }

    /// Waits for the next count.
    pub(crate) fn count(&mut self) -> io::Result<u64> {
        match self.message()? {
            Heard::Count { count, .. } => Ok(count),
            message => Err(io::Error::other(format!("{message:?} is no count"))),
        }
    }

    /// Waits for the next message.
    pub(crate) fn message(&mut self) -> io::Result<Heard> {
        match Frame::read(&mut self.stream)? {
            Some(frame) if frame.opcode != Frame::CLOSE => frame.try_into(),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Waits for the close frame. Returns false if something else comes.
    pub(crate) fn is_closed(&mut self) -> bool {
        Frame::read(&mut self.stream).is_ok_and(|frame| frame == Some(Frame::close(1000)))
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

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use rustix::event::epoll::EventFlags;

/// An attacker's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    pub(super) stage: Stage,
    /// The bytes that are to be written, and how many of them have been written.
    says: Arc<[u8]>,
    written: usize,
    pub(super) is_repeating: bool,
    /// The bytes that have come of the answer to its request.
    head: Vec<u8>,
    pub(super) watched: EventFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    /// It has asked for a WebSocket.
    Asking,
    Up,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Bytes(usize),
    /// The room is entered.
    Joined,
    /// The server has answered something else.
    Refused,
    End,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, watched: EventFlags) -> Self {
        let (says, head) = (Arc::from([]), Vec::new());
        Self { socket, stage: Stage::Connecting, says, written: 0, is_repeating: false, head, watched }
    }

    pub(super) fn say(&mut self, says: Arc<[u8]>) {
        (self.says, self.written) = (says, 0);
    }

    pub(super) fn has_something_to_say(&self) -> bool {
        self.written < self.says.len()
    }

    /// Writes once; returns whether all has been said with that. Over and over is never all.
    pub(super) fn write(&mut self) -> io::Result<bool> {
        if !self.has_something_to_say() {
            return Ok(false);
        }
        match self.socket.write(&self.says[self.written..]) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.has_something_to_say() {
            return Ok(false);
        }
        if self.is_repeating {
            self.written = 0;
            return Ok(false);
        }
        // What many have said together is not kept by each.
        self.say(Arc::from([]));
        Ok(true)
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Heard {
        let bytes = match self.socket.read(buffer) {
            Ok(count @ 1..) => &buffer[..count],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing,
            _ => return Heard::End,
        };
        if self.stage != Stage::Asking {
            // A close frame. Nothing that rooms say here looks like one.
            return if bytes[0] == 0x88 { Heard::End } else { Heard::Bytes(bytes.len()) };
        }
        self.head.extend_from_slice(bytes);
        if !self.head.windows(4).any(|four| four == b"\r\n\r\n") {
            return Heard::Nothing;
        }
        let has_joined = self.head.starts_with(b"HTTP/1.1 101 ");
        self.head = Vec::new();
        if has_joined { Heard::Joined } else { Heard::Refused }
    }
}

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use anyhow::{Result, ensure};

use crate::{
    frame::{self, Frame},
    poller::{Interest, Poller, is_not_ready},
};

/// The maximum number of bytes that are read at a time.
const READ: usize = 64 << 10;

/// An open WebSocket. When it is idle, it holds no buffer.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    token: usize,
    /// Frames that wait to be written, and the number of bytes that are already written.
    out: Vec<u8>,
    written: usize,
    /// True if the socket takes no more at present.
    is_full: bool,
    /// The beginning of a frame.
    rest: Vec<u8>,
    /// The beginning of a message that arrives in several frames.
    fragments: Vec<u8>,
    key: u32,
}

/// The result of reading a socket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Nothing,
    /// A number of bytes at the beginning of the buffer.
    Bytes(usize),
    End,
}

/// The code and the reason with which a server has closed a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Close {
    code: u16,
    reason: String,
}

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, &*self.reason) {
            // RFC 6455 has these two for what is not there.
            (1005, _) => f.write_str("no code"),
            (1006, _) => f.write_str("no close frame"),
            (code, "") => write!(f, "code {code}"),
            (code, reason) => write!(f, "code {code}, \"{reason}\""),
        }
    }
}

impl Close {
    pub(crate) const ABNORMAL: Self = Self { code: 1006, reason: String::new() };

    fn read(payload: &[u8]) -> Self {
        match payload.split_first_chunk() {
            Some((&code, reason)) => {
                Self { code: u16::from_be_bytes(code), reason: String::from_utf8_lossy(reason).into_owned() }
            }
            None => Self { code: 1005, reason: String::new() },
        }
    }
}

impl Connection {
    /// `rest` are the bytes that arrived after the server's answer.
    pub(crate) fn new(socket: TcpStream, token: usize, mut rest: Vec<u8>) -> Self {
        rest.shrink_to_fit();
        Self {
            socket,
            token,
            out: Vec::new(),
            written: 0,
            is_full: false,
            rest,
            fragments: Vec::new(),
            key: 0x9e37_79b9 ^ token as u32,
        }
    }

    /// Queues a message: `head` followed by `tail`.
    pub(crate) fn queue(&mut self, opcode: u8, head: &[u8], tail: &[u8]) {
        // Any number does, but it shall not be the same one always: a server might notice.
        self.key = self.key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        frame::write(&mut self.out, opcode, self.key.to_ne_bytes(), head, tail);
    }

    /// Queues a close frame after all waiting frames.
    pub(crate) fn queue_close(&mut self) {
        self.queue(frame::CLOSE, &1000_u16.to_be_bytes(), &[]);
    }

    /// Writes as many bytes as the socket accepts, and the rest later.
    pub(crate) fn flush(&mut self, poller: &Poller) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_not_ready(&error) => {
                    if !self.is_full {
                        self.is_full = true;
                        poller.change(&self.socket, self.token, Interest::Both)?;
                    }
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        if self.is_full {
            self.is_full = false;
            poller.change(&self.socket, self.token, Interest::Read)?;
        }
        Ok(())
    }

    /// Returns the socket, which the poller watches.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads once, into a buffer that all connections share.
    pub(crate) fn fill(&mut self, buffer: &mut Vec<u8>) -> Filled {
        let kept = self.rest.len();
        if buffer.len() < kept + READ {
            buffer.resize(kept + READ, 0);
        }
        match self.socket.read(&mut buffer[kept..kept + READ]) {
            Ok(0) => Filled::End,
            Ok(count) => {
                buffer[..kept].copy_from_slice(&self.rest);
                self.rest.clear();
                Filled::Bytes(kept + count)
            }
            Err(error) if is_not_ready(&error) => Filled::Nothing,
            // However it ends, it ends.
            Err(_) => Filled::End,
        }
    }

    /// Passes on the messages that were read, and answers pings. Bytes after a close frame are ignored.
    pub(crate) fn hear(&mut self, mut bytes: &[u8], mut message: impl FnMut(&[u8])) -> Result<Option<Close>> {
        while let Some((Frame { fin, opcode, payload }, end)) = frame::read(bytes)? {
            bytes = &bytes[end..];
            match opcode {
                frame::TEXT | frame::BINARY if fin => message(payload),
                frame::TEXT | frame::BINARY | frame::CONTINUATION => {
                    ensure!(
                        self.fragments.len() + payload.len() <= frame::MOST,
                        "the server does not end a message"
                    );
                    self.fragments.extend_from_slice(payload);
                    if fin {
                        message(&self.fragments);
                        self.fragments.clear();
                    }
                }
                frame::PING => self.queue(frame::PONG, payload, &[]),
                frame::CLOSE => return Ok(Some(Close::read(payload))),
                _ => {}
            }
        }
        self.rest.extend_from_slice(bytes);
        Ok(None)
    }

    /// Handles the bytes that arrived after the server's answer. They have been read, so no poller reports
    /// them.
    pub(crate) fn hear_rest(&mut self) -> Result<Option<Close>> {
        let rest = std::mem::take(&mut self.rest);
        self.hear(&rest, |_| {})
    }

    /// Ends the connection without a close frame.
    pub(crate) fn hang_up(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Connection::new(socket, 0, b"\x81\x02h".to_vec()), listener.accept().unwrap().0)
    }

    fn heard(connection: &mut Connection, bytes: &[u8]) -> (Vec<String>, Option<Close>) {
        let mut messages = Vec::new();
        let close =
            connection.hear(bytes, |message| messages.push(String::from_utf8_lossy(message).into_owned()));
        (messages, close.unwrap())
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let (mut connection, mut server) = pair();
        let mut buffer = Vec::new();
        let mut messages = Vec::new();
        let parts: [&[u8]; 5] =
            [b"i\x81\x01a\x01\x01b", b"\x89\x01p", b"\x00\x01", b"c\x80", b"\x01d\x88\x02\x03\xe8"];
        for part in parts {
            server.write_all(part).unwrap();
            let Filled::Bytes(count) = connection.fill(&mut buffer) else { panic!("it has been written") };
            let (more, close) = heard(&mut connection, &buffer[..count]);
            messages.extend(more);
            assert_eq!(close.is_some(), part.ends_with(b"\xe8"));
        }
        assert_eq!(messages, ["hi", "a", "bcd"]);
        let poller = Poller::new().unwrap();
        connection.flush(&poller).unwrap();
        let mut pong = [0; 7];
        server.read_exact(&mut pong).unwrap();
        assert_eq!((&pong[..2], pong[6] ^ pong[2]), (&[0x8a, 0x81][..], b'p'));
        drop(server);
        assert_eq!(connection.fill(&mut buffer), Filled::End);
    }

    #[test]
    fn a_close_is_told_with_its_reason() {
        let (mut connection, _server) = pair();
        let (_, close) = heard(&mut connection, b"\x88\x06\x03\xf5full");
        assert_eq!(close.unwrap().to_string(), "code 1013, \"full\"");
        assert_eq!(heard(&mut connection, b"\x88\x02\x03\xe8").1.unwrap().to_string(), "code 1000");
        assert_eq!(heard(&mut connection, b"\x88\x00").1.unwrap().to_string(), "no code");
    }
}

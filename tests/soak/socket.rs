use std::io;

use stateroom_tests::{Frame, Heard};

use crate::{
    patience::{PATIENCE, within},
    stream::{Stream, Target},
};

/// A WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    /// The bytes that have come, up to an unfinished frame.
    received: Vec<u8>,
}

/// Returns the request that opens a WebSocket in a room.
pub(crate) fn upgrade(room: &str, protocols: Option<&str>) -> String {
    let protocols =
        protocols.map_or_else(String::new, |protocols| format!("Sec-WebSocket-Protocol: {protocols}\r\n"));
    format!(
        "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocols}\r\n"
    )
}

impl Socket {
    /// Opens a WebSocket in a room.
    pub(crate) async fn connect(target: &Target, room: &str, protocols: Option<&str>) -> io::Result<Self> {
        Self::connect_with(target, room, protocols, None).await
    }

    /// Opens a WebSocket in a room, which may have a small buffer for what it receives.
    pub(crate) async fn connect_with(
        target: &Target,
        room: &str,
        protocols: Option<&str>,
        receive: Option<usize>,
    ) -> io::Result<Self> {
        within(PATIENCE, async {
            let mut socket = Self { stream: target.connect(receive).await?, received: Vec::new() };
            socket.stream.write(upgrade(room, protocols).as_bytes()).await?;
            loop {
                if let Some(end) = socket.received.windows(4).position(|four| four == b"\r\n\r\n") {
                    let rest = socket.received.split_off(end + 4);
                    let head = std::mem::replace(&mut socket.received, rest);
                    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
                    return if line.starts_with("HTTP/1.1 101 ") {
                        Ok(socket)
                    } else {
                        Err(io::Error::other(line))
                    };
                }
                socket.fill().await?;
            }
        })
        .await
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        within(PATIENCE, self.stream.write(&frame.masked())).await
    }

    /// Waits for a frame that is no ping, and answers pings. If this is given up, nothing is lost.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            let mut rest = &self.received[..];
            match Frame::read(&mut rest) {
                Ok(Some(frame)) => {
                    let taken = self.received.len() - rest.len();
                    self.received.drain(..taken);
                    if frame.opcode != Frame::PING {
                        return Ok(frame);
                    }
                    self.stream.write(&Frame::new(Frame::PONG, frame.payload).masked()).await?;
                }
                // It is not complete.
                _ => self.fill().await?,
            }
        }
    }

    /// Waits for a message of the room.
    pub(crate) async fn hear(&mut self) -> io::Result<Heard> {
        let frame = self.next().await?;
        if frame.opcode == Frame::CLOSE {
            return Err(io::Error::other(format!("it was closed: {}", close(&frame))));
        }
        frame.try_into()
    }

    /// Waits for a close frame, and returns its code and words.
    pub(crate) async fn closed(&mut self) -> io::Result<String> {
        within(PATIENCE, async {
            loop {
                let frame = self.next().await?;
                if frame.opcode == Frame::CLOSE {
                    return Ok(close(&frame));
                }
            }
        })
        .await
    }

    /// Says goodbye.
    pub(crate) async fn leave(mut self) -> io::Result<()> {
        self.send(&Frame::close(1000)).await?;
        match self.closed().await? {
            closed if closed.starts_with("1000") => Ok(()),
            closed => Err(io::Error::other(closed)),
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8 << 10];
        match self.stream.read(&mut chunk).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend(&chunk[..count]);
                Ok(())
            }
        }
    }
}

fn close(frame: &Frame) -> String {
    match frame.payload.split_first_chunk() {
        Some((code, words)) => format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(words)),
        None => "without a code".to_owned(),
    }
}

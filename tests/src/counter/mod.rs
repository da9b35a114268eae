//! A guest that counts messages, so that its clients see whether one is lost or comes twice.

use std::io;

use crate::Frame;

/// A message of the guest, or a control message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The id of the client in the room.
    Id(u32),
    /// A count, with the sender of the message that was counted, and the number of that message, if it has one.
    Count {
        /// The number of messages that the room has counted.
        count: u64,
        /// The id of the sender.
        sender: u32,
        /// The number that the message begins with.
        message: u64,
    },
    /// The 64 KiB that a text asks for.
    Blob,
    /// A control message, without its U+0000.
    Control(String),
}

/// Returns the module of the guest.
///
/// # Panics
/// Its text is no module.
#[must_use]
pub fn counter() -> Vec<u8> {
    wat::parse_str(include_str!("guest.wat")).expect("a module")
}

/// Returns a message to count, with its number.
#[must_use]
pub fn numbered(message: u64) -> Frame {
    Frame::new(Frame::BINARY, message.to_le_bytes())
}

impl TryFrom<Frame> for Heard {
    type Error = io::Error;

    /// # Errors
    /// No message of the guest looks like this.
    fn try_from(frame: Frame) -> io::Result<Self> {
        let Frame { opcode, payload, .. } = frame;
        let heard = match (opcode, &payload[..]) {
            (Frame::BINARY, &[a, b, c, d]) => Some(Self::Id(u32::from_le_bytes([a, b, c, d]))),
            (Frame::BINARY, payload) if payload.len() == 64 << 10 => Some(Self::Blob),
            (Frame::BINARY, payload) => count(payload),
            (Frame::TEXT, text) => str::from_utf8(text)
                .ok()
                .and_then(|text| text.strip_prefix('\0'))
                .map(|text| Self::Control(text.to_owned())),
            _ => None,
        };
        heard.ok_or_else(|| io::Error::other(format!("no message has opcode {opcode} and is {payload:?}")))
    }
}

fn count(payload: &[u8]) -> Option<Heard> {
    let (count, rest) = payload.split_first_chunk()?;
    let (sender, rest) = rest.split_first_chunk()?;
    let message = u64::from_le_bytes(rest.try_into().ok()?);
    Some(Heard::Count { count: u64::from_le_bytes(*count), sender: u32::from_le_bytes(*sender), message })
}

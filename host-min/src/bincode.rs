//! The values that host and guest exchange in the interface of modules made for Stateroom 0.4. Their format
//! is bincode 1: little endian, with variants as `u32` and lengths as `u64`, without padding.

use alloc::format;
use core::{fmt, ops::Range};

use stateroom_core::{ClientId, MessagePayload, MessageRecipient};

use crate::{
    Event, TrapReason,
    reader::{Reader, Short},
};

/// An encoded event up to the data that it ends with: at most a variant, a client, a payload's kind and its
/// length.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Head {
    bytes: [u8; 20],
    len: u8,
}

impl Head {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn with<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        let begin = usize::from(self.len);
        self.bytes[begin..begin + N].copy_from_slice(&bytes);
        self.len += N as u8;
        self
    }
}

/// Encodes an event for the guest: a head, and the data that follows it.
pub(crate) fn encode(event: Event<'_>) -> (Head, &[u8]) {
    let variant = |number: u32| Head::default().with(number.to_le_bytes());
    match event {
        // The guest never learns its room's id.
        Event::Init => (variant(0), &[]),
        Event::Connect(client, _) => (variant(1).with(client.0.to_le_bytes()), &[]),
        Event::Disconnect(client) => (variant(2).with(client.0.to_le_bytes()), &[]),
        Event::Message(client, payload) => {
            let (kind, data) = match payload {
                MessagePayload::Bytes(bytes) => (0_u32, bytes),
                MessagePayload::Text(text) => (1, text.as_bytes()),
            };
            let head = variant(3).with(client.0.to_le_bytes()).with(kind.to_le_bytes());
            (head.with((data.len() as u64).to_le_bytes()), data)
        }
        Event::Timer => (variant(4), &[]),
    }
}

/// A request of a guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A message: true if it is text, which the caller must check, and its range in the bytes.
    Send(MessageRecipient, bool, Range<usize>),
    /// The delay of a timer in milliseconds; never 0.
    Timer(u32),
}

/// Reads what a guest asks for. What follows the value is ignored, as published hosts do.
pub(crate) fn decode(bytes: &[u8]) -> Result<Request, Malformed> {
    let mut reader = Reader::new(bytes);
    match reader.u32()? {
        0 => {
            let recipient = match reader.u32()? {
                0 => MessageRecipient::Broadcast,
                1 => MessageRecipient::Client(ClientId(reader.u32()?)),
                2 => MessageRecipient::EveryoneExcept(ClientId(reader.u32()?)),
                variant => return Err(Malformed::Variant { of: "recipient", variant }),
            };
            let kind = reader.u32()?;
            if kind > 1 {
                return Err(Malformed::Variant { of: "payload", variant: kind });
            }
            let len = reader.u64()?;
            let begin = bytes.len() - reader.left();
            let malformed = Malformed::Length { len, left: reader.left() };
            let len = usize::try_from(len).ok().filter(|len| *len <= reader.left()).ok_or(malformed)?;
            Ok(Request::Send(recipient, kind == 1, begin..begin + len))
        }
        // In the documentation of Stateroom 0.4, 0 cancels the timer. Its hosts fire the timer at once, and
        // its guests rely on this: Aper (a library for shared state) sets 0 if something is already due, and
        // would wait for it for ever.
        1 => Ok(Request::Timer(reader.u32()?.max(1))),
        variant => Err(Malformed::Variant { of: "message to the host", variant }),
    }
}

/// The reason why bytes from a guest cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    Short,
    Variant { of: &'static str, variant: u32 },
    Length { len: u64, left: usize },
    NotUtf8,
}

impl From<Malformed> for TrapReason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(format!("{malformed}"))
    }
}

impl From<Short> for Malformed {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("they end too early"),
            Self::Variant { of, variant } => write!(f, "there is no {of} with the number {variant}"),
            Self::Length { len, left } => {
                write!(f, "they announce a payload of {len} bytes, and {left} follow")
            }
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
        }
    }
}

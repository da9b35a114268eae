//! The WebSocket protocol behind the handshake (RFC 6455, sections 5 to 7), without IO: bytes in, messages out, and
//! the other way.
//!
//! This is the path of every message, and it is made for that: a message that has come in as a whole is read where
//! it lies, a connection between two messages holds no buffer, and what goes out is written once into the bytes
//! that the socket takes.

mod close;
mod decoder;
mod frame;
mod mask;

pub(crate) use close::close_payload;
pub(crate) use decoder::{Decoder, Item, Violation};
pub(crate) use frame::{Head, Opcode};

//! Decodes and encodes WebSocket frames (RFC 6455, sections 5 to 7), without IO. The handshake is in `http/upgrade.rs`.
//!
//! Every message goes this way, so nothing is copied twice: a message that arrives in one piece is read in place, a
//! connection between two messages holds no buffer, and a frame is written once into the bytes that the socket takes.

mod close;
mod decoder;
#[cfg_attr(not(feature = "compression"), path = "no_deflate.rs")]
mod deflate;
mod frame;
mod mask;

pub(crate) use close::close_payload;
pub(crate) use decoder::{Decoder, Item, Violation};
#[cfg(feature = "compression")]
pub(crate) use deflate::{Agreement, Deflater, Inflaters};
pub(crate) use frame::{Head, Opcode};

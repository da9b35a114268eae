//! A client's socket, and the bytes that wait to be written to it.

mod buffers;
mod chunks;
#[cfg(feature = "compression")]
mod compression;
mod flush;
mod frame;
mod gate;
mod kept_messages;
mod outbox;
mod queue;
mod slow_clients;
mod socket;
mod unconfirmed;

pub(crate) use buffers::Buffers;
#[cfg(feature = "compression")]
pub(crate) use compression::Compression;
pub(crate) use flush::FlushList;
pub(crate) use frame::{Frame, SharedFrame};
pub(crate) use gate::Gate;
pub(crate) use kept_messages::KeptMessages;
pub(crate) use outbox::Outbox;
pub(crate) use slow_clients::SlowClients;
pub(crate) use socket::Socket;

/// The first character of a control message in a resumable session. A text of the application that begins with it gets one more.
pub(crate) const CONTROL: char = '\0';

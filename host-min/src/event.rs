use stateroom_core::{ClientId, MessagePayload};

use crate::ClientInfo;

/// An event in a room.
///
/// The host sees to it that [`Init`](Self::Init) comes first, and once, and that messages come from clients
/// that have connected and not disconnected. Guests rely on it; a host that does otherwise confuses them and
/// nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The room has been made.
    Init,
    /// A client has come, with this. The room keeps what it needs of it until the event is over.
    Connect(ClientId, ClientInfo<'a>),
    /// A client has gone.
    Disconnect(ClientId),
    /// A client sent a message.
    Message(ClientId, MessagePayload<'a>),
    /// The room's timer is due.
    Timer,
}

/// The state of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The event is over: see [`Room::effects`](crate::Room::effects).
    Done,
    /// The event has used up its slice, or the room is still getting its memory. Continue with
    /// [`Room::resume`](crate::Room::resume), and hand in no other event until it is over.
    Suspended,
    /// The guest had no space for the message. The event has not happened, and the room lives on.
    Refused,
}

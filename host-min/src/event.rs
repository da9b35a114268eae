use stateroom_core::{ClientId, MessagePayload};

use crate::ClientInfo;

/// An event in a room.
///
/// The host must hand in [`Init`](Self::Init) first, and only once. It must hand in messages only from
/// clients that have connected and not disconnected. Guests rely on this. If a host does not follow it,
/// guests may behave wrongly, but this crate does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The room has been created.
    Init,
    /// A client has connected, with this information. The guest can read it until the event is over.
    Connect(ClientId, ClientInfo<'a>),
    /// A client has disconnected.
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
    /// The event has used up its slice, or the room does not have all its memory yet. Continue with
    /// [`Room::resume`](crate::Room::resume), and hand in no other event until this one is over.
    Suspended,
    /// The guest had no space for the message. The event has not happened, and the room continues.
    Refused,
}

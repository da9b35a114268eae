use stateroom_sdk_core::{ClientId, MessagePayload};

/// Something that happens to a room. [`Init`](Self::Init) is the first event of every room, and comes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The room has been made.
    Init,
    /// A client has come.
    Connect(ClientId),
    /// A client has gone.
    Disconnect(ClientId),
    /// A client sent a message.
    Message(ClientId, MessagePayload<'a>),
    /// The room's timer is due.
    Timer,
}

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// It is over: see [`Room::effects`](crate::Room::effects).
    Done,
    /// It has used up its slice: go on with [`Room::resume`](crate::Room::resume), and hand in no other event
    /// until it is over.
    Suspended,
    /// The guest had no room for the message. It did not happen; the room lives on.
    Refused,
}

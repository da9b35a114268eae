use std::cell::Cell;

use stateroom_core::MessagePayload;

use crate::room::number;

/// What the server has told a client about the messages that the room has received from it. It is for sessions that can continue
/// on another connection: see `docs/reference/sessions.md`.
#[derive(Debug)]
pub(super) struct Confirmations {
    /// The number of messages that were confirmed.
    confirmed: Cell<u64>,
    /// The size of those that were not, in bytes.
    unconfirmed: Cell<usize>,
}

/// A message of a client in such a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    /// A message for the room.
    Message(MessagePayload<'a>),
    /// The client has received so many messages.
    Confirmation(u64),
    /// A control message that the protocol does not have.
    Invalid,
}

/// A confirmation follows after so many messages, or so many bytes.
const MESSAGES: u64 = 32;
const BYTES: usize = 32 << 10;

/// Begins each control message, and each text of the application that begins with it.
const CONTROL: char = '\0';

impl Confirmations {
    /// Begins after so many messages, all of which the client knows of.
    pub(super) fn after(confirmed: u64) -> Self {
        Self { confirmed: Cell::new(confirmed), unconfirmed: Cell::new(0) }
    }

    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed.get()
    }

    /// Notes that the room has received a message of `size` bytes, and so many in all. Returns true if the client is to be told.
    pub(super) fn is_due(&self, received: u64, size: usize) -> bool {
        let unconfirmed = self.unconfirmed.get() + size;
        let is_due = received - self.confirmed.get() >= MESSAGES || unconfirmed >= BYTES;
        self.unconfirmed.set(if is_due { 0 } else { unconfirmed });
        if is_due {
            self.confirmed.set(received);
        }
        is_due
    }
}

impl<'a> Sent<'a> {
    pub(super) fn new(payload: MessagePayload<'a>) -> Self {
        let MessagePayload::Text(text) = payload else { return Self::Message(payload) };
        match text.strip_prefix(CONTROL) {
            None => Self::Message(payload),
            Some(text) if text.starts_with(CONTROL) => Self::Message(MessagePayload::Text(text)),
            Some(received) => number(received).map_or(Self::Invalid, Self::Confirmation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_are_told_from_those_of_the_application() {
        let text = |text| Sent::Message(MessagePayload::Text(text));
        for (sent, means) in [
            ("", text("")),
            ("a\0", text("a\0")),
            ("17", text("17")),
            ("\0\0", text("\0")),
            ("\0\0\x0017", text("\0\x0017")),
            ("\x0017", Sent::Confirmation(17)),
            ("\0", Sent::Invalid),
            ("\x00-1", Sent::Invalid),
            ("\x00{}", Sent::Invalid),
        ] {
            assert_eq!(Sent::new(MessagePayload::Text(sent)), means, "{sent:?}");
        }
        let bytes = MessagePayload::Bytes(b"\x0017");
        assert_eq!(Sent::new(bytes), Sent::Message(bytes));
    }

    #[test]
    fn a_confirmation_follows_after_some_messages_or_some_bytes() {
        let confirmations = Confirmations::after(100);
        let due: Vec<u64> = (101..=200).filter(|received| confirmations.is_due(*received, 10)).collect();
        assert_eq!(due, [132, 164, 196]);
        assert!(!confirmations.is_due(201, BYTES - 41) && confirmations.is_due(202, 1));
        assert!(!confirmations.is_due(203, BYTES - 1));
    }
}

use std::cell::Cell;

use stateroom_core::MessagePayload;

use crate::{room::number, wire::CONTROL};

/// The confirmations of a client's messages, in a [resumable session](super::resume).
#[derive(Debug)]
pub(super) struct Confirmations {
    /// The number of messages, and of those that were confirmed.
    received: Cell<u64>,
    confirmed: Cell<u64>,
    /// The size of the messages that were not confirmed, in bytes.
    unconfirmed: Cell<usize>,
}

/// A message of a client in a resumable session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    /// A message for the room.
    Message(MessagePayload<'a>),
    /// A control message: the client has received this number of messages.
    Confirmation(u64),
    /// A control message that the protocol does not have.
    Invalid,
}

/// A confirmation follows after this number of messages, or this number of bytes.
const MESSAGES: u64 = 32;
const BYTES: usize = 32 << 10;

impl Confirmations {
    /// Begins after this number of messages, all of which are confirmed.
    pub(super) fn after(confirmed: u64) -> Self {
        Self { received: Cell::new(confirmed), confirmed: Cell::new(confirmed), unconfirmed: Cell::new(0) }
    }

    /// Returns the number of all messages in this session.
    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Adds a message of this size.
    pub(super) fn add(&self, size: usize) {
        self.received.set(self.received.get() + 1);
        self.unconfirmed.set(self.unconfirmed.get() + size);
    }

    /// Returns true if it is time to confirm the messages. Then they count as confirmed.
    pub(super) fn take_due(&self) -> bool {
        let received = self.received.get();
        let is_due = received - self.confirmed.get() >= MESSAGES || self.unconfirmed.get() >= BYTES;
        if is_due {
            self.confirmed.set(received);
            self.unconfirmed.set(0);
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
        let is_due = |size| {
            confirmations.add(size);
            confirmations.take_due()
        };
        let due: Vec<u64> = (101..=200).filter(|_| is_due(10)).collect();
        assert_eq!(due, [132, 164, 196]);
        assert!(!is_due(BYTES - 41) && is_due(1));
        assert!(!is_due(BYTES - 1));
        assert_eq!(confirmations.received(), 203);
    }
}

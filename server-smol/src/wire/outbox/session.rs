//! The outbox of a client whose session can continue on another connection: see `docs/reference/sessions.md`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll},
};

use crate::{
    close::CloseReason,
    websocket::{Head, Opcode},
    wire::{Frame, unconfirmed::Unconfirmed},
};

use super::Outbox;

/// Begins each control message, and each text of a room that begins with it.
const CONTROL: u8 = 0;

/// The part of an outbox that continues when another connection replaces this one.
#[derive(Debug)]
pub(super) struct Continuing {
    unconfirmed: RefCell<Unconfirmed>,
    /// The first message to the client, until its `connect` begins.
    greeting: RefCell<Option<Box<str>>>,
    /// True if there is no connection, or another one is about to replace it.
    is_absent: Cell<bool>,
}

impl Outbox {
    /// Makes the session one that can continue on another connection. `greeting` is the first control message; up to `limit` bytes
    /// of messages are kept.
    pub(crate) fn begin_session(&self, greeting: &str, limit: usize) {
        let continuing = Continuing {
            unconfirmed: RefCell::new(Unconfirmed::new(limit, self.buffers.ledger())),
            greeting: RefCell::new(Some(greeting.into())),
            is_absent: Cell::new(false),
        };
        self.set_continuing(Box::new(continuing));
    }

    fn set_continuing(&self, continuing: Box<Continuing>) {
        self.continuing.replace(Some(continuing));
        self.is_special.set(true);
    }

    /// Greets the client, as its `connect` begins.
    #[cold]
    pub(super) fn greet_now(self: &Rc<Self>) {
        let greeting = self.continuing.borrow().as_ref().and_then(|continuing| continuing.greeting.take());
        if let Some(greeting) = greeting {
            self.push_control(&greeting);
        }
    }

    /// Adds a control message, which is not one of the messages that are counted.
    pub(crate) fn push_control(self: &Rc<Self>, text: &str) {
        if !self.is_over.get() {
            self.push_unkept(&Frame::new(Opcode::Text, &[&[CONTROL], text.as_bytes()].concat()));
        }
    }

    /// Adds a frame that is kept already, or never.
    fn push_unkept(self: &Rc<Self>, frame: &Frame<'_>) {
        let is_special = self.is_special.replace(false);
        self.push(frame);
        // The connection may have ended with it.
        self.is_special.set(is_special || self.is_over.get());
    }

    /// Tells the client when to come back, if it has a session, before its connection is closed. Returns whether it has one.
    pub(crate) fn push_return_time(&self, ms: u64) -> bool {
        let has_session = self.continuing.borrow().is_some();
        if has_session {
            let text = format!("\0{{\"within\":{ms}}}");
            // A client that cannot have these few bytes has to do without.
            let _ = self.queue.borrow_mut().push(&Frame::new(Opcode::Text, text.as_bytes()), &self.buffers);
        }
        has_session
    }

    /// Keeps a message for a client that may come back. Returns whether it is also to be written.
    #[cold]
    pub(super) fn keep(self: &Rc<Self>, frame: &Frame<'_>) -> bool {
        let mut instead = None;
        if let Some(continuing) = &*self.continuing.borrow()
            && self.closing.borrow().is_none()
            && let [head, payload] = frame.parts()
            && let [FIN_TEXT | FIN_BINARY, ..] = head
        {
            // The payload may follow the head at once.
            let first = head[Head::size(head)..].first().or(payload.first());
            if head[0] == FIN_TEXT && first == Some(&CONTROL) {
                instead = Some(escaped(&[head, payload].concat()));
            }
            let kept = match &instead {
                Some(bytes) => continuing.unconfirmed.borrow_mut().push(&Frame::Encoded(bytes)),
                None => continuing.unconfirmed.borrow_mut().push(frame),
            };
            if !kept && continuing.is_absent.get() {
                // It could not continue.
                self.close(CloseReason::ClientTooSlow);
            }
        }
        match instead {
            _ if self.is_over.get() => false,
            None => true,
            Some(bytes) => {
                self.push_unkept(&Frame::Encoded(&bytes));
                false
            }
        }
    }

    /// Notes that the client has received so many messages.
    pub(crate) fn confirm(&self, received: u64) {
        if let Some(continuing) = &*self.continuing.borrow() {
            continuing.unconfirmed.borrow_mut().confirm(received);
        }
    }

    /// Returns whether the session can continue on another connection of a client that has received so many messages.
    pub(crate) fn can_continue(&self, received: u64) -> bool {
        let continuing = self.continuing.borrow();
        let can = |continuing: &Continuing| {
            continuing.greeting.borrow().is_none() && continuing.unconfirmed.borrow().has_all_after(received)
        };
        self.closing.borrow().is_none() && continuing.as_deref().is_some_and(can)
    }

    /// From now on, only keeps messages: the connection is lost, or another one is about to replace it.
    pub(crate) fn set_absent(&self) {
        self.set_over();
        self.continuing.borrow().iter().for_each(|continuing| continuing.is_absent.set(true));
    }

    /// Ready when the session of an absent client ends.
    pub(crate) fn poll_session_ended(&self, cx: &Context<'_>) -> Poll<()> {
        if self.closing.borrow().is_some() {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Returns the reason for which the connection ends, if it does.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.borrow().clone()
    }

    /// Continues the session of another outbox: greets the client, which has received so many messages, and sends it the others.
    /// Returns false if one of these is lost.
    pub(crate) fn replace(self: &Rc<Self>, other: &Self, received: u64, greeting: &str) -> bool {
        if !other.can_continue(received) {
            return false;
        }
        let Some(continuing) = other.continuing.take() else { return false };
        continuing.is_absent.set(false);
        self.push_control(greeting);
        let mut unconfirmed = continuing.unconfirmed.borrow_mut();
        unconfirmed.confirm(received);
        self.push_unkept(&Frame::Encoded(&unconfirmed.frames().concat()));
        drop(unconfirmed);
        self.set_continuing(continuing);
        true
    }
}

/// The first byte of a text message, and of a binary one: the whole message is in one frame.
const FIN_TEXT: u8 = 0x80 | Opcode::Text as u8;
const FIN_BINARY: u8 = 0x80 | Opcode::Binary as u8;

/// Returns the frame of a text with one more [`CONTROL`] before it.
fn escaped(frame: &[u8]) -> Vec<u8> {
    let payload = &frame[Head::size(frame)..];
    let head = Head::new(Opcode::Text, payload.len() + 1);
    [head.as_ref(), &[CONTROL], payload].concat()
}

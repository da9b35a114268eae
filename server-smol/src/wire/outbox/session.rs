//! The outbox of a client with a resumable session: see `docs/reference/sessions.md`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    close::CloseReason,
    websocket::{Head, Opcode},
    wire::{CONTROL, Frame, unconfirmed::Unconfirmed},
};

use super::{Outbox, Way};

/// The state of a resumable session. When the session is resumed, it moves to the outbox of the new connection.
#[derive(Debug)]
pub(super) struct SessionState {
    unconfirmed: RefCell<Unconfirmed>,
    /// The first control message; `None` after it was sent.
    greeting: RefCell<Option<Box<str>>>,
    /// True if the session has no connection, or is about to be resumed on another one.
    is_detached: Cell<bool>,
    /// Its key among those for which messages are kept.
    key: usize,
    /// Wakes the task that closes the connection, while the session waits for another one.
    closing: RefCell<Option<Waker>>,
}

impl SessionState {
    pub(super) fn key(&self) -> usize {
        self.key
    }
}

impl Outbox {
    /// Begins a resumable session. `greeting` is the first control message. Up to `limit` bytes of messages are kept.
    pub(crate) fn begin_session(self: &Rc<Self>, greeting: &str, limit: usize) {
        let session = SessionState {
            unconfirmed: RefCell::new(Unconfirmed::new(limit, self.buffers.ledger())),
            greeting: RefCell::new(Some(greeting.into())),
            is_detached: Cell::new(false),
            key: self.buffers.kept_messages.add(self),
            closing: RefCell::default(),
        };
        self.set_session(Box::new(session));
    }

    /// Restores a resumable session without a connection: so many messages were sent before those in `frames`. Messages are only kept
    /// from now on. If too many are, the session does not end: the client may have received those that are lost.
    pub(crate) fn restore_session(self: &Rc<Self>, limit: usize, before: u64, frames: &[&[u8]]) {
        let mut unconfirmed = Unconfirmed::after(before, limit, self.buffers.ledger());
        // If one is lost, the client may have received it.
        frames.iter().for_each(|frame| _ = unconfirmed.push(&Frame::Encoded(frame)));
        let session = SessionState {
            unconfirmed: RefCell::new(unconfirmed),
            greeting: RefCell::default(),
            is_detached: Cell::new(false),
            key: self.buffers.kept_messages.add(self),
            closing: RefCell::default(),
        };
        self.set_session(Box::new(session));
        self.set_over();
    }

    /// Returns the number of messages that were sent in the session.
    pub(crate) fn sent(&self) -> u64 {
        self.session.borrow().as_ref().map_or(0, |session| session.unconfirmed.borrow().counts()[0])
    }

    /// Calls `with` with the frames of the kept messages, and the number of messages that were sent before them. Returns `None` if the
    /// session has ended.
    pub(crate) fn with_kept<T>(&self, with: impl FnOnce(u64, Vec<&[u8]>) -> T) -> Option<T> {
        if self.closing.borrow().is_some() {
            return None;
        }
        let session = self.session.borrow();
        let mut unconfirmed = session.as_ref()?.unconfirmed.borrow_mut();
        let [_, before] = unconfirmed.counts();
        Some(with(before, unconfirmed.split()))
    }

    fn set_session(&self, session: Box<SessionState>) {
        self.session.replace(Some(session));
        self.way.set(Way::Special);
    }

    /// Sends the greeting, if it was not sent.
    #[cold]
    pub(super) fn greet_now(self: &Rc<Self>) {
        let greeting = self.session.borrow().as_ref().and_then(|session| session.greeting.take());
        if let Some(greeting) = greeting {
            self.push_control(&greeting);
        }
    }

    /// Adds a control message. It is neither counted nor kept.
    pub(crate) fn push_control(self: &Rc<Self>, text: &str) {
        if !self.is_over.get() {
            self.push_unkept(&Frame::new(Opcode::Text, format!("{CONTROL}{text}").as_bytes()));
        }
    }

    /// Tells a client with a resumable session the time in which it is to reconnect, before its connection is closed.
    pub(crate) fn push_return_time(self: &Rc<Self>, ms: u64) {
        let text = format!("{CONTROL}{{\"within\":{ms}}}");
        self.push_in_any_case(&Frame::new(Opcode::Text, text.as_bytes()));
    }

    /// Returns how much memory the kept messages take, in bytes.
    pub(in crate::wire) fn kept(&self) -> usize {
        // It may be in use right now.
        let session = self.session.try_borrow().ok();
        let kept = |session: &SessionState| Some(session.unconfirmed.try_borrow().ok()?.capacity());
        session.and_then(|session| kept(session.as_deref()?)).unwrap_or(0)
    }

    /// Forgets the kept messages, because their memory is needed. A session without a connection ends with that.
    pub(in crate::wire) fn forget_kept(&self) {
        let session = self.session.borrow();
        let Some(session) = session.as_deref() else { return };
        session.unconfirmed.borrow_mut().forget_all();
        if session.is_detached.get() {
            self.close(CloseReason::SessionEnded);
        }
    }

    /// Keeps a message until the client confirms it, if its session is resumable. Returns true if the message is also to be written
    /// now.
    // It becomes a part of `push_special`.
    #[inline(always)]
    pub(super) fn keep(self: &Rc<Self>, frame: &Frame<'_>) -> bool {
        let mut instead = None;
        if let Some(session) = &*self.session.borrow()
            && self.closing.borrow().is_none()
            && let [head, payload] = frame.parts()
            && let [FIN_TEXT | FIN_BINARY, ..] = head
        {
            // Head and payload may be in one slice.
            let first = head[Head::size(head)..].first().or(payload.first());
            if head[0] == FIN_TEXT && first == Some(&(CONTROL as u8)) {
                instead = Some(escaped(&[head, payload].concat()));
            }
            let kept = match &instead {
                Some(bytes) => session.unconfirmed.borrow_mut().push(&Frame::Encoded(bytes)),
                None => session.unconfirmed.borrow_mut().push(frame),
            };
            if !kept && session.is_detached.get() {
                // It has no connection and has lost a message, so it cannot be resumed.
                self.close(CloseReason::SessionEnded);
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

    /// Forgets the first `received` messages, which the client has confirmed.
    pub(crate) fn confirm(&self, received: u64) {
        if let Some(session) = &*self.session.borrow() {
            session.unconfirmed.borrow_mut().confirm(received);
        }
    }

    /// Returns whether a client that has received the first `received` messages can resume the session.
    pub(crate) fn can_resume(&self, received: u64) -> bool {
        let session = self.session.borrow();
        let can = |session: &SessionState| {
            session.greeting.borrow().is_none() && session.unconfirmed.borrow().has_all_after(received)
        };
        self.closing.borrow().is_none() && session.as_deref().is_some_and(can)
    }

    /// From now on, only keeps messages: the connection is lost, or the session is about to be resumed on another one.
    pub(crate) fn detach(&self) {
        self.set_over();
        self.session.borrow().iter().for_each(|session| session.is_detached.set(true));
    }

    /// Ready when the session ends, although it has no connection.
    pub(crate) fn poll_session_ended(&self, cx: &Context<'_>) -> Poll<()> {
        if self.closing.borrow().is_some() {
            return Poll::Ready(());
        }
        self.wait(cx);
        Poll::Pending
    }

    /// Waits until more may be written. The task that closes the connection is not that of the session, if it is resumable.
    pub(super) fn wait_for_release(&self, cx: &Context<'_>) {
        match &*self.session.borrow() {
            Some(session) => _ = session.closing.replace(Some(cx.waker().clone())),
            None => self.wait(cx),
        }
    }

    /// Wakes the task that closes the connection of a session.
    pub(super) fn wake_closing(&self) {
        if let Some(session) = &*self.session.borrow()
            && let Some(waker) = session.closing.take()
        {
            waker.wake();
        }
    }

    /// Returns the reason for which the connection ends, if it does.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        self.closing.borrow().clone()
    }

    /// Takes over the session of another outbox. Sends the greeting, and all messages after the first `received`. Returns false and
    /// does nothing if one of these is lost.
    pub(crate) fn replace(self: &Rc<Self>, other: &Self, received: u64, greeting: &str) -> bool {
        if !other.can_resume(received) {
            return false;
        }
        other.wake_closing();
        let Some(session) = other.session.take() else { return false };
        session.is_detached.set(false);
        self.buffers.kept_messages.replace(session.key, self);
        self.push_control(greeting);
        let mut unconfirmed = session.unconfirmed.borrow_mut();
        unconfirmed.confirm(received);
        self.push_unkept(&Frame::Encoded(unconfirmed.frames()));
        drop(unconfirmed);
        self.set_session(session);
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
    [head.as_ref(), &[CONTROL as u8], payload].concat()
}

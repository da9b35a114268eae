use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use async_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// How this server ends a connection.
pub(crate) fn close(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}

/// What waits to be written to one client, and how its connection is to end.
///
/// The room puts messages in, the connection's task takes them out. Both run on one thread, so nothing here
/// is locked.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: RefCell<VecDeque<Message>>,
    /// The weights of the messages in the queue.
    size: Cell<usize>,
    /// The most bytes that may wait.
    limit: usize,
    /// Set once: the connection ends with this frame.
    ending: RefCell<Option<CloseFrame>>,
    /// Whether the room has closed the connection, and hears nothing more of the client.
    dismissed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether the connection's task is running and looks into the outbox before it sleeps, so that it need
    /// not be woken.
    attended: Cell<bool>,
}

/// A queue keeps room for this many messages while it is empty.
const KEPT: usize = 8;

/// What a message takes beside its content, in bytes and roughly. Without it empty messages would wait for a
/// client without end.
const OVERHEAD: usize = 64;

fn weight(message: &Message) -> usize {
    message.len() + OVERHEAD
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            queue: RefCell::default(),
            size: Cell::new(0),
            limit,
            ending: RefCell::default(),
            dismissed: Cell::new(false),
            waker: RefCell::default(),
            attended: Cell::new(false),
        }
    }

    /// Adds a message. A client for which more waits than may wait is let go instead, as it does not read.
    pub(crate) fn push(&self, message: Message) {
        if self.ending.borrow().is_some() {
            return;
        }
        let size = self.size.get() + weight(&message);
        if size > self.limit {
            self.queue.borrow_mut().clear();
            self.size.set(0);
            self.end(close(CloseCode::Again, "the client does not read fast enough"));
            return;
        }
        self.size.set(size);
        self.queue.borrow_mut().push_back(message);
        self.wake();
    }

    /// Ends the connection once what waits has been written. The first reason counts.
    pub(crate) fn end(&self, frame: CloseFrame) {
        let mut ending = self.ending.borrow_mut();
        if ending.is_none() {
            *ending = Some(frame);
            drop(ending);
            self.wake();
        }
    }

    /// Ends the connection as the room wants it.
    pub(crate) fn dismiss(&self, frame: CloseFrame) {
        self.dismissed.set(true);
        self.end(frame);
    }

    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.get()
    }

    pub(crate) fn pop(&self) -> Option<Message> {
        let mut queue = self.queue.borrow_mut();
        let message = queue.pop_front();
        match &message {
            Some(message) => self.size.set(self.size.get() - weight(message)),
            None => queue.shrink_to(KEPT),
        }
        message
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// How many bytes wait, with what they are kept in.
    pub(crate) fn size(&self) -> usize {
        self.size.get()
    }

    /// How the connection is to end, if it is.
    pub(crate) fn ending(&self) -> Option<CloseFrame> {
        self.ending.borrow().clone()
    }

    /// Ready when there is something to write or the connection is to end.
    pub(crate) fn poll_work(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_empty() { self.poll_ending(cx).map(drop) } else { Poll::Ready(()) }
    }

    /// Ready when the connection is to end.
    pub(crate) fn poll_ending(&self, cx: &Context<'_>) -> Poll<CloseFrame> {
        if let Some(frame) = self.ending() {
            return Poll::Ready(frame);
        }
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Says whether the connection's task is running.
    pub(crate) fn attend(&self, attended: bool) {
        self.attended.set(attended);
    }

    fn wake(&self) {
        if !self.attended.get()
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_in_order() {
        let outbox = Outbox::new(1_000);
        outbox.push(Message::text("a"));
        outbox.push(Message::text("b"));
        assert_eq!(outbox.pop(), Some(Message::text("a")));
        assert_eq!(outbox.pop(), Some(Message::text("b")));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn a_client_that_does_not_read_is_let_go() {
        let outbox = Outbox::new(2 * (OVERHEAD + 5));
        outbox.push(Message::text("12345"));
        outbox.push(Message::text("12345"));
        assert_eq!(outbox.ending(), None);
        outbox.push(Message::text("6"));
        assert_eq!(outbox.ending().map(|frame| frame.code), Some(CloseCode::Again));
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_client_that_does_not_read_empty_messages_is_let_go() {
        let outbox = Outbox::new(1_000);
        for _ in 0..1_000 {
            outbox.push(Message::text(""));
        }
        assert_eq!(outbox.ending().map(|frame| frame.code), Some(CloseCode::Again));
    }

    #[test]
    fn what_has_been_taken_out_waits_no_more() {
        let outbox = Outbox::new(1_000);
        for _ in 0..1_000 {
            outbox.push(Message::text("12345"));
            outbox.push(Message::text(""));
            assert_eq!(outbox.size(), 2 * OVERHEAD + 5);
            outbox.pop();
            outbox.pop();
        }
        assert_eq!(outbox.size(), 0);
        assert_eq!(outbox.ending(), None);
    }

    #[test]
    fn the_first_reason_counts_and_nothing_comes_after_it() {
        let outbox = Outbox::new(10);
        outbox.end(close(CloseCode::Error, "first"));
        outbox.end(close(CloseCode::Away, "second"));
        outbox.dismiss(close(CloseCode::Normal, "third"));
        outbox.push(Message::text("late"));
        assert_eq!(outbox.ending().map(|frame| frame.code), Some(CloseCode::Error));
        assert!(outbox.is_empty());
    }
}

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::epoll::Sockets;

/// All timers of a thread that wait, in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: RefCell<BTreeMap<(Instant, u64), Waker>>,
    /// Tells apart those that are due at the same time.
    count: Cell<u64>,
}

impl Timers {
    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes those that are due.
    pub(super) fn fire(&self) {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().wake();
        }
    }
}

/// Waits for a moment. The result is the moment at which it was due.
#[derive(Debug)]
#[must_use]
pub(crate) struct Timer {
    at: Option<Instant>,
    /// Where it waits, once it has been polled.
    place: Option<(Rc<Sockets>, u64)>,
}

impl Timer {
    pub(crate) fn after(delay: Duration) -> Self {
        // What is too far away never comes.
        Self { at: Instant::now().checked_add(delay), place: None }
    }

    pub(crate) fn at(at: Instant) -> Self {
        Self { at: Some(at), place: None }
    }

    fn leave(&mut self) {
        if let (Some(at), Some((sockets, number))) = (self.at, self.place.take()) {
            sockets.timers.waiting.borrow_mut().remove(&(at, number));
        }
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(at) = self.at else { return Poll::Pending };
        if let Some((sockets, number)) = &self.place {
            // It is there until it is due.
            let mut waiting = sockets.timers.waiting.borrow_mut();
            if let Some(waker) = waiting.get_mut(&(at, *number)) {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            drop(waiting);
            self.place = None;
            return Poll::Ready(at);
        }
        if at <= Instant::now() {
            return Poll::Ready(at);
        }
        let sockets = Sockets::current();
        let number = sockets.timers.count.get();
        sockets.timers.count.set(number + 1);
        sockets.timers.waiting.borrow_mut().insert((at, number), cx.waker().clone());
        self.place = Some((sockets, number));
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
    }
}

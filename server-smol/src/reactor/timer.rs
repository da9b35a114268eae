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
#[derive(Debug)]
pub(super) struct Timers {
    waiting: RefCell<BTreeMap<Key, Waker>>,
    /// Tells apart those that are due at the same time.
    count: Cell<u64>,
    /// Up to when they have been woken.
    fired: Cell<Instant>,
}

type Key = (Instant, u64);

impl Default for Timers {
    fn default() -> Self {
        Self { waiting: RefCell::default(), count: Cell::new(0), fired: Cell::new(Instant::now()) }
    }
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
        self.fired.set(now);
        while let Some(entry) = waiting.first_entry().filter(|entry| entry.key().0 <= now) {
            entry.remove().wake();
        }
    }

    fn add(&self, at: Instant, waker: Waker) -> Key {
        let key = (at, self.count.get());
        self.count.set(key.1 + 1);
        self.waiting.borrow_mut().insert(key, waker);
        key
    }
}

/// Waits for a moment. The result is the moment at which it was due.
#[derive(Debug)]
#[must_use]
pub(crate) struct Timer {
    at: Option<Instant>,
    /// Where it waits, once it has been polled.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    sockets: Rc<Sockets>,
    key: Key,
    /// Whom it wakes. A task's future is polled for many reasons, and this one is rarely among them.
    waker: Waker,
}

impl Timer {
    pub(crate) fn after(delay: Duration) -> Self {
        // What is too far away never comes.
        Self { at: Instant::now().checked_add(delay), place: None }
    }

    pub(crate) fn at(at: Instant) -> Self {
        Self { at: Some(at), place: None }
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(at) = self.at else { return Poll::Pending };
        let Some(Place { sockets, key, waker }) = &mut self.place else {
            if at <= Instant::now() {
                return Poll::Ready(at);
            }
            let sockets = Sockets::current();
            let key = sockets.timers.add(at, cx.waker().clone());
            self.place = Some(Place { sockets, key, waker: cx.waker().clone() });
            return Poll::Pending;
        };
        if at <= sockets.timers.fired.get() {
            self.place = None;
            return Poll::Ready(at);
        }
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
            sockets.timers.waiting.borrow_mut().insert(*key, waker.clone());
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(Place { sockets, key, .. }) = self.place.take() {
            sockets.timers.waiting.borrow_mut().remove(&key);
        }
    }
}

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    iter,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::clock::Clock;

/// The number of timers that are woken in a pass. Thousands of rooms may have theirs at the same time.
const AT_ONCE: usize = 256;

/// All waiting timers of a thread, in the order in which they are due.
#[derive(Debug)]
pub(super) struct Timers {
    clock: Rc<Clock>,
    waiting: RefCell<BTreeMap<Key, Waker>>,
    /// A number that distinguishes timers that are due at the same time.
    count: Cell<u64>,
    /// The time up to which timers have been woken.
    fired: Cell<Instant>,
}

type Key = (Instant, u64);

/// The timers of this thread.
pub(super) mod current_timers {
    use super::*;

    thread_local! {
        static CURRENT: RefCell<Option<Rc<Timers>>> = const { RefCell::new(None) };
    }

    /// Creates the timers of this thread, which use `clock`.
    pub(in crate::reactor) fn enter(clock: &Rc<Clock>) -> Rc<Timers> {
        let timers = Rc::new(Timers::new(Rc::clone(clock)));
        CURRENT.set(Some(Rc::clone(&timers)));
        timers
    }

    pub(in crate::reactor) fn leave() {
        CURRENT.set(None);
    }

    /// # Panics
    /// There is no reactor on this thread.
    pub(super) fn get() -> Rc<Timers> {
        CURRENT
            .with_borrow(|current| current.clone())
            .expect("timers are used where a reactor has been entered")
    }
}

impl Timers {
    fn new(clock: Rc<Clock>) -> Self {
        let fired = Cell::new(clock.now());
        Self { clock, waiting: RefCell::default(), count: Cell::new(0), fired }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the time of the next timer.
    pub(super) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes timers that are due, as many as a pass has time for. Returns true if there are more.
    pub(super) fn fire(&self) -> bool {
        if self.waiting.borrow().is_empty() {
            return false;
        }
        let now = self.clock.now();
        self.fired.set(now);
        // A task that is woken may be dropped, and this drops other timers.
        for waker in iter::from_fn(|| self.take_due(now)).take(AT_ONCE) {
            waker.wake();
        }
        self.next().is_some_and(|at| at <= now)
    }

    fn take_due(&self, now: Instant) -> Option<Waker> {
        let mut waiting = self.waiting.borrow_mut();
        let entry = waiting.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    fn add(&self, at: Instant, waker: Waker) -> Key {
        let key = (at, self.count.get());
        self.count.set(key.1 + 1);
        self.waiting.borrow_mut().insert(key, waker);
        key
    }
}

/// Waits until a point in time. Returns that time.
#[derive(Debug)]
#[must_use]
pub(crate) struct Timer {
    at: Option<Instant>,
    /// Its entry in the thread's timers, after it was polled.
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    timers: Rc<Timers>,
    key: Key,
    /// The task's waker. A task's future is polled for many reasons, rarely for a timer.
    waker: Waker,
}

impl Timer {
    /// Waits for `delay` from now.
    pub(crate) fn after(delay: Duration) -> Self {
        Self::since(current_timers::get().clock.now(), delay)
    }

    /// Waits for `delay` from `begin`. This may be over already.
    pub(crate) fn since(begin: Instant, delay: Duration) -> Self {
        // A time that cannot be represented never comes.
        Self { at: begin.checked_add(delay), entry: None }
    }

    pub(crate) fn at(at: Instant) -> Self {
        Self { at: Some(at), entry: None }
    }
}

impl Future for Timer {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let Some(at) = self.at else { return Poll::Pending };
        let Some(Entry { timers, key, waker }) = &mut self.entry else {
            let timers = current_timers::get();
            if at <= timers.clock.now() {
                return Poll::Ready(at);
            }
            let key = timers.add(at, cx.waker().clone());
            self.entry = Some(Entry { timers, key, waker: cx.waker().clone() });
            return Poll::Pending;
        };
        if at <= timers.fired.get() {
            self.entry = None;
            return Poll::Ready(at);
        }
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
            timers.waiting.borrow_mut().insert(*key, waker.clone());
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(Entry { timers, key, .. }) = self.entry.take() {
            timers.waiting.borrow_mut().remove(&key);
        }
    }
}

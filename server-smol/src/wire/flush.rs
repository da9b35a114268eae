use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, iter,
    rc::Rc,
};

use super::Outbox;

/// The outboxes that have something to write, in three queues: what comes of the messages of those who send little goes first, and
/// what comes of an event with few recipients does not wait behind a message to thousands.
///
/// What has come together for a client in a pass is written with one system call, however many messages it is.
#[derive(Default)]
pub(crate) struct FlushList {
    urgent: RefCell<VecDeque<Rc<Outbox>>>,
    few: RefCell<VecDeque<Rc<Outbox>>>,
    many: RefCell<VecDeque<Rc<Outbox>>>,
    /// True if what is added now is a part of a message to many.
    is_for_many: Cell<bool>,
    /// True if an outbox that is added now goes first, unless it is a part of a message to many.
    is_urgent: Cell<bool>,
}

/// The number of outboxes of each queue that are written in a pass, however many go before them.
const IN_ANY_CASE: usize = 4;

impl FlushList {
    /// Adds an outbox that has something to write, once.
    #[inline(always)]
    pub(super) fn add(&self, outbox: Rc<Outbox>) {
        let queue = match (self.is_for_many.get(), self.is_urgent.get()) {
            (true, _) => &self.many,
            (false, true) => &self.urgent,
            (false, false) => &self.few,
        };
        queue.borrow_mut().push_back(outbox);
    }

    /// Says whether what is added from now on is a part of a message to many.
    pub(crate) fn set_for_many(&self, is_for_many: bool) {
        self.is_for_many.set(is_for_many);
    }

    /// Says whether what is added from now on goes first, unless it is a part of a message to many.
    pub(crate) fn set_urgent(&self, is_urgent: bool) {
        self.is_urgent.set(is_urgent);
    }

    /// Writes what the outbox that is next has, as much as goes in one step. Returns how many bytes that was,
    /// at most, or nothing where there was no outbox.
    #[inline(always)]
    pub(crate) fn flush_next(&self) -> Option<usize> {
        let next = |queue: &RefCell<VecDeque<_>>| queue.borrow_mut().pop_front();
        let next = next(&self.urgent).or_else(|| next(&self.few)).or_else(|| next(&self.many))?;
        Some(next.flush())
    }

    /// Writes a few outboxes of the queues that come last, as the time of this pass is over.
    #[cold]
    pub(crate) fn flush_last(&self) {
        for queue in [&self.few, &self.many] {
            let next = || queue.borrow_mut().pop_front();
            for outbox in iter::from_fn(next).take(IN_ANY_CASE) {
                outbox.flush();
            }
        }
    }

    /// Writes what all outboxes have, as far as their sockets take it.
    #[cold]
    pub(crate) fn flush_all(&self) {
        while self.flush_next().is_some() {}
    }

    pub(crate) fn clear(&self) {
        self.urgent.take();
        self.few.take();
        self.many.take();
    }

    /// Returns whether nobody has anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        [&self.urgent, &self.few, &self.many].iter().all(|queue| queue.borrow().is_empty())
    }

    /// Returns how many wait for a part of messages to many.
    pub(crate) fn many(&self) -> usize {
        self.many.borrow().len()
    }
}

impl fmt::Debug for FlushList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushList")
            .field("urgent", &self.urgent.borrow().len())
            .field("few", &self.few.borrow().len())
            .field("many", &self.many())
            .finish_non_exhaustive()
    }
}

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
};

use super::Outbox;

/// The outboxes that have something to write, in two queues: what comes of an event with few recipients does not wait behind
/// a message to thousands.
///
/// What has come together for a client in a pass is written with one system call, however many messages it is.
#[derive(Default)]
pub(crate) struct FlushList {
    few: RefCell<VecDeque<Rc<Outbox>>>,
    many: RefCell<VecDeque<Rc<Outbox>>>,
    /// Whether what is added now is a part of a message to many.
    is_for_many: Cell<bool>,
}

impl FlushList {
    /// Adds an outbox that has something to write, once.
    #[inline(always)]
    pub(super) fn add(&self, outbox: Rc<Outbox>) {
        let queue = if self.is_for_many.get() { &self.many } else { &self.few };
        queue.borrow_mut().push_back(outbox);
    }

    /// Says whether what is added from now on is a part of a message to many.
    pub(crate) fn set_for_many(&self, is_for_many: bool) {
        self.is_for_many.set(is_for_many);
    }

    /// Writes what the outbox that is next has, as much as goes in one step. Returns how many bytes that was,
    /// at most, or nothing where there was no outbox.
    #[inline(always)]
    pub(crate) fn flush_next(&self) -> Option<usize> {
        let few = self.few.borrow_mut().pop_front();
        let next = few.or_else(|| self.many.borrow_mut().pop_front())?;
        Some(next.flush())
    }

    /// Writes what all outboxes have, as far as their sockets take it.
    #[cold]
    pub(crate) fn flush_all(&self) {
        while self.flush_next().is_some() {}
    }

    pub(crate) fn clear(&self) {
        self.few.take();
        self.many.take();
    }

    /// Returns whether nobody has anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.few.borrow().is_empty() && self.many.borrow().is_empty()
    }

    /// Returns how many wait for a part of messages to many.
    pub(crate) fn many(&self) -> usize {
        self.many.borrow().len()
    }
}

impl fmt::Debug for FlushList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlushList")
            .field("few", &self.few.borrow().len())
            .field("many", &self.many())
            .finish_non_exhaustive()
    }
}

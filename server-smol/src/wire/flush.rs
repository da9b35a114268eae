use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
};

/// Those who have something to write, in two queues: what comes of an event with few recipients does not wait behind a
/// message to thousands.
///
/// What has come together for a client in a pass is written with one system call, however many messages it is.
#[derive(Default)]
pub(crate) struct FlushList {
    few: RefCell<VecDeque<Rc<dyn Flush>>>,
    many: RefCell<VecDeque<Rc<dyn Flush>>>,
    /// Whether what is added now is a part of a message to many.
    is_for_many: Cell<bool>,
}

/// Has something to write.
pub(crate) trait Flush {
    /// Writes what the socket takes, in a step of bounded length. Whoever wants another one adds itself anew.
    fn flush(self: Rc<Self>);
}

impl FlushList {
    /// Adds somebody who has something to write, once.
    pub(crate) fn add(&self, flush: Rc<dyn Flush>) {
        let queue = if self.is_for_many.get() { &self.many } else { &self.few };
        queue.borrow_mut().push_back(flush);
    }

    /// Says whether what is added from now on is a part of a message to many.
    pub(crate) fn set_for_many(&self, is_for_many: bool) {
        self.is_for_many.set(is_for_many);
    }

    /// Writes for the one who is next. Answers whether there was one.
    pub(crate) fn flush_next(&self) -> bool {
        let few = self.few.borrow_mut().pop_front();
        let Some(next) = few.or_else(|| self.many.borrow_mut().pop_front()) else { return false };
        next.flush();
        true
    }

    pub(crate) fn clear(&self) {
        self.few.take();
        self.many.take();
    }

    /// Whether nobody has anything to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.few.borrow().is_empty() && self.many.borrow().is_empty()
    }

    /// How many wait for a part of messages to many.
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

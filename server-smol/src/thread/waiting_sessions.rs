use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
};

use crate::{close::CloseReason, wire::Outbox};

/// The sessions of a thread that have lost their connection, and wait for another one. Their number is limited.
#[derive(Debug)]
pub(crate) struct WaitingSessions {
    /// The outboxes of the sessions, in the order in which they began to wait.
    outboxes: RefCell<BTreeMap<u64, Weak<Outbox>>>,
    last: Cell<u64>,
    limit: usize,
}

/// Removes a session from the waiting ones when it is dropped.
#[derive(Debug)]
pub(crate) struct WaitingSession<'a> {
    sessions: &'a WaitingSessions,
    number: u64,
}

impl WaitingSessions {
    pub(super) fn new(limit: usize) -> Self {
        Self { outboxes: RefCell::default(), last: Cell::new(0), limit: limit.max(1) }
    }

    /// Adds a session until the [`WaitingSession`] is dropped. If there are too many, the one that has waited longest ends.
    pub(crate) fn add(&self, outbox: &Rc<Outbox>) -> WaitingSession<'_> {
        let number = self.last.get() + 1;
        self.last.set(number);
        let mut outboxes = self.outboxes.borrow_mut();
        outboxes.insert(number, Rc::downgrade(outbox));
        if outboxes.len() > self.limit
            && let Some((_, longest)) = outboxes.pop_first()
            && let Some(longest) = longest.upgrade()
        {
            // No client sees the reason.
            longest.close(CloseReason::ClientSilent);
        }
        WaitingSession { sessions: self, number }
    }
}

impl Drop for WaitingSession<'_> {
    fn drop(&mut self) {
        self.sessions.outboxes.borrow_mut().remove(&self.number);
    }
}

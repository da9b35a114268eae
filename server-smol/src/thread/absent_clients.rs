use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
};

use crate::{close::CloseReason, wire::Outbox};

/// The clients of a thread whose connection is lost, and whose sessions wait for them. There are not more than there may be
/// connections.
#[derive(Debug)]
pub(crate) struct AbsentClients {
    /// The clients in the order in which they were lost.
    outboxes: RefCell<BTreeMap<u64, Weak<Outbox>>>,
    last: Cell<u64>,
    most: usize,
}

/// A client's place among the absent ones.
#[derive(Debug)]
pub(crate) struct Absence<'a> {
    clients: &'a AbsentClients,
    number: u64,
}

impl AbsentClients {
    pub(super) fn new(most: usize) -> Self {
        Self { outboxes: RefCell::default(), last: Cell::new(0), most: most.max(1) }
    }

    /// Adds a client until the result is dropped. If there are too many, the session of the one that has been absent for longest
    /// ends.
    pub(crate) fn add(&self, outbox: &Rc<Outbox>) -> Absence<'_> {
        let number = self.last.get() + 1;
        self.last.set(number);
        let mut outboxes = self.outboxes.borrow_mut();
        outboxes.insert(number, Rc::downgrade(outbox));
        if outboxes.len() > self.most
            && let Some((_, longest)) = outboxes.pop_first()
            && let Some(longest) = longest.upgrade()
        {
            longest.close(CloseReason::ClientSilent);
        }
        Absence { clients: self, number }
    }
}

impl Drop for Absence<'_> {
    fn drop(&mut self) {
        self.clients.outboxes.borrow_mut().remove(&self.number);
    }
}

use std::{
    cell::RefCell,
    fmt,
    rc::{Rc, Weak},
};

use slab::Slab;

use crate::{
    close::CloseReason,
    memory::{Need, Reclaim},
};

use super::{Outbox, chunks::Discarded};

/// The clients of a thread whose sockets take no more for now. Only these clients have outboxes with data for longer than one pass.
#[derive(Default)]
pub(crate) struct SlowClients {
    outboxes: RefCell<Slab<Weak<Outbox>>>,
    discarded: RefCell<Discarded>,
}

/// The maximum number of clients that are closed in one step.
const CLOSED: usize = 64;
/// The least number of bytes that is given back in a step, if there is so much: all slow clients are looked at to find the largest.
const LEAST: usize = 1 << 20;
/// The number of chunks that are dropped in one step or in one pass, in about 0.05 ms.
const DROPPED: usize = 1_000;

impl SlowClients {
    pub(super) fn add(&self, outbox: &Rc<Outbox>) -> usize {
        self.outboxes.borrow_mut().insert(Rc::downgrade(outbox))
    }

    pub(super) fn remove(&self, key: usize) {
        self.outboxes.borrow_mut().try_remove(key);
    }

    pub(super) fn discard(&self, discard: impl FnOnce(&mut Discarded)) {
        discard(&mut self.discarded.borrow_mut());
    }

    /// Drops some of what was discarded. Returns true if there was any.
    pub(crate) fn drop_discarded(&self) -> bool {
        self.discarded.borrow_mut().drop_some(DROPPED)
    }

    /// Returns true if nothing that was discarded is left.
    pub(crate) fn is_clear(&self) -> bool {
        self.discarded.borrow().is_empty()
    }

    /// Returns the clients that have most, as many as have so much together: the largest one, and others that have at least half
    /// of that. `size` says how much a client has.
    fn largest(&self, missing: usize, size: impl Fn([usize; 2]) -> usize) -> Vec<Rc<Outbox>> {
        let clients = self.outboxes.borrow();
        let sizes = || {
            let outboxes = clients.iter().filter_map(|(_, outbox)| outbox.upgrade());
            outboxes.filter_map(|outbox| Some((size(outbox.reclaimable()?), outbox)))
        };
        let Some((most, first)) = sizes().max_by_key(|(size, _)| *size).filter(|(size, _)| *size > 0) else {
            return Vec::new();
        };
        let (mut found, mut sum) = (vec![first], most);
        for (size, outbox) in sizes().filter(|(size, _)| *size >= most.div_ceil(2)) {
            if sum >= missing || found.len() == CLOSED {
                break;
            }
            if !Rc::ptr_eq(&outbox, &found[0]) {
                found.push(outbox);
                sum += size;
            }
        }
        found
    }
}

/// Closes the clients for which most waits.
impl Reclaim for SlowClients {
    fn reclaim(&self, Need { missing, .. }: Need) -> bool {
        if self.drop_discarded() {
            return true;
        }
        let missing = missing.max(LEAST);
        let abandoned = self.largest(missing, |[abandoned, _]| abandoned);
        abandoned.iter().for_each(|outbox| outbox.abandon(CloseReason::ClientTooSlow));
        if abandoned.is_empty() {
            // What is left are frames that have been begun.
            let cut_off = self.largest(missing, |[_, all]| all);
            cut_off.iter().for_each(|outbox| outbox.cut_off(CloseReason::ClientTooSlow));
            return !cut_off.is_empty();
        }
        self.drop_discarded();
        true
    }
}

impl fmt::Debug for SlowClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlowClients").field(&self.outboxes.borrow().len()).finish()
    }
}

use std::{
    cell::RefCell,
    fmt,
    rc::{Rc, Weak},
};

use slab::Slab;

use crate::{close::CloseReason, memory::Reclaim};

use super::Outbox;

/// The clients of a thread whose sockets take no more for now. Only these clients have outboxes with data for longer than one pass.
#[derive(Default)]
pub(crate) struct SlowClients(RefCell<Slab<Weak<Outbox>>>);

impl SlowClients {
    pub(super) fn add(&self, outbox: &Rc<Outbox>) -> usize {
        self.0.borrow_mut().insert(Rc::downgrade(outbox))
    }

    pub(super) fn remove(&self, key: usize) {
        self.0.borrow_mut().try_remove(key);
    }
}

/// Closes the client for which most waits.
impl Reclaim for SlowClients {
    fn reclaim(&self) -> bool {
        let largest = {
            let clients = self.0.borrow();
            let outboxes = clients.iter().filter_map(|(_, outbox)| outbox.upgrade());
            let sizes = outboxes.filter_map(|outbox| Some((outbox.reclaimable()?, outbox)));
            sizes.filter(|(size, _)| *size > 0).max_by_key(|(size, _)| *size)
        };
        let Some((size, outbox)) = largest else { return false };
        log::debug!("a client for which {size} bytes waited is closed, as the server has no memory left");
        outbox.abandon(CloseReason::ClientTooSlow);
        true
    }
}

impl fmt::Debug for SlowClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SlowClients").field(&self.0.borrow().len()).finish()
    }
}

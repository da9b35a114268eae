use std::{
    cell::RefCell,
    fmt,
    rc::{Rc, Weak},
};

use slab::Slab;

use crate::memory::{Need, Reclaim};

use super::Outbox;

/// The clients of a thread with resumable sessions, for which messages are kept until they are confirmed.
#[derive(Default)]
pub(crate) struct KeptMessages(RefCell<Slab<Weak<Outbox>>>);

impl KeptMessages {
    pub(super) fn add(&self, outbox: &Rc<Outbox>) -> usize {
        self.0.borrow_mut().insert(Rc::downgrade(outbox))
    }

    /// Notes that another outbox keeps the messages.
    pub(super) fn replace(&self, key: usize, outbox: &Rc<Outbox>) {
        if let Some(current) = self.0.borrow_mut().get_mut(key) {
            *current = Rc::downgrade(outbox);
        }
    }

    pub(super) fn remove(&self, key: usize) {
        self.0.borrow_mut().try_remove(key);
    }
}

/// Forgets the messages of the client for which most are kept. If it has not received them, it cannot resume its session.
impl Reclaim for KeptMessages {
    fn reclaim(&self, _: Need) -> bool {
        let outboxes = self.0.borrow();
        let outboxes = outboxes.iter().filter_map(|(_, outbox)| outbox.upgrade());
        let most = outboxes.map(|outbox| (outbox.kept(), outbox)).max_by_key(|(kept, _)| *kept);
        let Some((_, outbox)) = most.filter(|(kept, _)| *kept > 0) else { return false };
        outbox.forget_kept();
        true
    }
}

impl fmt::Debug for KeptMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptMessages").field(&self.0.borrow().len()).finish()
    }
}

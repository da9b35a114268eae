use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
};

use crate::{
    journal::{Journal, Ticket},
    memory::{Charge, Ledger},
};

use super::{FlushList, Outbox};

/// Holds back what is sent to clients until the events that it comes from are on the disk.
///
/// All that is sent in a pass is held back together with the journal's entries of that pass. A client gets everything in order, so
/// pings and closes are held back as well.
pub(crate) struct Gate {
    journal: Rc<Journal>,
    /// The outboxes to which something was added in this pass.
    changed: RefCell<Changed>,
    held_back: RefCell<VecDeque<HeldBack>>,
    /// The number of outboxes in it.
    held_back_outboxes: Cell<usize>,
    /// The memory of entries that may not be on the disk. The journal's thread copies them.
    charge: RefCell<Charge>,
}

/// Outboxes, and for each the number of bytes that have been added to it in all. This is known when the pass ends.
type Changed = Vec<(Rc<Outbox>, u64)>;

/// The output of a pass.
struct HeldBack {
    /// The entries that have to be on the disk before.
    ticket: Ticket,
    outboxes: Changed,
}

/// The number of outboxes of all passes beyond which the thread waits for the disk: some 4 MiB.
const MANY: usize = 1 << 18;

/// The bytes of entries that may wait for the disk. If there are more, the thread waits, too.
const MANY_BYTES: usize = 8 << 20;

/// The number of outboxes for which memory is kept between two passes.
const KEPT: usize = 1 << 10;

impl Gate {
    pub(crate) fn new(journal: Rc<Journal>, ledger: &Rc<Ledger>) -> Self {
        Self {
            journal,
            changed: RefCell::default(),
            held_back: RefCell::default(),
            held_back_outboxes: Cell::new(0),
            charge: RefCell::new(ledger.empty_charge()),
        }
    }

    /// Notes that something has been added to an outbox in this pass.
    pub(super) fn add(&self, outbox: Rc<Outbox>) {
        self.changed.borrow_mut().push((outbox, 0));
    }

    /// Ends a pass: hands its entries to the journal, and lets those outboxes be written whose entries are on the disk.
    pub(crate) fn end_pass(&self, flush: &FlushList) {
        let ticket = self.journal.hand_over();
        let waiting = self.journal.waiting_bytes();
        self.charge.borrow_mut().set_taken(2 * waiting);
        let mut is_full = waiting > MANY_BYTES;
        let mut outboxes = self.changed.take();
        if !outboxes.is_empty() {
            for (outbox, bytes) in &mut outboxes {
                is_full |= outbox.is_held_back_half();
                *bytes = outbox.seal();
            }
            let all = self.held_back_outboxes.get() + outboxes.len();
            self.held_back_outboxes.set(all);
            is_full |= all > MANY;
            self.held_back.borrow_mut().push_back(HeldBack { ticket, outboxes });
        }
        if is_full {
            // The clients of this thread would have to wait in any case.
            self.journal.wait(ticket);
        }
        self.release(flush);
        self.journal.wake_tasks();
    }

    fn release(&self, flush: &FlushList) {
        let durable = self.journal.durable();
        let mut held_back = self.held_back.borrow_mut();
        while held_back.front().is_some_and(|held_back| held_back.ticket <= durable)
            && let Some(HeldBack { mut outboxes, .. }) = held_back.pop_front()
        {
            self.held_back_outboxes.set(self.held_back_outboxes.get() - outboxes.len());
            for (outbox, bytes) in outboxes.drain(..) {
                outbox.release(bytes, flush);
            }
            // The next pass needs one.
            let mut changed = self.changed.borrow_mut();
            if changed.capacity() < outboxes.capacity() && changed.is_empty() && outboxes.capacity() <= KEPT {
                *changed = outboxes;
            }
        }
    }

    /// Forgets everything, as the thread ends.
    pub(crate) fn clear(&self) {
        self.changed.take();
        self.held_back.take();
        self.held_back_outboxes.set(0);
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("journal", &self.journal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::RoomNumber;

    #[test]
    fn what_waits_for_the_disk_is_charged() {
        let (journal, set_durable) = Journal::for_tests();
        let (journal, ledger) = (Rc::new(journal), Ledger::new(usize::MAX));
        let (gate, flush) = (Gate::new(Rc::clone(&journal), &ledger), FlushList::default());
        let mut charged = Vec::new();
        for _ in 0..2 {
            journal.add(|entries| entries.snapshot(RoomNumber(1), None, &[0; 1 << 20]));
            gate.end_pass(&flush);
            charged.push(ledger.used());
        }
        assert!(charged[0] >= 2 << 20 && charged[1] == 2 * charged[0], "{charged:?}");
        for (durable, left) in [(1, charged[0]), (2, 0)] {
            set_durable(durable);
            gate.end_pass(&flush);
            assert_eq!(ledger.used(), left);
        }
    }
}

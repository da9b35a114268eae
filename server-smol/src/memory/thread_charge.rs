use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use super::{Ledger, OutOfMemory, Purpose};

thread_local! {
    /// The ledger of this thread.
    static CURRENT: RefCell<Weak<Ledger>> = const { RefCell::new(Weak::new()) };
}

/// Bytes that are charged to the ledger of whichever thread it is on. In contrast to a [`Charge`](super::Charge), it can be sent to
/// another thread, once it is [released](Self::release).
///
/// On a thread without a ledger, nothing is charged.
#[derive(Debug, Default)]
pub(crate) struct ThreadCharge(usize);

/// Returns the ledger of this thread. A thread that ends may have none any more.
fn current() -> Option<Rc<Ledger>> {
    CURRENT.try_with(|current| current.borrow().upgrade()).ok().flatten()
}

impl Ledger {
    /// Makes this the ledger of this thread.
    pub(crate) fn enter(self: &Rc<Self>) {
        CURRENT.set(Rc::downgrade(self));
    }
}

impl ThreadCharge {
    /// Changes the charge to `bytes`.
    ///
    /// # Errors
    /// The charge grows, and does not fit. It stays as it was.
    pub(crate) fn set(&mut self, bytes: usize) -> Result<(), OutOfMemory> {
        let Some(ledger) = current() else { return Ok(()) };
        if bytes > self.0 {
            ledger.add(bytes - self.0, Purpose::New)?;
        } else {
            ledger.give_back(self.0 - bytes);
        }
        self.0 = bytes;
        Ok(())
    }

    /// Gives back what is charged, before it is sent to another thread.
    pub(crate) fn release(&mut self) {
        if self.0 > 0
            && let Some(ledger) = current()
        {
            ledger.give_back(self.0);
        }
        self.0 = 0;
    }
}

impl Drop for ThreadCharge {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_charge_is_of_the_thread_that_it_is_on() {
        let mut charge = ThreadCharge::default();
        charge.set(10).unwrap();
        let here = Ledger::new(160);
        here.enter();
        charge.set(100).unwrap();
        assert_eq!((charge.set(150), here.used()), (Err(OutOfMemory), 100));
        charge.set(20).unwrap();
        assert_eq!(here.used(), 20);
        charge.release();
        assert_eq!(here.used(), 0);
        let there = thread::spawn(move || {
            let there = Ledger::new(160);
            there.enter();
            charge.set(30).unwrap();
            let used = there.used();
            drop(charge);
            (used, there.used())
        });
        assert_eq!(there.join().unwrap(), (30, 0));
        // A thread that ends drops its ledger first.
        let mut late = ThreadCharge::default();
        late.set(10).unwrap();
        drop(here);
        drop(late);
    }
}

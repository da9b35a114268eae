use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

/// The most failures that are kept with their words.
const KEPT: usize = 20;

/// Counts what clients have done, and keeps what has gone wrong.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: RefCell<BTreeMap<&'static str, u64>>,
    /// The messages that healthy clients have heard, each of which was the next one.
    pub(crate) heard: Cell<u64>,
    pub(crate) resumptions: Cell<u64>,
    failures: RefCell<Vec<String>>,
    failed: Cell<u64>,
}

impl Tally {
    pub(crate) fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    /// Notes that a promise to a client is broken.
    pub(crate) fn fail(&self, what: String) {
        self.failed.set(self.failed.get() + 1);
        let mut failures = self.failures.borrow_mut();
        if failures.len() < KEPT {
            failures.push(what);
        }
    }

    /// Returns how often each was done.
    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.borrow().clone()
    }

    /// Returns what has gone wrong.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.failures.borrow().clone();
        let more = self.failed.get() - failures.len() as u64;
        if more > 0 {
            failures.push(format!("and {more} more like these"));
        }
        failures
    }
}

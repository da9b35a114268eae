use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// The time that something may take within one pass of the event loop.
///
/// Work is counted in units of one to two microseconds, and the clock is read only after some of them: most passes are over
/// before that.
#[derive(Debug)]
pub(crate) struct Budget {
    time: Duration,
    /// The number of units between two looks at the clock.
    step: u32,
    units: Cell<u32>,
    /// The time at which the clock was read for the first time.
    begin: Cell<Option<Instant>>,
    is_over: Cell<bool>,
}

impl Budget {
    pub(crate) fn new(time: Duration, step: u32) -> Self {
        Self { time, step, units: Cell::new(0), begin: Cell::new(None), is_over: Cell::new(false) }
    }

    /// Begins anew.
    pub(crate) fn reset(&self) {
        self.units.set(0);
        self.begin.set(None);
        self.is_over.set(false);
    }

    /// Takes note of work.
    pub(crate) fn spend(&self, units: u32) {
        let spent = self.units.get().saturating_add(units);
        self.units.set(spent);
        if spent >= self.step {
            self.look();
        }
    }

    /// Begins to measure the time, unless that has begun.
    pub(crate) fn begin(&self) {
        if self.begin.get().is_none() {
            self.look();
        }
    }

    /// Looks at the clock.
    pub(crate) fn look(&self) {
        self.units.set(0);
        let now = Instant::now();
        match self.begin.get() {
            Some(begin) => self.is_over.set(self.is_over.get() || now.duration_since(begin) >= self.time),
            None => self.begin.set(Some(now)),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_no_time_is_over_after_two_looks_at_the_clock() {
        let budget = Budget::new(Duration::ZERO, 10);
        for _ in 0..2 {
            budget.spend(9);
            assert!(!budget.is_over() && budget.begin.get().is_none(), "the clock is read after 10 units");
            budget.spend(1);
            assert!(!budget.is_over() && budget.begin.get().is_some());
            budget.spend(10);
            assert!(budget.is_over());
            budget.reset();
        }
    }
}

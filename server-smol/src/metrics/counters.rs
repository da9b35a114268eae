use std::{cell::Cell, time::Instant};

use super::{Count, Histogram, Snapshot, labelled::Labelled};

/// The number of counts.
pub(super) const COUNTS: usize = Count::Hibernations as usize + 1;

/// One in so many events is measured: to read the clock takes longer than to count. It is a prime number, so that events that
/// alternate are all measured at times.
const SAMPLED: u32 = 61;

/// The counts of a thread since its start.
#[derive(Debug)]
pub(crate) struct Metrics {
    counts: [Cell<u64>; COUNTS],
    /// The number of events until the next one that is measured.
    until_sample: Cell<u32>,
    /// The times that this number has come to zero.
    rounds: Cell<u64>,
    /// The room whose event is being measured, and the beginning of the event.
    sample: Cell<Option<(usize, Instant)>>,
    /// The time from the beginning of an event to its end, in nanoseconds, and its fuel.
    event_time: Histogram,
    event_fuel: Histogram,
    /// The connections that have ended, by the reason.
    closes: Labelled,
    /// The requests and connections that were refused, by the reason.
    refusals: Labelled,
    /// The rooms that have failed, by the kind of the failure.
    failures: Labelled,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            counts: Default::default(),
            until_sample: Cell::new(SAMPLED),
            rounds: Cell::default(),
            sample: Cell::default(),
            event_time: Histogram::default(),
            event_fuel: Histogram::default(),
            closes: Labelled::default(),
            refusals: Labelled::default(),
            failures: Labelled::default(),
        }
    }

    /// Counts so many.
    #[inline]
    pub(crate) fn add(&self, count: Count, number: usize) {
        let cell = &self.counts[count as usize];
        cell.set(cell.get().wrapping_add(number as u64));
    }

    /// Counts an event that begins. Returns true if it is to be measured.
    #[inline]
    pub(crate) fn begin_event(&self) -> bool {
        let left = self.until_sample.get() - 1;
        self.until_sample.set(left);
        left == 0
    }

    /// Begins to measure an event of a room, unless another one is being measured.
    #[cold]
    pub(crate) fn begin_sample(&self, room: usize) {
        self.until_sample.set(SAMPLED);
        self.rounds.set(self.rounds.get() + 1);
        if self.sample.get().is_none() {
            self.sample.set(Some((room, Instant::now())));
        }
    }

    /// Notes the time of an event that is over, and its fuel, if it is the one that is measured.
    pub(crate) fn end_sample(&self, room: usize, fuel: impl FnOnce() -> Option<u64>) {
        if let Some((sampled, begun)) = self.sample.get()
            && sampled == room
        {
            self.sample.set(None);
            self.event_time.add_time(begun.elapsed());
            fuel().into_iter().for_each(|fuel| self.event_fuel.add(fuel));
        }
    }

    /// Counts a connection that ends for this reason.
    pub(crate) fn close(&self, reason: &'static str) {
        self.closes.add(reason);
    }

    /// Counts a request or a connection that is refused for this reason.
    pub(crate) fn refuse(&self, reason: &'static str) {
        self.refusals.add(reason);
    }

    /// Counts a room that fails.
    pub(crate) fn fail(&self, kind: &'static str) {
        self.failures.add(kind);
    }

    /// Returns all counts up to now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let begun = u64::from(SAMPLED - self.until_sample.get());
        Snapshot {
            counts: self.counts.each_ref().map(Cell::get),
            events: self.rounds.get() * u64::from(SAMPLED) + begun,
            event_time: self.event_time.distribution(),
            event_fuel: self.event_fuel.distribution(),
            closes: self.closes.counts(),
            refusals: self.refusals.counts(),
            failures: self.failures.counts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_counted_and_one_in_some_is_measured() {
        let metrics = Metrics::new();
        for number in 1..=200 {
            if metrics.begin_event() {
                metrics.begin_sample(1);
            }
            metrics.end_sample(1, || Some(number));
            metrics.end_sample(2, || unreachable!("the event of another room is not measured"));
            {}
            let snapshot = metrics.snapshot();
            assert_eq!(snapshot.events, number);
            assert_eq!(snapshot.event_fuel.count(), number / u64::from(SAMPLED));
        }
    }
}

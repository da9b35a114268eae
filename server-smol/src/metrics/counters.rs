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
    samples: Cell<u64>,
    /// The time from the beginning of an event to its end, in nanoseconds, and its fuel.
    event_time: Histogram,
    event_fuel: Histogram,
    /// The connections that have ended, by the reason.
    closes: Labelled,
    /// The rooms that have failed, by the kind of the failure.
    failures: Labelled,
}

/// A measurement of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    begun: Instant,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            counts: Default::default(),
            until_sample: Cell::new(SAMPLED),
            samples: Cell::default(),
            event_time: Histogram::default(),
            event_fuel: Histogram::default(),
            closes: Labelled::default(),
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

    /// Begins to measure an event.
    #[cold]
    pub(crate) fn begin_sample(&self) -> Sample {
        self.until_sample.set(SAMPLED);
        self.samples.set(self.samples.get() + 1);
        Sample { begun: Instant::now() }
    }

    /// Notes the time of an event that is over, and its fuel.
    pub(crate) fn end_sample(&self, sample: Sample, fuel: Option<u64>) {
        self.event_time.add_time(sample.begun.elapsed());
        fuel.into_iter().for_each(|fuel| self.event_fuel.add(fuel));
    }

    /// Counts a connection that ends for this reason.
    pub(crate) fn close(&self, reason: &'static str) {
        self.closes.add(reason);
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
            events: self.samples.get() * u64::from(SAMPLED) + begun,
            event_time: self.event_time.distribution(),
            event_fuel: self.event_fuel.distribution(),
            closes: self.closes.counts(),
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
                let sample = metrics.begin_sample();
                metrics.end_sample(sample, Some(number));
            }
            let snapshot = metrics.snapshot();
            assert_eq!(snapshot.events, number);
            assert_eq!(snapshot.event_fuel.count(), number / u64::from(SAMPLED));
        }
    }
}

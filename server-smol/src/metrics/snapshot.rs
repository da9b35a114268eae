use std::ops::AddAssign;

use super::{
    Count, Distribution,
    counters::COUNTS,
    labelled::{self, LabelledCounts},
};

/// The counts of a thread, or of several.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(super) counts: [u64; COUNTS],
    pub(crate) events: u64,
    /// In nanoseconds.
    pub(crate) event_time: Distribution,
    pub(crate) event_fuel: Distribution,
    pub(crate) closes: LabelledCounts,
    pub(crate) refusals: LabelledCounts,
    pub(crate) failures: LabelledCounts,
}

impl Snapshot {
    pub(crate) fn get(&self, count: Count) -> u64 {
        self.counts[count as usize]
    }
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, other)| *count += other);
        self.events += other.events;
        self.event_time += other.event_time;
        self.event_fuel += other.event_fuel;
        for (label, count) in other.closes {
            labelled::add(&mut self.closes, label, count);
        }
        for (label, count) in other.refusals {
            labelled::add(&mut self.refusals, label, count);
        }
        for (label, count) in other.failures {
            labelled::add(&mut self.failures, label, count);
        }
    }
}

use std::{cell::Cell, time::Duration};

use super::Thread;
#[cfg(feature = "metrics")]
use super::tasks::Tasks;

/// Counts what there is on a thread.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// The number of clients in the rooms of the thread.
    pub(crate) clients: Cell<usize>,
    /// The number of them that are closed together as the server shuts down.
    pub(crate) leaving: Cell<usize>,
    /// The tasks of rooms, sessions and requests.
    #[cfg(feature = "metrics")]
    pub(crate) tasks: Tasks,
    /// The times of the event loop's passes, if they are measured.
    pub(crate) passes: Passes,
}

/// The times of an event loop's passes, in the processor's time.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// The number of passes that took up to 2^n µs, and more than half of that.
    counts: [Cell<u64>; 24],
    longest: Cell<Duration>,
}

impl Passes {
    fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let index = (u64::BITS - micros.leading_zeros()) as usize;
        let count = &self.counts[index.min(self.counts.len() - 1)];
        count.set(count.get() + 1);
        self.longest.set(self.longest.get().max(time));
    }

    pub(crate) fn longest(&self) -> Duration {
        self.longest.get()
    }

    /// Returns how long 99 of 100 passes took at most, in µs, rounded up to a power of two. Nothing where none has been
    /// measured.
    pub(crate) fn p99_micros(&self) -> Option<u64> {
        let all: u64 = self.counts.iter().map(Cell::get).sum();
        let mut left = (all > 0).then_some(all / 100)?;
        let index = self.counts.iter().enumerate().rev().find_map(|(index, count)| {
            let over = count.get() > left;
            left = left.saturating_sub(count.get());
            over.then_some(index)
        });
        index.map(|index| 1 << index)
    }
}

/// Measures passes, where that is wanted: it takes a system call for each.
pub(super) struct PassMeter {
    begin: Option<Duration>,
}

impl PassMeter {
    pub(super) fn new(thread: &Thread) -> Self {
        Self { begin: thread.settings.measure_passes.then(processor_time) }
    }

    pub(super) fn end_pass(&mut self, thread: &Thread) {
        if let Some(begin) = &mut self.begin {
            let now = processor_time();
            thread.stats.passes.add(now.saturating_sub(*begin));
            *begin = now;
        }
    }
}

/// Returns how long this thread has had the processor.
#[cfg(unix)]
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns how long this thread has had the processor, where systems do not say.
#[cfg(not(unix))]
fn processor_time() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_one_in_a_hundred_passes_are_shorter_than_what_is_said() {
        let passes = Passes::default();
        assert_eq!(passes.p99_micros(), None);
        for _ in 0..200 {
            passes.add(Duration::from_micros(100));
        }
        passes.add(Duration::from_micros(1_000));
        assert_eq!((passes.p99_micros(), passes.longest()), (Some(128), Duration::from_millis(1)));
        passes.add(Duration::from_micros(900));
        passes.add(Duration::from_micros(900));
        assert_eq!(passes.p99_micros(), Some(1_024));
    }
}

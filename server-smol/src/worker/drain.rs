use std::{rc::Weak, time::Duration};

use stateroom_core::engine::EngineFactory;

use crate::{close::CloseReason, reactor::Timer};

use super::Worker;

/// The time between two batches of clients that are closed.
const STEP: Duration = Duration::from_millis(100);

impl<F: EngineFactory> Worker<F> {
    /// Closes all clients for this reason, in batches that are spread evenly over `time`. Returns earlier if nobody is left.
    ///
    /// Rooms are closed one after the other, so that the clients of one room come together again soon.
    pub(super) async fn drain(&self, reason: &CloseReason, time: Duration) {
        // Nobody comes any more, so these are all.
        let clients: Vec<_> = self.registry.outboxes();
        let begin = self.thread.clock.now();
        // It is at most a year.
        let steps = (time.as_millis() / STEP.as_millis()).max(1) as usize;
        let mut closed = 0;
        for step in 1..=steps {
            let end = closed_after(step, steps, clients.len());
            let batch = clients.get(closed..end).unwrap_or_default();
            closed = end;
            self.thread.stats.leaving.set(batch.len());
            batch.iter().filter_map(Weak::upgrade).for_each(|outbox| outbox.close(reason.clone()));
            let next = begin + STEP * u32::try_from(step).unwrap_or(u32::MAX);
            Timer::at(next).await;
            if self.is_deserted() {
                break;
            }
        }
    }
}

/// Returns how many of `all` clients are closed after so many steps.
fn closed_after(step: usize, steps: usize, all: usize) -> usize {
    (step as u128 * all as u128).div_ceil(steps as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_spread_evenly_and_the_last_one_is_the_rest() {
        let closed = |steps, all| (1..=steps).map(|step| closed_after(step, steps, all)).collect::<Vec<_>>();
        assert_eq!(closed(1, 500), [500]);
        assert_eq!(closed(5, 10), [2, 4, 6, 8, 10]);
        assert_eq!(closed(4, 2), [1, 1, 2, 2]);
        assert_eq!(closed(3, 0), [0, 0, 0]);
        for (steps, all) in [(580, 10_000), (7, 500), (100, 99)] {
            let closed = closed(steps, all);
            let largest = closed.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(largest <= Some(all.div_ceil(steps)), "{steps} {all}");
            assert_eq!(closed.last(), Some(&all));
        }
    }
}

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// How many lines a room may write to the log in a second. The events that ask for them are limited one by
/// one, and come as fast as there is time for: the log would fill the disk.
pub(crate) const LINES_A_SECOND: u32 = 100;

/// Counts the lines that a room writes to the log.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    /// When the present second began.
    began: Cell<Option<Instant>>,
    /// How many lines there were since, those included that were dropped.
    lines: Cell<u32>,
}

impl LogBudget {
    /// Whether one more line may be written; if so, how many were dropped before it.
    pub(crate) fn admit(&self, now: Instant) -> Option<u32> {
        let within = |began: Instant| now.saturating_duration_since(began) < Duration::from_secs(1);
        if !self.began.get().is_some_and(within) {
            self.began.set(Some(now));
            return Some(self.lines.replace(1).saturating_sub(LINES_A_SECOND));
        }
        self.lines.set(self.lines.get().saturating_add(1));
        (self.lines.get() <= LINES_A_SECOND).then_some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_lines_a_second_are_written_and_the_rest_is_counted() {
        let (budget, begin) = (LogBudget::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        for _ in 0..LINES_A_SECOND {
            assert_eq!(budget.admit(at(0)), Some(0));
        }
        for ms in [0, 1, 999] {
            assert_eq!(budget.admit(at(ms)), None);
        }
        assert_eq!(budget.admit(at(1_000)), Some(3));
        assert_eq!(budget.admit(at(1_001)), Some(0));
        assert_eq!(budget.admit(at(9_000)), Some(0));
    }
}

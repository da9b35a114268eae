use std::time::{Duration, Instant};

use super::fill::Fill;

/// The budget of the whole process for one second of log, errors and warnings included. Without it, a log can
/// fill a disk, and wear out the flash memory of a small machine.
pub(crate) const A_SECOND: Fill = Fill { lines: 1_000, bytes: 256 << 10 };

const SECOND: Duration = Duration::from_secs(1);

/// Counts what is written to the log in a second.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    /// The time at which the current second began.
    began: Option<Instant>,
    spent: Fill,
    /// The lines that were dropped and are still to be reported.
    dropped: u64,
}

impl Budget {
    /// Takes the budget for a line. If there is not enough, returns false and counts the line as dropped.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize, is_error: bool) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= SECOND) {
            self.began = Some(now);
            self.spent = Fill::default();
        }
        let is_admitted = self.spent.add(bytes, is_error, A_SECOND);
        self.dropped += u64::from(!is_admitted);
        is_admitted
    }

    /// Returns when it is time to report what was dropped, if anything was: at the end of the second.
    pub(crate) fn report_due(&self) -> Option<Instant> {
        self.began.filter(|_| self.dropped > 0).map(|began| began + SECOND)
    }

    /// Returns how many lines were dropped since that was last reported, if any were.
    pub(crate) fn report(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.dropped)).filter(|dropped| *dropped > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a clock that counts milliseconds.
    fn clock() -> impl Fn(u64) -> Instant {
        let begin = Instant::now();
        move |ms| begin + Duration::from_millis(ms)
    }

    #[test]
    fn lines_and_bytes_of_a_second_are_limited_and_the_next_second_has_as_many() {
        let (mut budget, at) = (Budget::default(), clock());
        for second in [0, 1_000, 7_500] {
            let admitted = (0..2_000).filter(|_| budget.spend(at(second), 1, false)).count();
            assert_eq!(admitted, 875);
            assert_eq!(budget.report_due(), Some(at(second + 1_000)));
            assert_eq!((budget.report(), budget.report()), (Some(1_125), None));
            assert_eq!(budget.report_due(), None);
        }
        assert!(budget.spend(at(9_000), 200 << 10, false));
        assert!(!budget.spend(at(9_999), 25 << 10, false));
        assert!(budget.spend(at(10_000), 25 << 10, false));
    }

    #[test]
    fn a_flood_of_other_lines_leaves_an_eighth_to_errors() {
        let (mut budget, at) = (Budget::default(), clock());
        while budget.spend(at(0), 1, false) {}
        let errors = (0..1_000).filter(|_| budget.spend(at(1), 1, true)).count();
        assert_eq!(errors, 125);
    }
}

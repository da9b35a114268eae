use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

/// The maximum number of lines that a room may write to the log in a second, and that all rooms of a thread may write
/// together. Each event is limited, but the number of events is not: the log would fill the disk.
const LINES_OF_A_ROOM: u32 = 100;
const LINES_OF_A_THREAD: u32 = 1_000;

/// The maximum size of those lines together, in bytes.
const BYTES_OF_A_ROOM: u32 = 64 << 10;
const BYTES_OF_A_THREAD: u32 = 256 << 10;

/// Limits what is written to the log in a second.
#[derive(Debug)]
pub(super) struct LogBudget {
    most_lines: u32,
    most_bytes: u32,
    /// The time at which the present second began.
    began: Cell<Option<Instant>>,
    /// The lines since then, those included that were dropped, and the bytes of those that were not.
    lines: Cell<u32>,
    bytes: Cell<u32>,
    /// The lines that were dropped and are still to be reported.
    dropped: Cell<u32>,
}

impl LogBudget {
    pub(super) fn of_a_room() -> Self {
        Self::new(LINES_OF_A_ROOM, BYTES_OF_A_ROOM)
    }

    pub(super) fn of_a_thread() -> Self {
        Self::new(LINES_OF_A_THREAD, BYTES_OF_A_THREAD)
    }

    fn new(most_lines: u32, most_bytes: u32) -> Self {
        let (began, lines, bytes, dropped) = Default::default();
        Self { most_lines, most_bytes, began, lines, bytes, dropped }
    }

    /// Formats a line and returns it, or counts it as dropped. Beyond the number of lines nothing is formatted.
    pub(super) fn admit(&self, now: Instant, format: impl FnOnce() -> String) -> Option<String> {
        let within = |began: Instant| now.saturating_duration_since(began) < Duration::from_secs(1);
        if !self.began.get().is_some_and(within) {
            self.began.set(Some(now));
            self.lines.set(0);
            self.bytes.set(0);
        }
        let lines = self.lines.get().saturating_add(1);
        self.lines.set(lines);
        let line = (lines <= self.most_lines).then(format).and_then(|line| {
            let bytes = u32::try_from(line.len()).ok().and_then(|size| self.bytes.get().checked_add(size));
            self.bytes.set(bytes.filter(|bytes| *bytes <= self.most_bytes)?);
            Some(line)
        });
        if line.is_none() {
            self.dropped.set(self.dropped.get().saturating_add(1));
        }
        line
    }

    /// Returns how many lines were dropped since that was last reported.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped.get()
    }

    /// Returns how many lines were dropped since that was last reported, if any were. They are reported then.
    pub(super) fn take_dropped(&self) -> Option<u32> {
        Some(self.dropped.take()).filter(|dropped| *dropped > 0)
    }
}

/// Formats the budget for the log itself.
impl fmt::Display for LogBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lines and {} KiB a second", self.most_lines, self.most_bytes >> 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a budget, and a clock that counts milliseconds.
    fn budget() -> (LogBudget, impl Fn(u64) -> Instant) {
        let begin = Instant::now();
        (LogBudget::of_a_room(), move |ms| begin + Duration::from_millis(ms))
    }

    #[test]
    fn a_hundred_lines_a_second_are_written_and_the_rest_is_counted() {
        let (budget, at) = budget();
        let admit = |ms| budget.admit(at(ms), || "a".to_owned()).is_some();
        for _ in 0..LINES_OF_A_ROOM {
            assert!(admit(0));
        }
        for ms in [0, 1, 999] {
            assert!(!admit(ms));
        }
        assert!(admit(1_000) && admit(1_001) && admit(9_000));
        assert_eq!((budget.dropped(), budget.take_dropped(), budget.take_dropped()), (3, Some(3), None));
    }

    #[test]
    fn lines_beyond_the_bytes_of_a_second_are_dropped_and_shorter_ones_are_not() {
        let (budget, at) = budget();
        let admit = |ms, size: u32| budget.admit(at(ms), || "a".repeat(size as usize)).is_some();
        assert!(admit(0, BYTES_OF_A_ROOM - 10));
        assert!(!admit(0, 11) && admit(0, 10) && !admit(999, 1));
        // Too long for any second.
        assert!(!admit(1_000, BYTES_OF_A_ROOM + 1) && admit(2_000, 1));
        assert_eq!(budget.dropped(), 3);
    }

    #[test]
    fn beyond_the_lines_of_a_second_nothing_is_formatted() {
        let (budget, at) = budget();
        for _ in 0..LINES_OF_A_ROOM {
            budget.admit(at(0), String::new);
        }
        assert_eq!(budget.admit(at(0), || unreachable!("it is dropped")), None);
    }
}

use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant},
};

/// How many lines a room may write to the log in a second. The events that ask for them are limited one by one, and come
/// as fast as there is time for: the log would fill the disk.
pub(crate) const LINES_A_SECOND: u32 = 100;

/// How many bytes those lines may have together.
pub(crate) const BYTES_A_SECOND: u32 = 64 << 10;

/// How many bytes of one text are written. What is longer is cut.
const LONGEST: usize = 1 << 10;

/// Limits what is written to the log on behalf of one room, or about the rooms of one thread that fail.
#[derive(Debug, Default)]
pub(crate) struct LogBudget {
    /// When the present second began.
    began: Cell<Option<Instant>>,
    /// The lines since then, those included that were dropped, and the bytes of those that were not.
    lines: Cell<u32>,
    bytes: Cell<u32>,
    /// The lines that were dropped and are still to be reported.
    dropped: Cell<u32>,
}

/// A line that may be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) line: String,
    /// How many were dropped before it, if that is to be reported now: once a second at most.
    pub(crate) dropped: Option<u32>,
}

impl LogBudget {
    /// Formats a line and returns it, or counts it as dropped. Beyond the number of lines nothing is formatted.
    pub(crate) fn admit(&self, now: Instant, format: impl FnOnce() -> String) -> Option<Admitted> {
        let within = |began: Instant| now.saturating_duration_since(began) < Duration::from_secs(1);
        let is_new = !self.began.get().is_some_and(within);
        if is_new {
            self.began.set(Some(now));
            self.lines.set(0);
            self.bytes.set(0);
        }
        let lines = self.lines.get().saturating_add(1);
        self.lines.set(lines);
        let line = (lines <= LINES_A_SECOND).then(format).and_then(|line| {
            let bytes = u32::try_from(line.len()).ok().and_then(|size| self.bytes.get().checked_add(size));
            self.bytes.set(bytes.filter(|bytes| *bytes <= BYTES_A_SECOND)?);
            Some(line)
        });
        match line {
            Some(line) => Some(Admitted { line, dropped: is_new.then(|| self.settle()).flatten() }),
            None => {
                self.dropped.set(self.dropped.get().saturating_add(1));
                None
            }
        }
    }

    /// Returns how many lines were dropped since that was last reported, if any were.
    pub(crate) fn settle(&self) -> Option<u32> {
        Some(self.dropped.take()).filter(|dropped| *dropped > 0)
    }
}

/// The beginning of a text. Its `Debug` and `Display` say how much was cut off.
///
/// A text is cut before it is escaped: a guest may log as much as its memory holds, and whoever runs rooms would have to
/// look at every character of it.
pub(crate) struct Cut<'a> {
    head: &'a str,
    rest: usize,
}

impl<'a> Cut<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let head = &text[..text.floor_char_boundary(LONGEST)];
        Self { head, rest: text.len() - head.len() }
    }

    fn end(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rest {
            0 => Ok(()),
            rest => write!(f, " … (+{rest} bytes)"),
        }
    }
}

impl fmt::Debug for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.head)?;
        self.end(f)
    }
}

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.head)?;
        self.end(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A budget, and a clock that counts milliseconds.
    fn budget() -> (LogBudget, impl Fn(u64) -> Instant) {
        let begin = Instant::now();
        (LogBudget::default(), move |ms| begin + Duration::from_millis(ms))
    }

    fn admitted(line: &str, dropped: Option<u32>) -> Option<Admitted> {
        Some(Admitted { line: line.to_owned(), dropped })
    }

    #[test]
    fn a_hundred_lines_a_second_are_written_and_the_rest_is_counted() {
        let (budget, at) = budget();
        let admit = |ms| budget.admit(at(ms), || "a".to_owned());
        for _ in 0..LINES_A_SECOND {
            assert_eq!(admit(0), admitted("a", None));
        }
        for ms in [0, 1, 999] {
            assert_eq!(admit(ms), None);
        }
        assert_eq!(admit(1_000), admitted("a", Some(3)));
        assert_eq!(admit(1_001), admitted("a", None));
        assert_eq!(admit(9_000), admitted("a", None));
    }

    #[test]
    fn lines_beyond_the_bytes_of_a_second_are_dropped_and_shorter_ones_are_not() {
        let (budget, at) = budget();
        let admit = |ms, size: u32| {
            let admitted = budget.admit(at(ms), || "a".repeat(size as usize));
            admitted.map(|admitted| (admitted.line.len(), admitted.dropped))
        };
        assert_eq!(admit(0, BYTES_A_SECOND - 10), Some((BYTES_A_SECOND as usize - 10, None)));
        assert_eq!(admit(0, 11), None);
        assert_eq!(admit(0, 10), Some((10, None)));
        assert_eq!(admit(999, 1), None);
        // Too long for any second.
        assert_eq!(admit(1_000, BYTES_A_SECOND + 1), None);
        assert_eq!(admit(2_000, 1), Some((1, Some(3))));
    }

    #[test]
    fn beyond_the_lines_of_a_second_nothing_is_formatted() {
        let (budget, at) = budget();
        for _ in 0..LINES_A_SECOND {
            budget.admit(at(0), String::new);
        }
        assert_eq!(budget.admit(at(0), || unreachable!("it is dropped")), None);
        assert_eq!((budget.settle(), budget.settle()), (Some(1), None));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_then_escaped() {
        let long = "é".repeat(LONGEST);
        let cut = Cut::new(&long);
        assert_eq!(cut.to_string(), format!("{} … (+{LONGEST} bytes)", "é".repeat(LONGEST / 2)));
        let shifted = format!("a{long}");
        let cut = format!("{:?}", Cut::new(&shifted));
        assert!(cut.ends_with(&format!("é\" … (+{} bytes)", LONGEST + 2)), "{cut}");
        let escapes = "\0".repeat(LONGEST + 1);
        let cut = format!("{:?}", Cut::new(&escapes));
        assert_eq!(cut, format!("\"{}\" … (+1 bytes)", "\\0".repeat(LONGEST)));
        let short = "a\u{202e}b\n";
        assert_eq!(format!("{:?}", Cut::new(short)), r#""a\u{202e}b\n""#);
        assert_eq!(format!("{}", Cut::new(short)), short);
    }
}

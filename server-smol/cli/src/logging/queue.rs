use std::{collections::VecDeque, fmt::Arguments, time::Instant};

use ::log::Level;

use super::{
    budget::{A_SECOND, Budget},
    fill::Fill,
    format::Format,
};

/// The capacity of the queue: enough for many lines in a short time, and much less than the memory of a small
/// machine.
const CAPACITY: Fill = Fill { lines: 2_000, bytes: 128 << 10 };

/// The approximate number of bytes that are written at a time. Their space is freed when they are written.
const CHUNK: usize = 16 << 10;

/// Lines that wait to be written: at most [`CAPACITY`], and at most the [`Budget`].
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The form of the lines about dropped lines.
    format: Format,
    lines: VecDeque<String>,
    /// The size of the lines that wait, and of those that are being written.
    fill: Fill,
    /// The size of the lines that are being written.
    in_flight: Fill,
    budget: Budget,
    /// The lines that were dropped because the queue was full, and are not reported yet.
    dropped: u64,
}

impl Queue {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, ..Self::default() }
    }

    /// Puts a line at the end, or counts it as dropped. Returns true if a waiting writer must be woken.
    pub(crate) fn push(&mut self, now: Instant, line: String, is_error: bool) -> bool {
        let was_idle = self.is_idle();
        let bytes = line.len();
        let had_to_report = self.budget.report_due().is_some();
        if !self.fill.add(bytes, is_error, CAPACITY) {
            self.dropped += 1;
            return false;
        }
        self.report_budget(now);
        if !self.budget.spend(now, bytes, is_error) {
            self.fill.remove(Fill { lines: 1, bytes });
            return was_idle && !had_to_report;
        }
        self.lines.push_back(line);
        was_idle
    }

    /// Moves the next lines into `chunk`, which is empty. The lines that were taken before have been written.
    pub(crate) fn take(&mut self, now: Instant, chunk: &mut String) {
        self.fill.remove(std::mem::take(&mut self.in_flight));
        // There is room again.
        self.report_full();
        self.report_budget(now);
        while chunk.len() < CHUNK
            && let Some(line) = self.lines.pop_front()
        {
            chunk.push_str(&line);
            self.in_flight.lines += 1;
            self.in_flight.bytes += line.len();
        }
    }

    /// Reports all dropped lines at once.
    pub(crate) fn report(&mut self) {
        self.report_full();
        if let Some(dropped) = self.budget.report() {
            self.note(dropped, &over_budget());
        }
    }

    /// Returns the time at which there is something to write, even without new lines.
    pub(crate) fn report_due(&self) -> Option<Instant> {
        self.budget.report_due()
    }

    /// Returns true if everything has been written.
    pub(crate) fn is_idle(&self) -> bool {
        self.fill == Fill::default()
    }

    /// Returns the line that says how many could not be written.
    pub(super) fn lost_line(&self, lost: u64) -> String {
        let words: Arguments<'_> = format_args!("{lost} log lines were lost: they could not be written");
        self.format.own_line(Level::Warn, &words)
    }

    fn report_full(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            self.note(dropped, "the reader of this log is too slow");
        }
    }

    fn report_budget(&mut self, now: Instant) {
        if self.budget.report_due().is_some_and(|due| due <= now)
            && let Some(dropped) = self.budget.report()
        {
            self.note(dropped, &over_budget());
        }
    }

    /// Puts a report at the end. They are short, and there is one for each chunk or second at most: they need
    /// no limit.
    fn note(&mut self, dropped: u64, reason: &str) {
        let words: Arguments<'_> = format_args!("{dropped} log lines were dropped: {reason}");
        let line = self.format.own_line(Level::Warn, &words);
        self.fill.lines += 1;
        self.fill.bytes += line.len();
        self.lines.push_back(line);
    }
}

fn over_budget() -> String {
    format!("{} lines and {} KiB a second are written", A_SECOND.lines, A_SECOND.bytes / 1024)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Returns a queue, and a time for each line: so far apart that the budget admits them all.
    fn queue() -> (Queue, impl FnMut() -> Instant) {
        let mut now = Instant::now();
        (Queue::default(), move || {
            now += Duration::from_secs(1);
            now
        })
    }

    fn taken(queue: &mut Queue, now: Instant) -> String {
        let mut chunk = String::new();
        queue.take(now, &mut chunk);
        chunk
    }

    #[test]
    fn lines_are_taken_in_order_and_the_writer_is_woken_once() {
        let (mut queue, mut now) = queue();
        assert!(queue.is_idle());
        assert!(queue.push(now(), "a\n".into(), false));
        assert!(!queue.push(now(), "b\n".into(), true));
        assert_eq!(taken(&mut queue, now()), "a\nb\n");
        // They are being written.
        assert!(!queue.is_idle() && !queue.push(now(), "c\n".into(), false));
        assert_eq!(taken(&mut queue, now()), "c\n");
        assert_eq!(taken(&mut queue, now()), "");
        assert!(queue.is_idle());
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_reported_when_there_is_room() {
        for (line, fit) in [("a".repeat(1_023) + "\n", 112), ("\n".to_owned(), 1_750)] {
            let (mut queue, mut now) = queue();
            let mut chunk = String::new();
            queue.push(now(), line.clone(), false);
            queue.take(now(), &mut chunk);
            // What is being written has its place, too.
            for _ in 0..fit + 2 {
                queue.push(now(), line.clone(), false);
            }
            assert_eq!(queue.fill.lines, fit);
            queue.push(now(), "ERROR\n".into(), true);
            let mut rest = String::new();
            while !queue.is_idle() {
                rest += &taken(&mut queue, now());
            }
            let end = "ERROR\nWARN  3 log lines were dropped: the reader of this log is too slow\n";
            assert_eq!(rest.strip_suffix(end).map(str::len), Some((fit - 1) * line.len()));
        }
    }

    #[test]
    fn errors_fill_the_queue_and_no_more() {
        let (mut queue, mut now) = queue();
        for _ in 0..300 {
            queue.push(now(), "a".repeat(1_024), true);
        }
        assert_eq!(queue.fill, Fill { lines: 128, bytes: CAPACITY.bytes });
    }

    #[test]
    fn what_is_over_the_budget_is_reported_before_the_next_line_or_when_it_is_due() {
        let (mut queue, at) = (Queue::default(), Instant::now());
        let soon = at + Duration::from_secs(1);
        let flood = |queue: &mut Queue, at| {
            (0..900).for_each(|_| _ = queue.push(at, "a\n".into(), false));
            while !queue.is_idle() {
                assert!(!taken(queue, at).contains("WARN"));
            }
        };
        flood(&mut queue, at);
        queue.push(soon, "b\n".into(), false);
        let report = "WARN  25 log lines were dropped: 1000 lines and 256 KiB a second are written\n";
        assert_eq!(taken(&mut queue, soon), format!("{report}b\n"));
        flood(&mut queue, soon + Duration::from_secs(9));
        assert_eq!(taken(&mut queue, at + Duration::from_secs(10)), "");
        assert_eq!(queue.report_due(), Some(at + Duration::from_secs(11)));
        assert_eq!(taken(&mut queue, at + Duration::from_secs(11)), report);
        assert_eq!(queue.report_due(), None);
    }

    #[test]
    fn a_writer_that_waits_is_woken_by_the_first_line_that_is_dropped() {
        let (mut queue, at) = (Queue::default(), Instant::now());
        while queue.budget.spend(at, 1, false) {}
        queue.budget.report();
        assert!(queue.push(at, "a".into(), false));
        assert!(!queue.push(at, "a".into(), false));
    }

    #[test]
    fn at_the_end_everything_is_reported_at_once() {
        let (mut queue, at) = (Queue::default(), Instant::now());
        while queue.budget.spend(at, 1, false) {}
        queue.dropped = 2;
        queue.report();
        let said = taken(&mut queue, at);
        let lines: Vec<_> = said.lines().map(|line| &line[..31]).collect();
        assert_eq!(lines, ["WARN  2 log lines were dropped:", "WARN  1 log lines were dropped:"]);
    }
}

use std::{fmt, rc::Rc};

use log::Level;

use crate::reactor::Clock;

use super::log_budget::{Admitted, LogBudget};

/// The log target of the lines that guests write.
const GUEST: &str = "stateroom::guest";

/// The log of a thread for lines that strangers cause: lines are cut and counted, so that nobody fills the disk or
/// holds up rooms.
#[derive(Debug)]
pub(crate) struct ThreadLog {
    clock: Rc<Clock>,
    /// The budget for lines about rooms that fail or are ended, and about connections that are refused. A room that
    /// fails is replaced by one with a budget of its own, so all of them share this one.
    events: LogBudget,
    /// The budget for the lines of all guests together.
    guests: LogBudget,
}

/// The log of a room.
#[derive(Debug)]
pub(crate) struct RoomLog {
    thread: Rc<ThreadLog>,
    budget: LogBudget,
}

impl ThreadLog {
    pub(super) fn new(clock: Rc<Clock>) -> Self {
        Self { clock, events: LogBudget::of_a_thread(), guests: LogBudget::of_a_thread() }
    }

    /// Writes of something that strangers can make happen as often as they like.
    pub(crate) fn event(&self, level: Level, line: impl FnOnce() -> String) {
        if !log::log_enabled!(level) {
            return;
        }
        let Some(Admitted { line, dropped }) = self.events.admit(self.clock.now(), line) else { return };
        if let Some(dropped) = dropped {
            log::warn!(
                "{dropped} more log lines like those before were dropped: {} are written",
                self.events
            );
        }
        log::log!(level, "{line}");
    }
}

impl RoomLog {
    pub(crate) fn new(thread: Rc<ThreadLog>) -> Self {
        Self { thread, budget: LogBudget::of_a_room() }
    }

    /// Writes a line of the room of this id.
    pub(crate) fn line(&self, id: &impl fmt::Display, level: Level, line: impl FnOnce() -> String) {
        if !log::log_enabled!(target: GUEST, level) {
            return;
        }
        let now = self.thread.clock.now();
        let Some(Admitted { line, dropped }) = self.budget.admit(now, line) else { return };
        self.report(id, dropped);
        let Some(Admitted { line, dropped }) = self.thread.guests.admit(now, || line) else { return };
        if let Some(dropped) = dropped {
            let budget = &self.thread.guests;
            log::warn!(
                "{dropped} log lines of guests were dropped: {budget} are written of all rooms of a thread"
            );
        }
        log::log!(target: GUEST, level, "{line}");
    }

    /// Reports the lines that were dropped and are not reported yet, as the room ends.
    pub(crate) fn end(&self, id: &impl fmt::Display) {
        self.report(id, self.budget.settle());
    }

    fn report(&self, id: &impl fmt::Display, dropped: Option<u32>) {
        if let Some(dropped) = dropped {
            let line = || format!("room {id}: {dropped} log lines were dropped: {} are written", self.budget);
            self.thread.event(Level::Warn, line);
        }
    }
}

/// The beginning of a text. Its `Debug` and `Display` say how much was cut off.
///
/// A text is cut before it is escaped: a guest may log as much as its memory holds, and the server would have to look
/// at every character of it.
pub(crate) struct Cut<'a> {
    head: &'a str,
    rest: usize,
}

/// The maximum length of a text in bytes. A longer one is cut.
const LONGEST: usize = 1 << 10;

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

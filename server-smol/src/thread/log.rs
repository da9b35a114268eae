use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use log::Level;

use crate::{
    log_line::{self, About},
    reactor::{Clock, Timer},
};

use super::log_budget::LogBudget;

/// The log target of the lines that guests write.
const GUEST: &str = "stateroom::guest";

/// The time after which the log says what has been dropped.
const REPORT: Duration = Duration::from_secs(1);
/// The time between two reports of refused clients.
const REFUSALS: Duration = Duration::from_secs(60);

/// The log of a thread for lines that strangers cause: lines are cut and counted, so that nobody fills the disk or
/// holds up rooms.
#[derive(Debug)]
pub(crate) struct ThreadLog {
    clock: Rc<Clock>,
    /// The budget for lines about rooms that fail or are ended. A room that fails is replaced by one with a budget of its own,
    /// so all of them share this one.
    events: LogBudget,
    /// The budget for the lines of all guests together.
    guests: LogBudget,
    /// The rooms of which lines were dropped that are not reported yet, by their ids.
    rooms: RefCell<Vec<(String, Rc<LogBudget>)>>,
    /// The limits for which clients were refused or closed, and how many since that was last reported.
    refusals: RefCell<Vec<(&'static str, u32)>>,
    /// The time from which refusals are reported again.
    next_refusals: Cell<Option<Instant>>,
    /// The waker of the task that reports.
    waker: RefCell<Option<Waker>>,
}

/// The log of a room.
#[derive(Debug)]
pub(crate) struct RoomLog {
    thread: Rc<ThreadLog>,
    budget: Rc<LogBudget>,
}

impl ThreadLog {
    pub(super) fn new(clock: Rc<Clock>) -> Self {
        Self {
            clock,
            events: LogBudget::of_a_thread(),
            guests: LogBudget::of_a_thread(),
            rooms: RefCell::default(),
            refusals: RefCell::default(),
            next_refusals: Cell::new(None),
            waker: RefCell::default(),
        }
    }

    /// Writes of something that strangers can make happen as often as they like.
    pub(crate) fn event(&self, level: Level, about: About<'_>, line: impl FnOnce() -> String) {
        if !log::log_enabled!(level) {
            return;
        }
        match self.events.admit(self.clock.now(), line) {
            Some(line) => log_line::write(module_path!(), level, &about, format_args!("{line}")),
            None => self.wake(),
        }
    }

    /// Counts a client that was refused or closed because of `limit`, which names the option that sets it.
    #[cold]
    pub(crate) fn refused(&self, limit: &'static str) {
        let mut refusals = self.refusals.borrow_mut();
        match refusals.iter_mut().find(|(other, _)| *other == limit) {
            Some((_, count)) => *count += 1,
            None => refusals.push((limit, 1)),
        }
        drop(refusals);
        self.wake();
    }

    /// Reports what was dropped and who was refused, for as long as the thread runs.
    pub(crate) async fn run(&self) {
        loop {
            poll_fn(|cx| match self.has_unreported() {
                true => Poll::Ready(()),
                false => {
                    self.waker.replace(Some(cx.waker().clone()));
                    Poll::Pending
                }
            })
            .await;
            Timer::after(REPORT).await;
            self.report();
        }
    }

    fn wake(&self) {
        self.waker.take().into_iter().for_each(Waker::wake);
    }

    fn has_unreported(&self) -> bool {
        let has_dropped = [&self.events, &self.guests].iter().any(|budget| budget.dropped() > 0);
        has_dropped || !self.rooms.borrow().is_empty() || !self.refusals.borrow().is_empty()
    }

    /// Reports what was dropped, and who was refused unless that was reported lately.
    pub(crate) fn report(&self) {
        for (id, budget) in self.rooms.take() {
            self.report_room(&id, &budget);
        }
        if let Some(dropped) = self.guests.take_dropped() {
            let budget = &self.guests;
            log::warn!(
                "{dropped} log lines of guests were dropped: {budget} are written of all rooms of a thread"
            );
        }
        if let Some(dropped) = self.events.take_dropped() {
            log::warn!(
                "{dropped} more log lines like those before were dropped: {} are written",
                self.events
            );
        }
        let now = self.clock.now();
        if self.next_refusals.get().is_some_and(|next| now < next) {
            return;
        }
        for (limit, count) in self.refusals.take() {
            self.next_refusals.set(Some(now + REFUSALS));
            log::warn!("{count} clients were refused or closed: {limit}");
        }
    }

    fn report_room(&self, id: &str, budget: &LogBudget) {
        if let Some(dropped) = budget.take_dropped() {
            let line = || format!("room {id:?}: {dropped} log lines were dropped: {budget} are written");
            self.event(Level::Warn, About::room(id), line);
        }
    }
}

impl RoomLog {
    pub(crate) fn new(thread: Rc<ThreadLog>) -> Self {
        Self { thread, budget: Rc::new(LogBudget::of_a_room()) }
    }

    /// Writes a line of the room of this id.
    pub(crate) fn line(&self, id: &str, level: Level, line: impl FnOnce() -> String) {
        if !log::log_enabled!(target: GUEST, level) {
            return;
        }
        let (now, thread) = (self.thread.clock.now(), &self.thread);
        let Some(line) = self.budget.admit(now, line) else {
            // It is the first one since the last report.
            if self.budget.dropped() == 1 {
                thread.rooms.borrow_mut().push((id.to_owned(), Rc::clone(&self.budget)));
                thread.wake();
            }
            return;
        };
        match thread.guests.admit(now, || line) {
            Some(line) => log_line::write(GUEST, level, &About::room(id), format_args!("{line}")),
            None => thread.wake(),
        }
    }

    /// Reports the lines that were dropped and are not reported yet, as the room ends.
    pub(crate) fn end(&self, id: &str) {
        self.thread.report_room(id, &self.budget);
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

/// A text of several lines as one: its `Display` escapes control characters. So nobody can forge a line of the log.
pub(crate) struct OneLine<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string().chars().try_for_each(|character| match character.is_control() {
            true => write!(f, "{}", character.escape_default()),
            false => fmt::Write::write_char(f, character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_can_be_one() {
        assert_eq!(OneLine("a\n\x1b[1mé \"b\"").to_string(), "a\\n\\u{1b}[1mé \"b\"");
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

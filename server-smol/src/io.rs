use std::{
    cell::{Cell, RefCell, RefMut},
    rc::Rc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    log_budget::{Admitted, LINES_A_SECOND, LogBudget},
    outbox::Outbox,
};

/// How much is read at a time.
const INPUT: usize = 64 << 10;
/// How many buffers are kept for outboxes, and how large each may be.
const SPARE: usize = 64;
const SPARE_SIZE: usize = 64 << 10;

/// What the connections of a thread share, so that one between two messages holds no buffer: the bytes that are
/// read into, the buffers of what is about to be written, and the list of those who have something to write.
#[derive(Debug)]
pub(crate) struct Io {
    input: RefCell<Box<[u8]>>,
    spare: RefCell<Vec<Vec<u8>>>,
    waiting: RefCell<Vec<Rc<Outbox>>>,
    /// How many clients are in the rooms of the thread.
    pub(crate) clients: Cell<usize>,
    /// The time of this round, if anybody has asked for it.
    now_ms: Cell<Option<u64>>,
    /// What is written about rooms that fail. A room that fails is replaced by one with a log budget of its own, so all of
    /// them share this one.
    failures: LogBudget,
}

impl Default for Io {
    fn default() -> Self {
        Self {
            input: RefCell::new(vec![0; INPUT].into()),
            spare: RefCell::default(),
            waiting: RefCell::default(),
            clients: Cell::new(0),
            now_ms: Cell::new(None),
            failures: LogBudget::default(),
        }
    }
}

impl Io {
    /// The bytes to read into, for as long as it takes to digest them.
    pub(crate) fn input(&self) -> RefMut<'_, Box<[u8]>> {
        self.input.borrow_mut()
    }

    /// Writes that a room has failed, or could not be made.
    pub(crate) fn log_failure(&self, line: impl FnOnce() -> String) {
        let Some(Admitted { line, dropped }) = self.failures.admit(Instant::now(), line) else { return };
        if let Some(dropped) = dropped {
            log::warn!(
                "{dropped} more rooms have failed: the reasons of {LINES_A_SECOND} a second are written"
            );
        }
        log::error!("{line}");
    }

    /// An empty buffer.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && (1..=SPARE_SIZE).contains(&buffer.capacity()) {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Notes that an outbox has something to write.
    pub(crate) fn write_later(&self, outbox: Rc<Outbox>) {
        self.waiting.borrow_mut().push(outbox);
    }

    /// The time in milliseconds since the Unix epoch: the same for everything that happens in a round, which takes
    /// less than one of them where nobody has an endless lot to do.
    pub(crate) fn now_ms(&self) -> u64 {
        if let Some(now) = self.now_ms.get() {
            return now;
        }
        // A clock before 1970 is a clock that has not been set.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.now_ms.set(Some(now));
        now
    }

    /// Ends a round, which is everything that is done between two looks at the sockets. What has come together in it
    /// is written: one system call for each client, however many messages it got.
    pub(crate) fn end_round(&self) {
        self.now_ms.set(None);
        // Writing wakes others, and nobody adds anything meanwhile.
        let mut waiting = self.waiting.take();
        waiting.drain(..).for_each(|outbox| outbox.write());
        self.waiting.replace(waiting);
    }
}

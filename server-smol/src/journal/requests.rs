use std::{
    fmt, mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use smol::channel;
use stateroom_journal::Entries;

use super::{
    handle::Ticket,
    inquiry::Inquiry,
    writer::{History, LoadError},
};

/// The requests of the threads of rooms to the journal's thread. Requests that come while it is busy wait together.
#[derive(Default)]
pub(super) struct Requests {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// The bytes of entries that the journal's thread waits for. It waits for all other requests as well. `None`: it does not wait.
    awaited: Option<usize>,
}

/// Requests that have come together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    /// The bytes of the entries in them.
    pub(super) bytes: usize,
    pub(super) questions: Vec<Question>,
    /// True if the thread is to end after all this.
    pub(super) is_last: bool,
}

/// Entries that will probably come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    /// The bytes of those that are there then, all together. Seven eighths of them are enough.
    pub(super) bytes: usize,
    /// The end of waiting.
    pub(super) until: Instant,
}

/// A request to write entries.
pub(super) struct Write {
    /// The thread of rooms that hands them over.
    pub(super) worker: usize,
    pub(super) ticket: Ticket,
    pub(super) entries: Entries,
}

/// A request that is answered after all entries that came before have been written.
pub(super) enum Question {
    /// Return the history of a room.
    Load(Box<str>, channel::Sender<Result<Option<History>, LoadError>>),
    /// Answer the operator.
    Inquire(Inquiry),
    /// Make all that came before durable, whatever the level of durability is.
    Sync(channel::Sender<()>),
    /// Return the rooms that have timers, and when these are due.
    Timers(channel::Sender<Vec<(u64, String)>>),
}

impl Requests {
    pub(super) fn write(&self, write: Write) {
        self.add(|batch| {
            batch.bytes += write.entries.len();
            batch.writes.push(write);
        });
    }

    pub(super) fn ask(&self, question: Question) {
        self.add(|batch| batch.questions.push(question));
    }

    /// Ends the journal's thread after all that has come before.
    pub(super) fn end(&self) {
        self.add(|batch| batch.is_last = true);
    }

    fn add(&self, add: impl FnOnce(&mut Batch)) {
        let mut waiting = self.lock();
        add(&mut waiting.batch);
        // To wake nobody is a system call as well.
        if waiting.awaited.is_some_and(|bytes| waiting.batch.has(bytes)) {
            waiting.awaited = None;
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// Returns the bytes of the entries that wait.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.lock().batch.bytes
    }

    /// Puts all requests into an empty batch. If there are none, waits until there are, or for so long. Before that, waits for what is
    /// expected, unless nothing may be waited for.
    pub(super) fn take(&self, batch: &mut Batch, patience: Option<Duration>, expected: Option<Expected>) {
        let mut waiting = self.lock();
        if let Some(Expected { bytes, until }) = expected
            && (patience != Some(Duration::ZERO) || !waiting.batch.is_empty())
        {
            let patience = until.saturating_duration_since(Instant::now());
            waiting = self.wait(waiting, bytes - bytes / 8, Some(patience));
        }
        waiting = self.wait(waiting, 1, patience);
        mem::swap(&mut waiting.batch, batch);
    }

    /// Waits until so many bytes of entries wait, or another request, or for so long.
    fn wait<'a>(
        &'a self,
        mut waiting: MutexGuard<'a, Waiting>,
        bytes: usize,
        patience: Option<Duration>,
    ) -> MutexGuard<'a, Waiting> {
        if waiting.batch.has(bytes) || patience == Some(Duration::ZERO) {
            return waiting;
        }
        waiting.awaited = Some(bytes);
        let is_awaited = |waiting: &mut Waiting| waiting.awaited.is_some();
        waiting = match patience {
            None => self.arrived.wait_while(waiting, is_awaited).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let result = self.arrived.wait_timeout_while(waiting, patience, is_awaited);
                result.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.awaited = None;
        waiting
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Batch {
    /// Appends the requests of another batch.
    pub(super) fn followed_by(mut self, other: Self) -> Self {
        self.writes.extend(other.writes);
        self.bytes += other.bytes;
        self.questions.extend(other.questions);
        self.is_last |= other.is_last;
        self
    }

    /// Returns whether it has so many bytes of entries, or another request.
    fn has(&self, bytes: usize) -> bool {
        self.bytes >= bytes || !self.questions.is_empty() || self.is_last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.questions.is_empty() && !self.is_last
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use stateroom_journal::RoomNumber;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn write(ticket: Ticket) -> Write {
        let mut entries = Entries::default();
        entries.event(RoomNumber(1), None, &[7; 100]);
        Write { worker: 0, ticket, entries }
    }

    /// Takes requests that others make meanwhile.
    fn take(expected: Option<Expected>, add: impl FnOnce(&Requests) + Send + 'static) -> Batch {
        let requests = Arc::<Requests>::default();
        let others = Arc::clone(&requests);
        let adding = thread::spawn(move || add(&others));
        let mut batch = Batch::default();
        requests.take(&mut batch, None, expected);
        adding.join().unwrap();
        batch
    }

    fn expected(bytes: usize) -> Option<Expected> {
        Some(Expected { bytes, until: Instant::now() + HOUR })
    }

    #[test]
    fn entries_that_are_expected_are_taken_together() {
        let all: usize = (1..=8).map(|ticket| write(ticket).entries.len()).sum();
        let batch = take(expected(all), |requests| (1..=7).for_each(|ticket| requests.write(write(ticket))));
        assert_eq!((batch.writes.len(), batch.bytes), (7, all / 8 * 7), "seven eighths are enough");
        // They may be there already.
        let mut batch = Batch::default();
        let requests = Requests::default();
        (1..=8).for_each(|ticket| requests.write(write(ticket)));
        assert_eq!(requests.waiting_bytes(), all);
        requests.take(&mut batch, None, expected(all));
        assert_eq!((batch.writes.len(), requests.waiting_bytes()), (8, 0));
    }

    #[test]
    fn a_question_does_not_wait_for_entries_that_are_expected() {
        let batch = take(expected(1 << 20), |requests| {
            requests.write(write(1));
            requests.ask(Question::Sync(channel::bounded(1).0));
        });
        assert_eq!((batch.writes.len(), batch.questions.len()), (1, 1));
        assert!(take(expected(1), Requests::end).is_last);
    }

    #[test]
    fn entries_that_do_not_come_in_time_are_not_waited_for() {
        let late = Some(Expected { bytes: 1 << 20, until: Instant::now() });
        let batch = take(late, |requests| requests.write(write(1)));
        assert_eq!(batch.writes.len(), 1);
        // Nothing is waited for if there is other work.
        let mut batch = Batch::default();
        Requests::default().take(&mut batch, Some(Duration::ZERO), expected(1));
        assert!(batch.is_empty());
    }
}

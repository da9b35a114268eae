use std::{
    fmt, mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
    /// True if the journal's thread waits.
    is_awaited: bool,
}

/// Requests that have come together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    pub(super) questions: Vec<Question>,
    /// True if the thread is to end after all this.
    pub(super) is_last: bool,
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
        self.add(|batch| batch.writes.push(write));
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
        if mem::take(&mut waiting.is_awaited) {
            drop(waiting);
            self.arrived.notify_one();
        }
    }

    /// Returns whether entries wait.
    pub(super) fn has_writes(&self) -> bool {
        !self.lock().batch.writes.is_empty()
    }

    /// Puts all requests into an empty batch. If there are none, waits until there are, or for so long.
    pub(super) fn take(&self, batch: &mut Batch, patience: Option<Duration>) {
        let mut waiting = self.lock();
        if waiting.batch.is_empty() && patience != Some(Duration::ZERO) {
            waiting.is_awaited = true;
            let is_awaited = |waiting: &mut Waiting| waiting.is_awaited;
            waiting = match patience {
                None => self.arrived.wait_while(waiting, is_awaited).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let result = self.arrived.wait_timeout_while(waiting, patience, is_awaited);
                    result.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            waiting.is_awaited = false;
        }
        mem::swap(&mut waiting.batch, batch);
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
        self.questions.extend(other.questions);
        self.is_last |= other.is_last;
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.questions.is_empty() && !self.is_last
    }
}

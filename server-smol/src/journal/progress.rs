use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
};

use stateroom_journal::Entries;

use super::handle::Ticket;

/// The messages of the journal's thread to a thread of rooms.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// All entries up to this ticket are on the disk.
    durable: AtomicU64,
    state: Mutex<State>,
    /// Wakes a thread that waits for nothing else.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Wakes the thread's event loop.
    waker: Option<Waker>,
    /// True if the thread waits for nothing else.
    is_awaited: bool,
    /// Entries that have been written, for their memory.
    spare: Vec<Entries>,
}

/// The number of entries whose memory is kept for the next ones.
const SPARE: usize = 2;
/// The memory that is kept in bytes: twice what was used last, but at least the first, and at most the second number. Under load, the
/// memory of large groups need not be freed and allocated again for each.
const SPARE_SIZE: [usize; 2] = [64 << 10, 512 << 10];

impl Progress {
    /// Lets the journal's thread wake the event loop of the thread of rooms.
    pub(super) fn set_waker(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    pub(super) fn durable(&self) -> Ticket {
        self.durable.load(Ordering::Acquire)
    }

    /// Notes that everything up to this ticket is on the disk, and wakes the thread.
    pub(super) fn set(&self, durable: Ticket) {
        let state = self.lock();
        self.durable.store(durable, Ordering::Release);
        if state.is_awaited {
            self.changed.notify_one();
        }
        state.waker.iter().for_each(Waker::wake_by_ref);
    }

    /// Blocks until everything up to this ticket is on the disk.
    pub(super) fn wait(&self, ticket: Ticket) {
        let mut state = self.lock();
        state.is_awaited = true;
        while self.durable() < ticket {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_awaited = false;
    }

    /// Gives the memory of entries back that have been written.
    pub(super) fn give_back(&self, mut entries: Entries) {
        let [least, most] = SPARE_SIZE;
        let size = (2 * entries.len()).clamp(least, most);
        entries.clear();
        entries.shrink_to(size);
        let mut state = self.lock();
        if state.spare.len() < SPARE {
            state.spare.push(entries);
        }
    }

    /// Returns empty entries.
    pub(super) fn spare(&self) -> Entries {
        self.lock().spare.pop().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Waker},
};

use smol::channel;
use stateroom_journal::Entries;

use super::{
    max_entry,
    progress::Progress,
    requests::{Question, Requests, Write},
    writer::{History, LoadError},
};

pub(crate) use stateroom_journal::RoomNumber;

/// The number of the entries that a thread has handed over together. Tickets of a thread count up from 1.
pub(crate) type Ticket = u64;

/// A thread's side of the journal.
pub(crate) struct Journal {
    worker: usize,
    entries: RefCell<Entries>,
    /// The ticket of the entries that were handed over last.
    handed_over: Cell<Ticket>,
    /// The bytes that were handed over and may not be on the disk.
    waiting: RefCell<VecDeque<(Ticket, usize)>>,
    waiting_bytes: Cell<usize>,
    pub(super) requests: Arc<Requests>,
    progress: Arc<Progress>,
    next_room: Arc<AtomicU64>,
    /// True if there is no space for more rooms.
    is_filling: Arc<AtomicBool>,
    max_entry: usize,
    /// The tasks that wait for a ticket.
    tasks: RefCell<Vec<(Ticket, Waker)>>,
}

impl Journal {
    pub(super) fn new(
        worker: usize,
        requests: Arc<Requests>,
        progress: Arc<Progress>,
        next_room: Arc<AtomicU64>,
        is_filling: Arc<AtomicBool>,
        max_size: u64,
    ) -> Self {
        Self {
            worker,
            entries: RefCell::default(),
            handed_over: Cell::new(0),
            waiting: RefCell::default(),
            waiting_bytes: Cell::new(0),
            requests,
            progress,
            next_room,
            is_filling,
            max_entry: max_entry(max_size) as usize,
            tasks: RefCell::default(),
        }
    }

    /// Lets the journal's thread wake the thread's event loop.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.progress.set_waker(waker);
    }

    /// Returns whether no new rooms may be created, because the journal is filling up.
    pub(crate) fn is_filling(&self) -> bool {
        self.is_filling.load(Ordering::Relaxed)
    }

    /// Returns a number for a new room.
    pub(crate) fn new_room(&self) -> RoomNumber {
        RoomNumber(self.next_room.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds entries, which are handed over at the end of the pass.
    pub(crate) fn add(&self, add: impl FnOnce(&mut Entries)) {
        add(&mut self.entries.borrow_mut());
    }

    /// Hands over what has been added. Returns the ticket of everything up to now.
    pub(crate) fn hand_over(&self) -> Ticket {
        let mut entries = self.entries.borrow_mut();
        if !entries.is_empty() {
            let ticket = self.handed_over.get() + 1;
            self.handed_over.set(ticket);
            self.waiting.borrow_mut().push_back((ticket, entries.len()));
            self.waiting_bytes.set(self.waiting_bytes.get() + entries.len());
            let entries = mem::replace(&mut *entries, self.progress.spare());
            // The journal's thread ends only with the process, or after this one.
            self.requests.write(Write { worker: self.worker, ticket, entries });
        }
        self.handed_over.get()
    }

    /// Returns the ticket up to which everything is on the disk.
    pub(crate) fn durable(&self) -> Ticket {
        self.progress.durable()
    }

    /// Returns how many bytes have been handed over and may not be on the disk.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let durable = self.durable();
        let mut waiting = self.waiting.borrow_mut();
        while let Some((_, bytes)) = waiting.pop_front_if(|(ticket, _)| *ticket <= durable) {
            self.waiting_bytes.set(self.waiting_bytes.get() - bytes);
        }
        self.waiting_bytes.get()
    }

    /// Blocks the thread until everything up to this ticket is on the disk.
    pub(crate) fn wait(&self, ticket: Ticket) {
        self.progress.wait(ticket);
    }

    /// Waits until everything that has been added up to now is on the disk.
    pub(crate) async fn settled(&self) {
        let next = u64::from(!self.entries.borrow().is_empty());
        let ticket = self.handed_over.get() + next;
        poll_fn(|cx| {
            if self.durable() >= ticket {
                return Poll::Ready(());
            }
            self.tasks.borrow_mut().push((ticket, cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Wakes the tasks that wait for what is on the disk now.
    pub(crate) fn wake_tasks(&self) {
        let durable = self.durable();
        let mut tasks = self.tasks.borrow_mut();
        if !tasks.is_empty() {
            for (_, waker) in tasks.extract_if(.., |(ticket, _)| *ticket <= durable) {
                waker.wake();
            }
        }
    }

    /// Returns the size of the largest entry, in bytes.
    pub(crate) fn max_entry(&self) -> usize {
        self.max_entry
    }

    /// Returns the history of a room, if it is kept.
    pub(crate) async fn load(&self, room_id: &str) -> Result<Option<History>, LoadError> {
        // It may have been added in this pass.
        self.hand_over();
        let (sender, answer) = channel::bounded(1);
        self.requests.ask(Question::Load(room_id.into(), sender));
        answer.recv().await.unwrap_or(Err(LoadError::Ending))
    }

    /// Waits until everything that has been added up to now is on the disk, whatever the level of durability is.
    pub(crate) async fn synced(&self) {
        self.hand_over();
        let (sender, synced) = channel::bounded(1);
        self.requests.ask(Question::Sync(sender));
        // The journal's thread ends only with the process, or after this one.
        let _ = synced.recv().await;
    }

    /// Returns the rooms that are kept and have timers, behind the times at which these are due, in milliseconds since the Unix epoch.
    pub(crate) async fn timers(&self) -> Vec<(u64, String)> {
        let (sender, answer) = channel::bounded(1);
        self.requests.ask(Question::Timers(sender));
        answer.recv().await.unwrap_or_default()
    }
}

#[cfg(test)]
impl Journal {
    /// Returns a journal without a thread, and a function that sets the ticket up to which everything counts as durable.
    pub(crate) fn for_tests() -> (Self, impl Fn(Ticket)) {
        let progress = Arc::<Progress>::default();
        let journal =
            Self::new(0, Arc::default(), Arc::clone(&progress), Arc::default(), Arc::default(), 1 << 30);
        (journal, move |durable| progress.set(durable))
    }
}

/// Hands over what was added in the last pass.
impl Drop for Journal {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("handed_over", &self.handed_over).finish_non_exhaustive()
    }
}

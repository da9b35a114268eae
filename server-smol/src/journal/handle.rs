use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    mem,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Sender,
    },
    task::{Poll, Waker},
};

use smol::channel;
use stateroom_journal::Entries;

use super::writer::{Answer, History, KeptRoom, Request};

pub(crate) use stateroom_journal::RoomNumber;

/// The number of the entries that a thread has handed over together. Tickets of a thread count up from 1.
pub(crate) type Ticket = u64;

/// The bytes of entries that may wait for the disk. If there are more, the thread waits, too.
const WAITING: usize = 8 << 20;

/// A thread's side of the journal.
pub(crate) struct Journal {
    worker: usize,
    entries: RefCell<Entries>,
    /// The ticket of the entries that were handed over last.
    handed_over: Cell<Ticket>,
    /// The bytes that were handed over and may not be on the disk.
    waiting: RefCell<std::collections::VecDeque<(Ticket, usize)>>,
    pub(super) sender: Sender<Request>,
    progress: Arc<Progress>,
    next_room: Arc<AtomicU64>,
    /// True if there is no space for more rooms.
    is_filling: Arc<AtomicBool>,
    /// The tasks that wait for a ticket.
    tasks: RefCell<Vec<(Ticket, Waker)>>,
}

/// The messages of the journal's thread to a thread of rooms.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// All entries up to this ticket are on the disk.
    durable: AtomicU64,
    /// Wakes the thread's event loop.
    waker: Mutex<Option<Waker>>,
    /// Wakes a thread that waits for nothing else.
    condvar: Condvar,
}

impl Progress {
    pub(super) fn set(&self, durable: Ticket) {
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        self.durable.store(durable, Ordering::Release);
        self.condvar.notify_one();
        waker.iter().for_each(Waker::wake_by_ref);
    }
}

impl Journal {
    pub(super) fn new(
        worker: usize,
        sender: Sender<Request>,
        progress: Arc<Progress>,
        next_room: Arc<AtomicU64>,
        is_filling: Arc<AtomicBool>,
    ) -> Self {
        Self {
            worker,
            entries: RefCell::default(),
            handed_over: Cell::new(0),
            waiting: RefCell::default(),
            sender,
            progress,
            next_room,
            is_filling,
            tasks: RefCell::default(),
        }
    }

    /// Lets the journal's thread wake the thread's event loop.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.progress.waker.lock().unwrap_or_else(PoisonError::into_inner).replace(waker);
    }

    /// Returns whether the disk has space for the rooms that there are, and for no more.
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
            let entries = mem::take(&mut *entries);
            // The thread ends only with the process, or after this one.
            let _ = self.sender.send(Request::Write { worker: self.worker, ticket, entries });
        }
        self.handed_over.get()
    }

    /// Returns the ticket up to which everything is on the disk.
    pub(crate) fn durable(&self) -> Ticket {
        self.progress.durable.load(Ordering::Acquire)
    }

    /// Returns whether so much waits for the disk that the thread should wait, too.
    pub(crate) fn is_full(&self) -> bool {
        let durable = self.durable();
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(ticket, _)| *ticket <= durable) {
            waiting.pop_front();
        }
        waiting.iter().map(|(_, bytes)| bytes).sum::<usize>() > WAITING
    }

    /// Blocks the thread until everything up to this ticket is on the disk.
    pub(crate) fn wait(&self, ticket: Ticket) {
        let mut waker = self.progress.waker.lock().unwrap_or_else(PoisonError::into_inner);
        while self.durable() < ticket {
            waker = self.progress.condvar.wait(waker).unwrap_or_else(PoisonError::into_inner);
        }
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

    /// Returns the history of a room, if it is kept.
    pub(crate) async fn load(&self, room_id: &str) -> Answer<Option<History>> {
        // It may have been added in this pass.
        self.hand_over();
        let (sender, answer) = channel::bounded(1);
        let _ = self.sender.send(Request::Load(room_id.into(), sender));
        answer.recv().await.unwrap_or_else(|_| Err("the server ends".to_owned()))
    }

    /// Returns the rooms that are kept and have timers.
    pub(crate) async fn timers(&self) -> Vec<KeptRoom> {
        let (sender, answer) = channel::bounded(1);
        let _ = self.sender.send(Request::Timers(sender));
        answer.recv().await.unwrap_or_default()
    }
}

/// Hands over what was added in the last pass.
impl Drop for Journal {
    fn drop(&mut self) {
        self.hand_over();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("handed_over", &self.handed_over).finish_non_exhaustive()
    }
}

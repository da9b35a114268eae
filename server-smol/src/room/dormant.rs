//! Rooms that are on disk only, and have timers.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use smol::future::or;
use stateroom_core::engine::EngineFactory;

use crate::reactor::Timer;

use super::{CreateRoomError, Registry, RoomId};

/// The longest time between two looks at the clock, in milliseconds.
const LOOK_MS: u64 = 60_000;

/// The time after which a room is tried again for which there was no space in memory, in milliseconds.
const AGAIN_MS: u64 = 1_000;

/// The timers of rooms that are not in memory.
#[derive(Debug, Default)]
pub(super) struct DormantTimers {
    /// The times at which they are due, in milliseconds since the Unix epoch.
    due: RefCell<BTreeSet<(u64, RoomId)>>,
    waker: RefCell<Option<Waker>>,
}

impl DormantTimers {
    pub(super) fn add(&self, due: u64, id: RoomId) {
        let mut timers = self.due.borrow_mut();
        let is_first = timers.first().is_none_or(|(first, _)| due < *first);
        timers.insert((due, id));
        if is_first && let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Forgets the timer of a room that is in memory.
    pub(super) fn remove(&self, due: u64, id: &RoomId) {
        self.due.borrow_mut().remove(&(due, id.clone()));
    }

    fn first(&self) -> Option<u64> {
        self.due.borrow().first().map(|(due, _)| *due)
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Adds the timers of rooms that were on disk when the server started.
    pub(crate) fn add_dormant(&self, rooms: impl Iterator<Item = (u64, RoomId)>) {
        rooms.for_each(|(due, id)| self.dormant.add(due, id));
    }

    /// Lets the timer of a room wait on, which could not come into memory, or had to leave it.
    pub(super) fn add_dormant_again(&self, due: u64, id: &RoomId) {
        let soon = self.thread().clock.unix_ms() + AGAIN_MS;
        self.dormant.add(due.max(soon), id.clone());
    }

    /// Brings rooms into memory when their timers are due.
    pub(crate) async fn wake_dormant(self: Rc<Self>) {
        loop {
            let first = self.dormant.first();
            let now = self.thread().clock.unix_ms();
            if first.is_some_and(|due| due <= now) {
                let due = self.dormant.due.borrow_mut().pop_first();
                if let Some((_, id)) = due {
                    // If it is in memory already, its timer runs there. If it fails, the log says why, and the timer waits on if
                    // that helps.
                    let _ = self.open(&id, || Ok::<_, CreateRoomError>(None)).await;
                }
                continue;
            }
            let changed = poll_fn(|cx| {
                if self.dormant.first() == first {
                    self.dormant.waker.replace(Some(cx.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(())
            });
            let due = async {
                match first {
                    // The system's clock may be set meanwhile.
                    Some(due) => _ = Timer::after(Duration::from_millis((due - now).min(LOOK_MS))).await,
                    None => std::future::pending().await,
                }
            };
            or(due, changed).await;
        }
    }
}

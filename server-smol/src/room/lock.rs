use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
};

use smol::channel::{Sender, bounded};
use stateroom_core::engine::EngineFactory;

use super::Room;

/// The exclusive right to run a room's events. When it is dropped the next one in the queue has it.
pub(crate) struct EventLock<F: EngineFactory> {
    pub(super) room: Rc<Room<F>>,
}

/// The tasks that wait for a room's lock, in the order in which they came.
///
/// All of it is on one thread, so that taking the lock where nobody has it, which is nearly always, costs nothing.
pub(super) struct LockQueue<F: EngineFactory> {
    is_taken: Cell<bool>,
    /// Each has a number, which is greater than those before it.
    waiting: RefCell<VecDeque<(u64, Sender<EventLock<F>>)>>,
    /// The number of tasks that have waited.
    count: Cell<u64>,
}

/// A place in the queue of a room. It is given back when this is dropped: clients may come and go for as long as an event takes.
struct Place<'a, F: EngineFactory> {
    queue: &'a LockQueue<F>,
    number: u64,
}

impl<F: EngineFactory> Default for LockQueue<F> {
    fn default() -> Self {
        Self { is_taken: Cell::new(false), waiting: RefCell::default(), count: Cell::new(0) }
    }
}

impl<F: EngineFactory> LockQueue<F> {
    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.get()
    }

    /// Adds a task at the end.
    fn enter(&self, task: Sender<EventLock<F>>) -> Place<'_, F> {
        let number = self.count.get() + 1;
        self.count.set(number);
        self.waiting.borrow_mut().push_back((number, task));
        Place { queue: self, number }
    }
}

impl<F: EngineFactory> EventLock<F> {
    /// Takes the lock, if nobody has it.
    pub(super) fn try_acquire(room: &Rc<Room<F>>) -> Option<Self> {
        (!room.lock.is_taken.replace(true)).then(|| Self { room: Rc::clone(room) })
    }

    /// Waits for the lock.
    pub(super) async fn acquire(room: &Rc<Room<F>>) -> Self {
        loop {
            if let Some(lock) = Self::try_acquire(room) {
                return lock;
            }
            let (sender, receiver) = bounded(1);
            let _place = room.lock.enter(sender);
            // Nobody throws the sender away.
            if let Ok(lock) = receiver.recv().await {
                return lock;
            }
        }
    }
}

impl<F: EngineFactory> Drop for EventLock<F> {
    fn drop(&mut self) {
        let queue = &self.room.lock;
        if queue.waiting.borrow().is_empty() {
            return queue.is_taken.set(false);
        }
        let next = queue.waiting.borrow_mut().pop_front();
        match next {
            // The lock is on its way from here on. Should nobody be there to take it, it is dropped once more.
            Some((_, next)) => _ = next.try_send(Self { room: Rc::clone(&self.room) }),
            None => queue.is_taken.set(false),
        }
    }
}

impl<F: EngineFactory> Drop for Place<'_, F> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.borrow_mut();
        // It may have the lock already.
        if let Ok(index) = waiting.binary_search_by_key(&self.number, |(number, _)| *number) {
            waiting.remove(index);
        }
    }
}

impl<F: EngineFactory> fmt::Debug for EventLock<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLock").field("room", &self.room).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::room::tests::{Quiet, room};

    fn poll(taking: &mut Pin<Box<dyn Future<Output = EventLock<Quiet>> + '_>>) -> Poll<EventLock<Quiet>> {
        taking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_lock_passes_in_order_to_those_who_still_wait_for_it() {
        let room = room();
        let first = EventLock::try_acquire(&room).unwrap();
        let mut waiting: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
        for _ in 0..4 {
            waiting.push(Box::pin(EventLock::acquire(&room)));
        }
        assert!(waiting.iter_mut().all(|taking| poll(taking).is_pending()));
        // One goes before it has the lock, one when it has it and does not know yet.
        drop(waiting.remove(1));
        assert_eq!(room.lock.waiting.borrow().len(), 3);
        drop(first);
        assert!(EventLock::try_acquire(&room).is_none());
        drop(waiting.remove(0));
        assert!(poll(&mut waiting[1]).is_pending());
        let Poll::Ready(third) = poll(&mut waiting[0]) else { panic!("the next one should have the lock") };
        assert!(poll(&mut waiting[1]).is_pending() && EventLock::try_acquire(&room).is_none());
        drop(third);
        let Poll::Ready(fourth) = poll(&mut waiting[1]) else { panic!("the last one should have the lock") };
        assert!(EventLock::try_acquire(&room).is_none());
        drop(fourth);
        assert!(EventLock::try_acquire(&room).is_some());
    }
}

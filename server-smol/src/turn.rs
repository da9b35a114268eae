use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::{Duration, Instant},
};

use smol::channel::{Sender, bounded};
use stateroom_sdk_core::engine::{Engine as _, EngineFactory, Progress};

use crate::{
    members::Members,
    room::{Outcome, Room},
};

/// How long an event that takes longer than a slice goes on at a time, slice by slice.
///
/// Fuel is no measure of time: one slice takes several times as long as another, depending on what the guest does,
/// and ten times as long on a slower machine. Slices are short, so that the clock is looked at often.
pub(crate) const TURN: Duration = Duration::from_micros(250);

/// The right to run a room's events, which one has at a time. With the end of it the next in the queue has it.
pub(crate) struct Turn<F: EngineFactory> {
    room: Rc<Room<F>>,
}

/// Who wants a room's turn while somebody has it, in the order in which they came.
///
/// All of it is on one thread, so that taking the turn where nobody has it, which is nearly always, costs nothing.
pub(crate) struct Queue<F: EngineFactory> {
    is_taken: Cell<bool>,
    waiting: RefCell<VecDeque<Sender<Turn<F>>>>,
}

impl<F: EngineFactory> Default for Queue<F> {
    fn default() -> Self {
        Self { is_taken: Cell::new(false), waiting: RefCell::default() }
    }
}

impl<F: EngineFactory> Turn<F> {
    /// Takes the turn, if nobody has it.
    pub(crate) fn try_take(room: &Rc<Room<F>>) -> Option<Self> {
        (!room.queue.is_taken.replace(true)).then(|| Self { room: Rc::clone(room) })
    }

    /// Waits for the turn.
    pub(crate) async fn take(room: &Rc<Room<F>>) -> Self {
        loop {
            if let Some(turn) = Self::try_take(room) {
                return turn;
            }
            let (sender, receiver) = bounded(1);
            room.queue.waiting.borrow_mut().push_back(sender);
            // Nobody throws the sender away.
            if let Ok(turn) = receiver.recv().await {
                return turn;
            }
        }
    }

    /// Runs an event to its end.
    pub(crate) async fn run(&self, begin: impl FnOnce(&mut F::Engine, &Members)) -> Outcome {
        match self.begin(begin) {
            Some(outcome) => outcome,
            None => self.go_on().await,
        }
    }

    /// Carries an event on that is not over with its first slice. Most are, and need neither a turn of the thread nor
    /// a clock. All others wait for one, or those that take a little less than that would have all the time, and the
    /// others none.
    pub(crate) async fn go_on(&self) -> Outcome {
        loop {
            match self.room.worker() {
                Some(worker) => {
                    let turns = worker.turns();
                    drop(worker);
                    turns.wait().await;
                }
                None => return Outcome::Ended,
            }
            let turn_ends = Instant::now() + TURN;
            loop {
                if let Some(outcome) = self.begin(|_, _| {}) {
                    return outcome;
                }
                if Instant::now() >= turn_ends {
                    break;
                }
            }
        }
    }

    /// Begins an event, or goes on with it, for a slice. The outcome, if it is over then.
    pub(crate) fn begin(&self, begin: impl FnOnce(&mut F::Engine, &Members)) -> Option<Outcome> {
        let (service, members) = (&mut *self.room.service.borrow_mut(), &self.room.members);
        members.deliveries.set(0);
        // A service that panics takes its own room down and nothing else.
        let step = catch_unwind(AssertUnwindSafe(|| {
            begin(service, members);
            match service.advance(members) {
                Progress::Done => Step::Ended(Outcome::Done),
                Progress::Unfinished => Step::Unfinished,
                Progress::Refused => Step::Ended(Outcome::Refused),
                Progress::Failed(reason) => Step::Failed(reason.to_string()),
            }
        }));
        match step.unwrap_or_else(|panic| Step::Failed(panic_message(&*panic))) {
            Step::Unfinished => None,
            Step::Ended(outcome) => {
                if let Some(ms) = members.timer.take() {
                    self.room.set_timer(ms);
                }
                if self.room.rest().disturb() {
                    self.room.await_rest(service);
                }
                Some(outcome)
            }
            Step::Failed(reason) => {
                self.room.fail(&reason);
                Some(Outcome::Ended)
            }
        }
    }
}

impl<F: EngineFactory> Drop for Turn<F> {
    fn drop(&mut self) {
        let queue = &self.room.queue;
        if queue.waiting.borrow().is_empty() {
            return queue.is_taken.set(false);
        }
        let next = loop {
            match queue.waiting.borrow_mut().pop_front() {
                // Whoever waited for it is gone.
                Some(next) if next.is_closed() => {}
                next => break next,
            }
        };
        match next {
            // The turn is on its way from here on. Should nobody be there to take it, it ends once more.
            Some(next) => {
                let _ = next.try_send(Self { room: Rc::clone(&self.room) });
            }
            None => queue.is_taken.set(false),
        }
    }
}

/// Where an event stands after a slice of it.
enum Step {
    Unfinished,
    Ended(Outcome),
    Failed(String),
}

/// What a service that has panicked said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the service panicked: {}", text.unwrap_or("(no message)"))
}

impl<F: EngineFactory> fmt::Debug for Turn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("room", &self.room).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use stateroom_sdk_core::{DefaultStateroomFactory, StateroomService};

    use super::*;
    use crate::{room_id::RoomId, worker::Worker};

    #[derive(Default)]
    struct Quiet;

    impl StateroomService for Quiet {}

    type Factory = DefaultStateroomFactory<Quiet>;

    fn poll(taking: &mut Pin<Box<dyn Future<Output = Turn<Factory>> + '_>>) -> Poll<Turn<Factory>> {
        taking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_turn_passes_in_order_to_those_who_still_wait_for_it() {
        let worker = Worker::new(Arc::new(Factory::default()), Arc::default(), Arc::default());
        let room = Room::new(RoomId::default_room(), &worker).unwrap();
        let first = Turn::try_take(&room).unwrap();
        let mut waiting: Vec<Pin<Box<dyn Future<Output = _>>>> = Vec::new();
        for _ in 0..4 {
            waiting.push(Box::pin(Turn::take(&room)));
        }
        assert!(waiting.iter_mut().all(|taking| poll(taking).is_pending()));
        // One goes before it is its turn, one when it has it and does not know yet.
        drop(waiting.remove(1));
        drop(first);
        assert!(Turn::try_take(&room).is_none());
        drop(waiting.remove(0));
        assert!(poll(&mut waiting[1]).is_pending());
        let Poll::Ready(third) = poll(&mut waiting[0]) else { panic!("it is the next one's turn") };
        assert!(poll(&mut waiting[1]).is_pending() && Turn::try_take(&room).is_none());
        drop(third);
        let Poll::Ready(fourth) = poll(&mut waiting[1]) else { panic!("it is the last one's turn") };
        assert!(Turn::try_take(&room).is_none());
        drop(fourth);
        assert!(Turn::try_take(&room).is_some());
    }
}

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Instant,
};

use stateroom_core::{
    ClientId, MessagePayload,
    engine::{self, Engine, EngineFactory, Progress},
};

use crate::{
    memory::Purpose,
    thread::{Kind, TIME_SLICE},
    wire::Outbox,
};

use super::{Room, RoomContext, client_info::ClientInfo, lock::EventLock};

/// An event in a room.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Init,
    Connect(ClientId, Rc<Outbox>, Box<ClientInfo>),
    Disconnect(ClientId),
    /// A message from the client with this outbox.
    Message(ClientId, &'a Outbox, MessagePayload<'a>),
    /// The timer is due that was asked for with this request.
    Timer(u64),
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The service had no space for the message.
    Refused,
    /// The room is no more.
    Ended,
}

/// The state of a submitted event.
pub(crate) enum Submitted<'a, F: EngineFactory> {
    Over(Outcome),
    /// The event takes longer than a slice. It [goes on](EventLock::finish) with the lock.
    Unfinished(EventLock<F>),
    /// The room is busy. Nothing has happened.
    Busy(Event<'a>),
}

impl<F: EngineFactory> Room<F> {
    /// Hands an event in, which is nearly always over with that. This and [`handle`](Self::handle), which waits for what is left,
    /// are the only way into a room.
    pub(crate) fn submit<'a>(self: &Rc<Self>, event: Event<'a>) -> Submitted<'a, F> {
        if !self.initialized.get() {
            self.initialize();
        }
        match EventLock::try_acquire(self) {
            Some(lock) => match lock.begin(event) {
                Some(outcome) => Submitted::Over(outcome),
                None => Submitted::Unfinished(lock),
            },
            None => Submitted::Busy(event),
        }
    }

    /// Runs an event from its beginning to its end, and lets others go on in between when it takes long.
    pub(crate) async fn handle(self: &Rc<Self>, event: Event<'_>) -> Outcome {
        match self.submit(event) {
            Submitted::Over(outcome) => outcome,
            Submitted::Unfinished(lock) => lock.finish().await,
            Submitted::Busy(event) => {
                let lock = EventLock::acquire(self).await;
                match lock.begin(event) {
                    Some(outcome) => outcome,
                    None => lock.finish().await,
                }
            }
        }
    }

    /// Waits until `init` has run. Returns nothing where it failed.
    pub(crate) async fn ready(self: &Rc<Self>) -> Option<()> {
        if !self.initialized.get() {
            self.initialize();
        }
        drop(EventLock::acquire(self).await);
        (!self.ended.get()).then_some(())
    }

    /// Hands `init` in, which comes before all other events. Where it takes longer than a slice, a task of its own goes on with
    /// it: whoever has wanted the room may go meanwhile.
    #[cold]
    fn initialize(self: &Rc<Self>) {
        self.initialized.set(true);
        if let Some(lock) = EventLock::try_acquire(self)
            && lock.begin(Event::Init).is_none()
        {
            self.thread().spawn_rare(async move { _ = lock.finish().await });
        }
    }
}

impl<F: EngineFactory> EventLock<F> {
    /// Begins an event, and goes on with it for a slice. The outcome, if it is over then.
    #[inline]
    fn begin(&self, event: Event<'_>) -> Option<Outcome> {
        let room = &*self.room;
        if room.ended.get() {
            return Some(Outcome::Ended);
        }
        match event {
            Event::Init => self.slice(Some(engine::Event::Init)),
            Event::Connect(client, outbox, info) => {
                room.context.roster.add(client, outbox);
                room.context.newcomer.replace(Some((client, info)));
                self.slice(Some(engine::Event::Connect(client)))
            }
            Event::Disconnect(client) => {
                room.context.roster.remove(client);
                self.slice(Some(engine::Event::Disconnect(client)))
            }
            // It was said before the client was closed, and comes to its turn afterwards.
            Event::Message(_, outbox, _) if outbox.is_closed_by_room() => Some(Outcome::Done),
            Event::Message(client, _, payload) => self.slice(Some(engine::Event::Message(client, payload))),
            Event::Timer(request) if request != room.timer_request.get() => Some(Outcome::Done),
            Event::Timer(_) => self.slice(Some(engine::Event::Timer)),
        }
    }

    /// Goes on with an event that is not over with its first slice. Events that finish in their first slice skip the
    /// scheduler. All others queue, so that events just below the time slice cannot starve longer ones.
    pub(crate) async fn finish(&self) -> Outcome {
        let (thread, deliveries) = (&self.room.context.thread, &self.room.context.deliveries);
        loop {
            let kind = if deliveries.is_pending() { Kind::Delivery } else { Kind::Slice };
            let _granted = thread.scheduler.acquire(kind).await;
            let begin = Instant::now();
            loop {
                if let Some(outcome) = self.slice(None) {
                    return outcome;
                }
                let waits =
                    deliveries.is_pending() || deliveries.is_enough() || self.unsettled.borrow().is_some();
                if waits || begin.elapsed() >= TIME_SLICE {
                    break;
                }
            }
        }
    }

    /// Begins an event, or goes on with the one before, for a slice. The outcome, if it is over then.
    fn slice(&self, event: Option<engine::Event<'_>>) -> Option<Outcome> {
        let room = &self.room;
        let context = &room.context;
        let deliveries = &context.deliveries;
        deliveries.reset();
        // What was sent before goes first.
        if !deliveries.is_ordinary() {
            deliveries.go_on(&context.roster);
            if deliveries.is_pending() {
                return None;
            }
            deliveries.settle();
        }
        let engine = &mut *room.engine.borrow_mut();
        let (step, attempts) = match self.unsettled.take() {
            Some(unsettled) => (unsettled.step, unsettled.attempts),
            None => (advance(engine, event, context), 0),
        };
        if let Step::Failed(reason) = step {
            room.fail(&reason);
            return Some(Outcome::Ended);
        }
        let is_settled = room.settle_memory(engine).is_ok();
        if !is_settled && attempts < ATTEMPTS && room.thread().hibernation.can_reclaim(Purpose::Running) {
            self.unsettled.replace(Some(Box::new(Unsettled { step, attempts: attempts + 1 })));
            return None;
        }
        if !is_settled || !deliveries.is_ordinary() && deliveries.take_failed() {
            room.fail("the server has no memory left for it (`--max-total-memory`)");
            return Some(Outcome::Ended);
        }
        let Step::Ended(outcome) = step else { return None };
        if deliveries.is_pending() {
            return None;
        }
        if room.reserved.take() > 0 || context.has_newcomer() {
            context.newcomer.take();
        }
        if let Some(ms) = context.timer.take() {
            room.set_timer(ms);
        }
        if room.idle.touch() {
            room.queue_for_hibernation(engine);
        }
        Some(outcome)
    }
}

/// The state of an event after a slice of it.
#[derive(Debug)]
enum Step {
    Unfinished,
    Ended(Outcome),
    Failed(String),
}

/// A slice that has taken memory for which there is no space yet. The event goes on when other rooms hibernate.
#[derive(Debug)]
pub(super) struct Unsettled {
    step: Step,
    /// The number of times that there was no space.
    attempts: usize,
}

/// The maximum number of attempts to charge a slice while others hibernate. One takes about 0.5 ms.
const ATTEMPTS: usize = 200;

/// Begins an event, or goes on with it. A service that panics takes its own room down and nothing else.
fn advance<E: Engine>(engine: &mut E, event: Option<engine::Event<'_>>, context: &RoomContext) -> Step {
    let step = catch_unwind(AssertUnwindSafe(|| {
        if let Some(event) = event {
            engine.begin(event, context);
        }
        match engine.advance(context) {
            Progress::Done => Step::Ended(Outcome::Done),
            Progress::Unfinished => Step::Unfinished,
            Progress::Refused => Step::Ended(Outcome::Refused),
            Progress::Failed(reason) => Step::Failed(reason.to_string()),
        }
    }));
    step.unwrap_or_else(|panic| Step::Failed(panic_message(&*panic)))
}

/// Returns the message of a service that has panicked.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the service panicked: {}", text.unwrap_or("(no message)"))
}

impl<F: EngineFactory> fmt::Debug for Submitted<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over(outcome) => f.debug_tuple("Over").field(outcome).finish(),
            Self::Unfinished(lock) => f.debug_tuple("Unfinished").field(lock).finish(),
            Self::Busy(event) => f.debug_tuple("Busy").field(event).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        room::{
            Registry,
            tests::{Takers, taker},
        },
        settings::Settings,
        thread::{Hibernate as _, Thread},
    };

    /// Returns a room that wants 10 MiB of the 16 MiB that there are, and an idle one with 8 MiB, which hibernates in so
    /// many steps.
    fn rooms(steps: usize) -> [Rc<Room<Takers>>; 2] {
        let thread = Thread::for_tests(Settings { total_memory: 16 << 20, ..Settings::default() });
        let registry = Registry::new(Arc::new(Takers), thread, Arc::default(), || {});
        let idle = taker(&registry, &format!("{}-{steps}", 8 << 20));
        assert!(matches!(idle.submit(Event::Disconnect(ClientId(1))), Submitted::Over(Outcome::Done)));
        [taker(&registry, &(10 << 20).to_string()), idle]
    }

    /// Runs an event that takes memory for which there is no space at once.
    fn outcome(room: &Rc<Room<Takers>>) -> Outcome {
        let Submitted::Unfinished(lock) = room.submit(Event::Disconnect(ClientId(1))) else {
            panic!("there is memory for it")
        };
        (0..=ATTEMPTS).find_map(|_| lock.slice(None)).expect("it does not wait for ever")
    }

    #[test]
    fn a_room_waits_for_memory_while_others_hibernate() {
        // One charge waits for fewer steps than that.
        let [room, idle] = rooms(100);
        assert_eq!(outcome(&room), Outcome::Done);
        assert!(idle.idle_state().hibernates());
        assert_eq!(room.thread().memory.used() >> 20, 10);
    }

    #[test]
    fn a_room_does_not_wait_for_memory_for_ever() {
        let [room, _idle] = rooms(usize::MAX);
        assert_eq!(outcome(&room), Outcome::Ended);
    }
}

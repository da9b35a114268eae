use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Instant,
};

use stateroom_core::{
    ClientId, MessagePayload,
    engine::{self, Engine as _, EngineFactory, Progress},
};

use crate::{
    metrics::Metrics,
    thread::{Kind, TIME_SLICE},
    wire::Outbox,
};

use super::{Room, client_info::ClientInfo, lock::EventLock};

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
    /// The room has started afresh, and a client that is in it connects again.
    Reconnect(ClientId, Box<ClientInfo>),
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
    pub(super) fn begin(&self, event: Event<'_>) -> Option<Outcome> {
        let is_sampled = self.metrics().begin_event();
        if is_sampled | self.room.context.trace.is_on() {
            return self.begin_observed(event, is_sampled);
        }
        self.begin_unobserved(event)
    }

    /// Begins an event that is measured, or recorded for somebody who watches the room, or both.
    #[cold]
    #[inline(never)]
    fn begin_observed(&self, event: Event<'_>, is_sampled: bool) -> Option<Outcome> {
        if is_sampled {
            self.metrics().begin_sample(self.key());
        }
        let outcome = if self.room.context.trace.is_on() {
            self.begin_traced(event)
        } else {
            self.begin_unobserved(event)
        };
        if outcome.is_some() {
            self.end_sample();
        }
        outcome
    }

    /// Notes the time and the fuel of the event that is over, if it is measured.
    fn end_sample(&self) {
        self.metrics().end_sample(self.key(), || self.room.engine.borrow().fuel_used());
    }

    /// Returns a number that the rooms of a thread do not share.
    fn key(&self) -> usize {
        Rc::as_ptr(&self.room).addr()
    }

    fn metrics(&self) -> &Metrics {
        &self.room.context.thread.metrics
    }

    #[inline]
    fn begin_unobserved(&self, event: Event<'_>) -> Option<Outcome> {
        let room = &*self.room;
        if room.ended.get() {
            return Some(Outcome::Ended);
        }
        let outcome = match event {
            Event::Init => self.slice(Some(engine::Event::Init)),
            Event::Connect(client, outbox, info) => {
                room.context.roster.add(client, outbox);
                room.context.newcomer.replace(Some((client, info)));
                self.slice(Some(engine::Event::Connect(client)))
            }
            Event::Reconnect(client, info) => {
                room.context.newcomer.replace(Some((client, info)));
                self.slice(Some(engine::Event::Connect(client)))
            }
            Event::Disconnect(client) => {
                room.context.roster.remove(client);
                room.context.kept_info.take(client);
                self.slice(Some(engine::Event::Disconnect(client)))
            }
            // It was said before the client was closed, and comes to its turn afterwards.
            Event::Message(_, outbox, _) if outbox.is_closed_by_room() => Some(Outcome::Done),
            Event::Message(client, _, payload) => self.slice(Some(engine::Event::Message(client, payload))),
            Event::Timer(request) if request != room.timer_request.get() => Some(Outcome::Done),
            Event::Timer(_) => self.slice(Some(engine::Event::Timer)),
        };
        if outcome.is_none() {
            room.began.set(Some(room.context.thread.clock.now()));
        }
        outcome
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
                let slice = || self.slice(None);
                let trace = &self.room.context.trace;
                if let Some(outcome) = if trace.is_on() { self.traced(slice) } else { slice() } {
                    self.room.began.set(None);
                    self.end_sample();
                    return outcome;
                }
                if deliveries.is_pending() || deliveries.is_enough() || begin.elapsed() >= TIME_SLICE {
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
        // A service that panics takes its own room down and nothing else.
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
        let step = step.unwrap_or_else(|panic| Step::Failed(panic_message(&*panic)));
        if let Step::Failed(reason) = step {
            room.fail(engine.failure_kind(), &reason);
            engine.report_failure(context);
            return Some(Outcome::Ended);
        }
        let is_over = matches!(step, Step::Ended(_));
        if !room.note_in_history(engine, is_over) {
            return Some(Outcome::Ended);
        }
        if !deliveries.is_ordinary() && deliveries.take_failed() || room.settle_memory(engine).is_err() {
            // Clients get what the event has sent.
            if room.add_waiting_before_failure(engine) {
                room.fail_for_memory();
            }
            return Some(Outcome::Ended);
        }
        let Step::Ended(outcome) = step else { return None };
        if deliveries.is_pending() {
            return None;
        }
        if room.reserved.take() > 0 || context.has_newcomer() {
            let newcomer = context.newcomer.take();
            room.is_new.set(room.is_new.get() && newcomer.is_none());
            if let Some((client, info)) = newcomer {
                context.kept_info.add(client, info);
            }
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

impl<F: EngineFactory> EventLock<F> {
    /// Begins an event, and its record.
    #[cold]
    fn begin_traced(&self, event: Event<'_>) -> Option<Outcome> {
        let room = &*self.room;
        // Some do not happen any more.
        let is_over = match &event {
            Event::Message(_, outbox, _) => outbox.is_closed_by_room(),
            Event::Timer(request) => *request != room.timer_request.get(),
            Event::Init | Event::Connect(..) | Event::Reconnect(..) | Event::Disconnect(_) => false,
        };
        if is_over || room.ended.get() {
            return self.begin_unobserved(event);
        }
        if room.idle.hibernates() {
            room.context.trace_state("wakes", None);
        }
        room.context.trace.begin(&event, room.context.thread.clock.unix_ms());
        self.traced(|| self.begin_unobserved(event))
    }

    /// Runs a slice of an event, and records what it took.
    #[cold]
    fn traced(&self, slice: impl FnOnce() -> Option<Outcome>) -> Option<Outcome> {
        let begun = Instant::now();
        let outcome = slice();
        let engine = self.room.engine.borrow();
        let (fuel, memory) = (engine.fuel_used(), engine.memory_held());
        self.room.context.trace.note_slice(begun.elapsed(), outcome, fuel, memory);
        outcome
    }
}

/// The state of an event after a slice of it.
enum Step {
    Unfinished,
    Ended(Outcome),
    Failed(String),
}

/// The kind of failure of a service that has panicked.
pub(super) const PANIC: &str = "panic";

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

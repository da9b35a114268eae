//! Rooms take over another version of their service, while their clients stay.

use std::{
    ops::AddAssign,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Instant,
};

use smol::channel::bounded;
use stateroom_core::engine::{EngineFactory, Renewal};

use crate::{
    memory::Purpose,
    thread::{Kind, TIME_SLICE},
};

use super::{
    Registry, Room, RoomId,
    event::{Event, PANIC, panic_message},
    lock::EventLock,
};

/// The rooms that were renewed, by what has become of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Renewals {
    pub(crate) loaded: Rooms,
    pub(crate) replayed: Rooms,
    pub(crate) fresh: Rooms,
    pub(crate) kept: Rooms,
}

/// Some rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rooms {
    pub(crate) count: usize,
    /// The ids of the first ones.
    pub(crate) first: Vec<RoomId>,
}

/// The number of rooms of a kind that are named.
const NAMED: usize = 5;

impl Rooms {
    fn add(&mut self, room: &RoomId) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(room.clone());
        }
    }
}

impl AddAssign for Rooms {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(NAMED);
    }
}

impl AddAssign for Renewals {
    fn add_assign(&mut self, other: Self) {
        self.loaded += other.loaded;
        self.replayed += other.replayed;
        self.fresh += other.fresh;
        self.kept += other.kept;
    }
}

impl<F: EngineFactory> Registry<F> {
    /// Lets all rooms run what the factory builds now, one after the other. Those that come meanwhile do so already.
    pub(crate) async fn renew(self: &Rc<Self>) -> Renewals {
        let (mut renewals, mut last) = (Renewals::default(), None);
        while let Some(room) = self.next(last.as_ref()) {
            match room.renew().await {
                Renewal::Unchanged | Renewal::Unfinished => {}
                Renewal::Loaded => renewals.loaded.add(room.id()),
                Renewal::Replayed => renewals.replayed.add(room.id()),
                Renewal::Fresh => renewals.fresh.add(room.id()),
                Renewal::Kept => renewals.kept.add(room.id()),
            }
            last = Some(room.id().clone());
        }
        renewals
    }
}

impl<F: EngineFactory> Room<F> {
    /// Lets a room that has come from the disk run what the factory builds now. This goes on if nobody waits for it any more.
    pub(super) async fn renew_restored(self: &Rc<Self>) {
        let (end, ended) = bounded::<()>(1);
        let room = Rc::clone(self);
        self.thread().spawn_rare(async move {
            let _end = end;
            if room.renew().await == Renewal::Loaded {
                let line =
                    || format!("room {} continues with its saved state in the current module", room.id());
                room.thread().log.event(log::Level::Debug, room.about(), line);
            }
        });
        // Nothing is ever sent.
        let _ = ended.recv().await;
    }

    async fn renew(self: &Rc<Self>) -> Renewal {
        // Its `init` comes before all else, also if nobody has wanted the room until now.
        if self.ready().await.is_none() {
            return Renewal::Unchanged;
        }
        let lock = EventLock::acquire(self).await;
        let renewal = lock.renew().await;
        match renewal {
            Renewal::Fresh => lock.start_again().await,
            // Loading has had effects, as an event has.
            Renewal::Loaded => {
                lock.finish().await;
                self.keep_sessions_again();
            }
            _ => {}
        }
        renewal
    }

    /// Does a step of the renewal of its engine.
    fn renew_step(self: &Rc<Self>) -> Renewal {
        let Some(registry) = self.registry.upgrade().filter(|_| !self.ended.get()) else {
            return Renewal::Unchanged;
        };
        let engine = &mut *self.engine.borrow_mut();
        let renewed = catch_unwind(AssertUnwindSafe(|| registry.factory().renew(engine, &self.context)));
        let renewal = match renewed {
            Ok(renewal) => renewal,
            Err(panic) => {
                self.fail(PANIC, &panic_message(&*panic));
                return Renewal::Unchanged;
            }
        };
        if renewal == Renewal::Unfinished {
            // What is built next to the room is new, and ends no other room to get memory.
            if self.charge_as(self.held_by(engine), Purpose::NewRoom).is_ok() {
                return renewal;
            }
            registry.factory().cancel_renewal(engine);
            // It is less than before.
            let _ = self.settle_memory(engine);
            let line =
                || format!("room {} keeps its module: there is no memory for its new version", self.id());
            self.thread().log.event(log::Level::Warn, self.about(), line);
            return Renewal::Kept;
        }
        if self.settle_memory(engine).is_err() {
            self.fail_for_memory();
            return Renewal::Unchanged;
        }
        if let Some(ms) = self.context.timer.take() {
            self.set_timer(ms);
        }
        if matches!(renewal, Renewal::Loaded | Renewal::Replayed | Renewal::Fresh) {
            self.renew_history(engine, renewal == Renewal::Loaded);
        }
        if self.idle.touch() {
            self.queue_for_hibernation(engine);
        }
        renewal
    }
}

impl<F: EngineFactory> EventLock<F> {
    /// Renews the room's engine, and lets other rooms go on in between.
    async fn renew(&self) -> Renewal {
        // Most rooms have nothing to do, if this is the second time.
        match self.room.renew_step() {
            Renewal::Unfinished => {}
            renewal => return self.renewed(renewal),
        }
        loop {
            let _granted = self.room.thread().scheduler.acquire(Kind::Slice).await;
            let begin = Instant::now();
            while begin.elapsed() < TIME_SLICE {
                match self.room.renew_step() {
                    Renewal::Unfinished => {}
                    renewal => return self.renewed(renewal),
                }
            }
        }
    }

    /// Notes the end of a renewal.
    fn renewed(&self, renewal: Renewal) -> Renewal {
        if matches!(renewal, Renewal::Loaded | Renewal::Replayed | Renewal::Fresh) {
            self.room.context.trace_state("renewed", None);
        }
        renewal
    }

    /// Hands in the events that lead to a new room with the clients that there are.
    async fn start_again(&self) {
        self.run(Event::Init).await;
        let context = &self.room.context;
        let mut begin = Instant::now();
        for client in context.roster.clients() {
            if begin.elapsed() >= TIME_SLICE {
                drop(self.room.thread().scheduler.acquire(Kind::Slice).await);
                begin = Instant::now();
            }
            // There is one for each, in a server whose rooms start afresh.
            if let Some(info) = context.kept_info.take(client) {
                self.run(Event::Reconnect(client, info)).await;
            }
        }
    }

    async fn run(&self, event: Event<'_>) {
        if self.begin(event).is_none() {
            self.finish().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Waker},
    };

    use stateroom_core::{
        ClientId,
        engine::{self, Engine, EngineContext, Progress},
    };

    use crate::{settings::Settings, thread::Thread};

    use super::*;

    /// Builds engines whose renewal takes more than one step.
    struct Slow;

    /// Notes its events.
    #[derive(Default)]
    struct Notes(Vec<&'static str>);

    impl EngineFactory for Slow {
        type Engine = Notes;
        type Error = Infallible;

        fn build(&self, _: &str, _: &impl EngineContext) -> Result<Notes, Infallible> {
            Ok(Notes::default())
        }

        fn renew(&self, engine: &mut Notes, _: &impl EngineContext) -> Renewal {
            engine.0.push("renewal");
            Renewal::Unfinished
        }
    }

    impl Engine for Notes {
        fn begin(&mut self, event: engine::Event<'_>, _: &impl EngineContext) {
            self.0.push(if event == engine::Event::Init { "init" } else { "another event" });
        }

        fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
            Progress::Done
        }
    }

    #[test]
    fn a_room_that_nobody_has_wanted_yet_begins_before_it_is_renewed() {
        let thread = Thread::for_tests(Settings::default());
        let registry = Registry::new(Arc::new(Slow), thread, Arc::default(), || {});
        let room = registry.find_or_create(RoomId::default_room()).unwrap();
        let mut renewing = pin!(registry.renew());
        assert!(renewing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // This one waits for the end of the renewal.
        let submitted = room.submit(Event::Disconnect(ClientId(1)));
        assert!(matches!(submitted, crate::room::Submitted::Busy(_)));
        assert_eq!(room.engine.borrow().0, ["init", "renewal"]);
    }
}

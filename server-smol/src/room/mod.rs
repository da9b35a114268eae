//! A room: a service, its clients, its timer, and the events that happen to it.

mod client_info;
mod context;
mod deliveries;
mod dormant;
mod durable_sessions;
mod event;
mod history;
mod id;
mod kept;
mod lock;
mod opening;
#[cfg(feature = "rooms")]
mod operator;
mod registry;
mod renewal;
mod roster;
mod session_notes;
mod session_request;
mod sessions;
#[cfg_attr(not(feature = "built-in"), path = "no_trace.rs")]
mod trace;
mod waiting_sessions;

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use smol::Task;
use stateroom_core::{
    ClientId,
    abi::CLOSE_REASON_SIZE,
    engine::{Engine as _, EngineFactory, Hibernation},
};

use crate::{
    close::CloseReason,
    log_line::{About, debug_about},
    memory::{Charge, OutOfMemory, Purpose},
    metrics::Count,
    reactor::Timer,
    settings::ShutdownPolicy,
    subnet::Subnet,
    thread::{Cut, Hibernate, HibernateOutcome, IdleState, OneLine, Thread},
    wire::Outbox,
};

use self::{
    context::RoomContext,
    event::{PANIC, panic_message},
    history::RoomHistory,
    lock::LockQueue,
};

pub(crate) use client_info::{ClientInfo, Header};
pub(crate) use event::{Event, Outcome, Submitted};
pub(crate) use id::RoomId;
#[cfg(feature = "rooms")]
pub(crate) use kept::{Base, NotImported, Presence};
pub(crate) use lock::EventLock;
#[cfg(feature = "rooms")]
pub(crate) use operator::{Action, Announcement, NotDone};
pub(crate) use registry::{CreateRoomError, Registry, RoomCounts, RoomStatus};
pub(crate) use renewal::{Renewals, Rooms};
pub(crate) use session_request::{SESSION_PROTOCOL, SessionRequest, Token, number};
pub(crate) use sessions::{Resumable, Resumption, Sessions};
pub(crate) use waiting_sessions::WaitingSession;

/// The time that a room that was created with `POST` waits for its first client.
const FIRST_CLIENT: Duration = Duration::from_secs(60);

/// The memory of a room without its service, in bytes: its structures, and its entries in the thread's lists.
const OVERHEAD: usize = 1 << 10;

/// The memory of a room's timer, in bytes: its task, and its entry among the thread's timers.
const TIMER: usize = 768;

/// The bytes that a room may take beyond what it began with, and still count as one that takes little. A room takes some when it
/// answers a message. It is not to fail for the memory that others hold.
const LITTLE: usize = 64 << 10;

/// A service and the clients that are connected to it. It lives on one thread, together with their connections.
pub(crate) struct Room<F: EngineFactory> {
    /// The engine. The holder of the lock runs its events: they come one at a time, those of one client in order.
    engine: RefCell<F::Engine>,
    /// True if `init` has run, or runs.
    initialized: Cell<bool>,
    lock: LockQueue<F>,
    context: RoomContext,
    /// The sessions that can continue on another connection.
    pub(crate) sessions: Sessions,
    next_client: Cell<u32>,
    /// The number of the room's connections, with those whose `connect` is still to come.
    occupants: Cell<usize>,
    /// The tasks that wait to fire the timer, and to end the room when it stays empty.
    timer: RefCell<Option<Task<()>>>,
    vacancy: RefCell<Option<Task<()>>>,
    /// Counts the requests for a timer, so that one that is due while a later one is made does not fire.
    timer_request: Cell<u64>,
    /// The time at which the event that runs began, if it takes more than one slice. All others are over in the pass in which
    /// they begin, so the time of the pass is theirs.
    began: Cell<Option<Instant>>,
    idle: IdleState,
    ended: Cell<bool>,
    /// True until the first `connect` is over.
    is_new: Cell<bool>,
    /// The number of bytes that its engine held when it was last charged for them, and the charge.
    held: Cell<usize>,
    memory: RefCell<Charge>,
    /// The most bytes that its engine may hold if the room is to count as one that takes little.
    little: usize,
    /// The least charge for it until its first event is over, because it gets its memory in steps.
    reserved: Cell<usize>,
    registry: Weak<Registry<F>>,
    /// True if its history does not end with it: the server has no memory for it now.
    stays_on_disk: Cell<bool>,
    /// Its history in the journal, if it is kept on disk.
    history: OnceCell<Box<RoomHistory>>,
    /// Its key among the empty rooms, while it is one of them.
    empty: Cell<Option<registry::EmptyKey>>,
}

impl<F: EngineFactory> Room<F> {
    /// Makes a room. Its service's `init` runs before its first event, or with [`ready`](Self::ready).
    fn new(id: RoomId, registry: &Rc<Registry<F>>) -> Result<Rc<Self>, CreateRoomError> {
        let room = Self::build(id, registry, |context| {
            let engine = registry.factory().build(context.id.as_str(), context);
            let error = engine.as_ref().err();
            error.iter().for_each(|error| {
                let line = || format!("room {} cannot be made: {}", context.id, Cut::new(&error.to_string()));
                context.thread.log.event(log::Level::Error, About::room(context.id.as_str()), line);
            });
            engine.ok()
        })?;
        let settled = room.settle_memory(&room.engine.borrow());
        settled.map_err(|OutOfMemory| CreateRoomError::OutOfMemory)?;
        if let Some(journal) = room.thread().journal() {
            room.begin_history(journal);
        }
        room.context.trace_state("began", None);
        Ok(room)
    }

    /// Makes a room with this engine. If there is none, the log says why.
    fn build(
        id: RoomId,
        registry: &Rc<Registry<F>>,
        build: impl FnOnce(&RoomContext) -> Option<F::Engine>,
    ) -> Result<Rc<Self>, CreateRoomError> {
        let thread = registry.thread();
        let size = registry.factory().room_size();
        let memory = thread.memory.charge(OVERHEAD + id.as_str().len() + size, Purpose::NewRoom);
        let memory = memory.map_err(|OutOfMemory| CreateRoomError::OutOfMemory)?;
        let context = RoomContext::new(id, Rc::clone(thread));
        registry.subscriptions.attach(&context.id, &context.trace);
        let engine = match catch_unwind(AssertUnwindSafe(|| build(&context))) {
            Ok(Some(engine)) => engine,
            Ok(None) => return Err(CreateRoomError::Failed),
            Err(_) => {
                let line = || format!("room {} cannot be made: the service panicked", context.id);
                thread.log.event(log::Level::Error, About::room(context.id.as_str()), line);
                return Err(CreateRoomError::Failed);
            }
        };
        let room = Self {
            engine: RefCell::new(engine),
            initialized: Cell::new(false),
            lock: LockQueue::default(),
            context,
            sessions: Sessions::default(),
            next_client: Cell::new(1),
            occupants: Cell::new(0),
            timer: RefCell::default(),
            vacancy: RefCell::default(),
            timer_request: Cell::new(0),
            began: Cell::new(None),
            idle: IdleState::default(),
            ended: Cell::new(false),
            is_new: Cell::new(true),
            held: Cell::new(size),
            reserved: Cell::new(size),
            memory: RefCell::new(memory),
            little: size + LITTLE,
            registry: Rc::downgrade(registry),
            stays_on_disk: Cell::new(false),
            history: OnceCell::new(),
            empty: Cell::new(None),
        };
        Ok(Rc::new(room))
    }

    pub(crate) fn id(&self) -> &RoomId {
        &self.context.id
    }

    /// Returns what a line of the log about it is about.
    pub(crate) fn about(&self) -> About<'_> {
        About::room(self.id().as_str())
    }

    pub(crate) fn thread(&self) -> &Rc<Thread> {
        &self.context.thread
    }

    /// Makes a place for a connection, which has to be given back with [`leave`](Self::leave).
    ///
    /// # Errors
    /// There are as many clients in the room as there may be, or it has had as many as can have an id.
    pub(crate) fn enter(self: &Rc<Self>) -> Result<ClientId, CloseReason> {
        let client = ClientId(self.next_client.get());
        if client > ClientId::MAX {
            return Err(CloseReason::OutOfClientIds);
        }
        if self.thread().settings.max_clients_per_room.is_some_and(|most| self.occupants.get() >= most) {
            return Err(CloseReason::RoomFull);
        }
        self.next_client.set(client.0 + 1);
        self.occupants.set(self.occupants.get() + 1);
        self.vacancy.take();
        self.note_emptiness();
        Ok(client)
    }

    /// Makes a place for a client that was in the room when the server ended.
    fn occupy(&self) {
        self.occupants.set(self.occupants.get() + 1);
    }

    /// Lets a client know when the room or the server ends, while it waits for its `connect`.
    pub(crate) fn expect(&self, outbox: &Rc<Outbox>) {
        // All others have been told by now.
        if self.ended.get() {
            return outbox.close(CloseReason::RoomEnded);
        }
        self.context.roster.expect(outbox);
        if let Some(registry) = self.registry.upgrade()
            && let Some(reason) = registry.shut_down_reason()
        {
            outbox.close(reason.clone());
        }
    }

    /// Forgets a client that waits for its `connect`. Returns whether it did: there is none where its `connect` has begun, or
    /// the room has ended.
    pub(crate) fn forget(&self, outbox: &Rc<Outbox>) -> bool {
        self.context.roster.forget(outbox)
    }

    /// Notes that the session of a client waits for another connection, until the result is dropped.
    pub(crate) fn wait_for_client(&self, subnet: Subnet, outbox: &Rc<Outbox>) -> Option<WaitingSession> {
        self.registry.upgrade().map(|registry| registry.wait_for_client(subnet, outbox))
    }

    /// Notes that a client that is here has another connection.
    pub(crate) fn reconnect(&self, client: ClientId, outbox: &Rc<Outbox>) {
        self.context.roster.replace(client, outbox);
    }

    fn is_shutting_down(&self) -> bool {
        self.registry.upgrade().is_none_or(|registry| registry.shut_down_reason().is_some())
    }

    /// Gives a place back.
    pub(crate) fn leave(self: &Rc<Self>) {
        self.occupants.set(self.occupants.get() - 1);
        if self.occupants.get() > 0 || self.ended.get() {
            return;
        }
        self.note_emptiness();
        match self.thread().settings.shutdown {
            // The connection may have taken longer to close than the room to become idle.
            ShutdownPolicy::Never if self.idle.hibernates() => {
                self.registry.upgrade().into_iter().for_each(|registry| _ = registry.leave_memory(self));
            }
            ShutdownPolicy::Never => {}
            // Its clients leave because the server shuts down.
            _ if self.history.get().is_some() && self.is_shutting_down() => {}
            ShutdownPolicy::Immediate => self.finish("its last client has left"),
            ShutdownPolicy::After(delay) => self.arm_empty_timer(delay),
        }
    }

    /// Gives a room that nobody has entered yet some time before it ends.
    pub(crate) fn arm_first_client_timer(self: &Rc<Self>) {
        match self.thread().settings.shutdown {
            ShutdownPolicy::Never => {}
            ShutdownPolicy::Immediate => self.arm_empty_timer(FIRST_CLIENT),
            ShutdownPolicy::After(delay) => self.arm_empty_timer(delay.max(FIRST_CLIENT)),
        }
    }

    /// Ends the room if it is still empty after `delay`.
    fn arm_empty_timer(self: &Rc<Self>, delay: Duration) {
        if self.occupants.get() > 0 {
            return;
        }
        let room = Rc::downgrade(self);
        let timer = Timer::after(delay);
        let task = self.thread().spawn(async move {
            timer.await;
            if let Some(room) = room.upgrade() {
                if let Some(this) = room.vacancy.take() {
                    this.detach();
                }
                room.finish("nobody has come");
            }
        });
        self.vacancy.replace(task);
    }

    /// Returns whether nobody is here.
    fn is_empty(&self) -> bool {
        self.occupants.get() == 0
    }

    /// Returns whether anybody has ever been here.
    fn was_entered(&self) -> bool {
        self.next_client.get() > 1
    }

    fn note_emptiness(self: &Rc<Self>) {
        if let Some(registry) = self.registry.upgrade() {
            registry.note_emptiness(self);
        }
    }

    /// Enters the room into the queue, so that it hibernates when it has been idle for a while, if its service can.
    fn queue_for_hibernation(self: &Rc<Self>, engine: &F::Engine) {
        let size = engine.reclaimable();
        if size > 0 && !self.ended.get() {
            let room: Rc<Self> = Rc::clone(self);
            self.thread().hibernation.add(room, size);
        }
    }

    /// Charges the room for what it has come to hold.
    #[inline]
    fn settle_memory(&self, engine: &F::Engine) -> Result<(), OutOfMemory> {
        let held = self.held_by(engine);
        if held == self.held.get() { Ok(()) } else { self.charge(held) }
    }

    /// Returns how many bytes its engine holds, or will hold when it has got its memory.
    #[inline]
    fn held_by(&self, engine: &F::Engine) -> usize {
        engine.memory_held().max(self.reserved.get())
    }

    #[cold]
    fn charge(&self, held: usize) -> Result<(), OutOfMemory> {
        let purpose = match () {
            () if held <= self.little => Purpose::Small,
            // It belongs to its creation.
            () if self.is_new.get() => Purpose::NewRoom,
            () => Purpose::Running,
        };
        self.charge_as(held, purpose)
    }

    fn charge_as(&self, held: usize, purpose: Purpose) -> Result<(), OutOfMemory> {
        self.memory.borrow_mut().set(self.charged(held), purpose)?;
        self.held.set(held);
        Ok(())
    }

    /// Returns how many bytes the room is charged for, if its engine holds so many.
    fn charged(&self, held: usize) -> usize {
        let timer = if self.timer.borrow().is_some() { TIMER } else { 0 };
        OVERHEAD + self.id().as_str().len() + timer + held
    }

    /// Returns the number of deliveries of the last slice, in messages.
    pub(crate) fn deliveries(&self) -> usize {
        self.context.deliveries.count()
    }

    /// Sets the timer as an event has asked for it. The delay counts from the begin of the event: so a timer that is set in each
    /// of its own events keeps its rate, however long they take. If that time has passed already, the timer fires after those that
    /// wait for the room and for the thread.
    fn set_timer(self: &Rc<Self>, ms: u32) {
        let request = self.timer_request.get() + 1;
        self.timer_request.set(request);
        if ms == 0 {
            self.timer.take();
            return;
        }
        let room = Rc::downgrade(self);
        let began = self.began.get().unwrap_or_else(|| self.thread().clock.now());
        let timer = Timer::since(began, Duration::from_millis(ms.into()));
        let task = self.thread().spawn(async move {
            timer.await;
            if let Some(room) = room.upgrade() {
                // From here on the timer is an event, which a new timer must not cancel.
                if let Some(this) = room.timer.take() {
                    this.detach();
                }
                // What this takes is needed only now.
                Box::pin(room.handle(Event::Timer(request))).await;
            }
        });
        self.timer.replace(task);
        // It is a small amount, once for each room.
        self.memory.borrow_mut().set_taken(self.charged(self.held.get()));
    }

    /// Ends a room whose service is broken: its clients are closed, and the next connection gets a fresh
    /// room.
    fn fail(self: &Rc<Self>, kind: &'static str, reason: &str) {
        self.thread().metrics.fail(kind);
        // Its words may be the guest's.
        let line = || format!("room {} failed: {}", self.id(), OneLine(Cut::new(reason)));
        self.thread().log.event(log::Level::Error, self.about(), line);
        self.context.trace.fail(reason);
        let end = reason.floor_char_boundary(CLOSE_REASON_SIZE);
        let words = self.thread().settings.show_failures.then(|| reason[..end].into());
        self.end(&CloseReason::RoomFailed(words));
    }

    /// Ends the room because the server has no memory for it. If it is on disk, it can come back.
    fn fail_for_memory(self: &Rc<Self>) {
        self.stays_on_disk.set(true);
        self.fail("server_memory", "the server has no memory left for it (`--max-total-memory`)");
    }

    /// Returns the recording of its events, if there is one.
    pub(crate) fn recording(&self) -> Option<Vec<u8>> {
        let mut recording = Vec::new();
        let exists = self.engine.borrow().recording(&mut |piece| recording.extend_from_slice(piece));
        exists.then_some(recording)
    }

    /// Returns the room as the operator sees it.
    fn status(&self) -> RoomStatus {
        RoomStatus {
            id: self.id().clone(),
            clients: self.context.roster.clients(),
            hibernates: self.idle.hibernates(),
        }
    }

    /// Ends the room as the operator, or the program that the server is a part of, wants it.
    pub(crate) fn close(self: &Rc<Self>) {
        self.finish("it was closed");
    }

    fn finish(self: &Rc<Self>, reason: &str) {
        debug_about!(self.about(), "room {} ends: {reason}", self.id());
        self.end(&CloseReason::RoomEnded);
    }

    fn end(self: &Rc<Self>, reason: &CloseReason) {
        if !self.ended.replace(true) {
            self.thread().metrics.add(Count::RoomsEnded, 1);
            if !self.stays_on_disk.get() {
                self.end_history();
            }
        }
        self.context.trace_state("ended", Some(reason.words()));
        self.context.log.end(self.id().as_str());
        self.timer.take();
        self.context.deliveries.clear();
        for outbox in self.context.roster.clear() {
            outbox.close(reason.clone());
        }
        self.thread().hibernation.remove(&self.idle);
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(self);
            if self.stays_on_disk.get()
                && let Some(due) = self.timer_due_on_disk()
            {
                registry.add_dormant_again(due, self.id());
            }
        }
    }

    /// Leaves memory. The room is on disk, and its timer is due at this time there.
    fn leave_registry(self: &Rc<Self>, timer_due: Option<u64>) {
        self.ended.set(true);
        self.context.trace_state("leaves memory", None);
        self.context.log.end(self.id().as_str());
        self.timer.take();
        self.thread().hibernation.remove(&self.idle);
        if let Some(registry) = self.registry.upgrade() {
            registry.remove(self);
            timer_due.into_iter().for_each(|due| registry.dormant.add(due, self.id().clone()));
        }
    }

    /// Closes the connections of all clients, as the server shuts down for this reason.
    pub(crate) fn shut_down(&self, reason: &CloseReason) {
        for outbox in self.everybody() {
            outbox.close(reason.clone());
        }
    }

    /// Returns the outboxes of all clients, those included whose `connect` is still to come.
    pub(super) fn everybody(&self) -> Vec<Rc<Outbox>> {
        self.context.roster.everybody()
    }
}

impl<F: EngineFactory> Hibernate for Room<F> {
    fn idle_state(&self) -> &IdleState {
        &self.idle
    }

    fn has_clients(&self) -> bool {
        !self.is_empty()
    }

    fn hibernate(self: Rc<Self>) -> HibernateOutcome {
        if self.ended.get() {
            return HibernateOutcome::Ended;
        }
        // A task that has the lock, or waits for it, is in the middle of an event.
        let Some(_lock) = EventLock::try_acquire(&self) else {
            return HibernateOutcome::Busy(None);
        };
        let mut engine = self.engine.borrow_mut();
        // A client that waits for its `connect` would wake the room at once.
        if self.idle.take_touched() || self.context.roster.is_expecting() {
            return HibernateOutcome::Busy(Some(engine.reclaimable()));
        }
        let outcome = match catch_unwind(AssertUnwindSafe(|| engine.hibernate())) {
            Ok(Hibernation::Unfinished) => HibernateOutcome::Unfinished,
            Ok(Hibernation::Done) => {
                self.context.trace_state("hibernates", None);
                self.thread().metrics.add(Count::Hibernations, 1);
                HibernateOutcome::Hibernates
            }
            Ok(Hibernation::Kept) => HibernateOutcome::Kept,
            Err(panic) => {
                drop(engine);
                self.fail(PANIC, &panic_message(&*panic));
                return HibernateOutcome::Ended;
            }
        };
        if matches!(outcome, HibernateOutcome::Hibernates | HibernateOutcome::Kept)
            && self.may_leave_memory()
            && self.leave_memory(&mut engine)
        {
            return HibernateOutcome::Ended;
        }
        // What is saved so far comes on top of what is there, until that can go.
        let held = self.held_by(&engine);
        self.memory.borrow_mut().set_taken(self.charged(held));
        self.held.set(held);
        outcome
    }
}

impl<F: EngineFactory> fmt::Debug for Room<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use stateroom_core::{
        DefaultStateroomFactory, StateroomService,
        engine::{Engine, EngineContext, Progress},
    };

    use super::*;
    use crate::{reactor::Stream, settings::Settings};

    #[derive(Default)]
    pub(super) struct Silent;

    impl StateroomService for Silent {}

    pub(super) type Quiet = DefaultStateroomFactory<Silent>;

    /// Returns a room that nobody is in, on a thread that is not run.
    pub(super) fn room() -> Rc<Room<Quiet>> {
        let registry = Registry::new(
            Arc::new(Quiet::default()),
            Thread::for_tests(Settings::default()),
            Arc::default(),
            || {},
        );
        registry.find_or_create(RoomId::default_room()).unwrap()
    }

    /// Builds rooms that take as many bytes with an event as their ids say.
    struct Takers;

    struct Taker {
        wanted: usize,
        held: usize,
    }

    impl EngineFactory for Takers {
        type Engine = Taker;
        type Error = Infallible;

        fn build(&self, room_id: &str, _: &impl EngineContext) -> Result<Taker, Infallible> {
            Ok(Taker { wanted: room_id.parse().unwrap(), held: 0 })
        }
    }

    impl Engine for Taker {
        fn begin(&mut self, _: stateroom_core::engine::Event<'_>, _: &impl EngineContext) {
            self.held = self.wanted;
        }

        fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
            Progress::Done
        }

        fn memory_held(&self) -> usize {
            self.held
        }
    }

    #[test]
    fn who_comes_to_a_room_that_has_just_ended_is_told() {
        crate::reactor::block_on(async {
            let room = room();
            let client = room.enter();
            room.close();
            let buffers = Rc::clone(&room.thread().buffers);
            let outbox = Rc::new(Outbox::new(Stream::closed().unwrap(), buffers, 1 << 10));
            room.expect(&outbox);
            let closing = outbox.poll_closing(&mut Context::from_waker(Waker::noop()));
            assert_eq!((client, closing), (Ok(ClientId(1)), Poll::Ready(Some(CloseReason::RoomEnded))));
        });
    }

    #[test]
    fn a_room_that_takes_little_goes_on_where_others_have_taken_nearly_all_memory() {
        let settings = Settings { total_memory: 16 << 20, ..Settings::default() };
        let thread = Thread::for_tests(settings);
        let registry = Registry::new(Arc::new(Takers), Rc::clone(&thread), Arc::default(), || {});
        let taker = |bytes: usize| {
            let room = registry.find_or_create(RoomId::from_path(&bytes.to_string()).unwrap()).unwrap();
            room.initialized.set(true);
            room
        };
        let outcome = |room: &Rc<Room<Takers>>| match room.submit(Event::Disconnect(ClientId(1))) {
            Submitted::Over(outcome) => outcome,
            submitted => panic!("{submitted:?}"),
        };
        let (little, much) = (taker(LITTLE), taker(LITTLE + 1));
        much.is_new.set(false);
        let limit = thread.memory.limit();
        let fill = |sixteenths| {
            let bytes = limit / 16 * sixteenths - thread.memory.used();
            thread.memory.charge(bytes, Purpose::Running).unwrap()
        };
        let others = fill(15);
        assert_eq!((outcome(&little), outcome(&much)), (Outcome::Done, Outcome::Ended));
        drop(others);
        // What a room takes before anybody is in it belongs to its creation.
        let (new, old) = (taker(LITTLE + 2), taker(LITTLE + 3));
        old.is_new.set(false);
        let others = fill(13);
        assert_eq!((outcome(&new), outcome(&old)), (Outcome::Ended, Outcome::Done));
        drop(others);
        assert_eq!(outcome(&taker(LITTLE + 4)), Outcome::Done);
    }
}

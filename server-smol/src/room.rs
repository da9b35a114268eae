use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use smol::{
    Task,
    lock::{Mutex, MutexGuard},
};
use stateroom_sdk_core::{
    ClientId, LogLevel, MessagePayload, MessageRecipient, Progress, StateroomContext, StateroomService,
    StateroomServiceFactory, ToPayload,
    abi::{CLOSE_REASON_SIZE, is_close_code},
};

use crate::{
    client_info::ClientInfo,
    io::Io,
    log_budget::{LINES_A_SECOND, LogBudget},
    outbox::{Frame, Outbox},
    reactor::Timer,
    room_id::RoomId,
    settings::ShutdownPolicy,
    websocket::{Close, Opcode},
    worker::Worker,
};

/// How long a room that was created with `POST` waits for its first client.
const FIRST_CLIENT: Duration = Duration::from_secs(60);

/// How long a turn of an event is that takes longer than a slice. It goes on slice by slice until then.
///
/// Fuel is no measure of time: one slice takes several times as long as another, depending on what the guest does,
/// and ten times as long on a slower machine. Slices are short, so that the clock is looked at often.
pub(crate) const TURN: Duration = Duration::from_micros(250);

/// A service and the clients that are connected to it. It lives on one thread, together with their
/// connections.
pub(crate) struct Room<F: StateroomServiceFactory> {
    /// Held while an event runs: events come one at a time, those of one client in order.
    service: Mutex<Turn<F::Service>>,
    members: Members,
    next_client: Cell<u32>,
    /// How many connections the room has, those counted in whose `connect` is still to come.
    occupants: Cell<usize>,
    /// The tasks that wait to fire the timer, and to end the room when it stays empty.
    timer: RefCell<Option<Task<()>>>,
    vacancy: RefCell<Option<Task<()>>>,
    /// Counts the requests for a timer, so that one that is due while a later one is made does not fire.
    timer_request: Cell<u64>,
    ended: Cell<bool>,
    worker: Weak<Worker<F>>,
}

/// The service, for whoever has the turn.
pub(crate) struct Turn<S> {
    service: S,
    /// Whether `init` has run.
    initialized: bool,
}

/// Something that happens to a room.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    Connect(ClientId, Rc<Outbox>, Box<ClientInfo>),
    Disconnect(ClientId),
    /// From the client with this outbox.
    Message(ClientId, &'a Outbox, MessagePayload<'a>),
    /// The timer is due that was asked for with this request.
    Timer(u64),
}

/// How an event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// The service had no room for the message.
    Refused,
    /// The room is no more.
    Ended,
}

/// How a message stands after its first slice.
pub(crate) enum Begun<'r, F: StateroomServiceFactory> {
    Over(Outcome),
    /// It takes longer, and keeps the turn: see [`Room::complete`].
    Unfinished(MutexGuard<'r, Turn<F::Service>>),
    /// Somebody else has the turn. Nothing has happened.
    Busy,
}

impl<F: StateroomServiceFactory> Room<F> {
    /// Makes a room. Its service's `init` runs before its first event, or with [`ready`](Self::ready).
    pub(crate) fn new(id: RoomId, worker: &Rc<Worker<F>>) -> Result<Rc<Self>, F::Error> {
        let members = Members::new(id, worker.io());
        let service = worker.factory().build(members.id.as_str(), &members)?;
        Ok(Rc::new(Self {
            service: Mutex::new(Turn { service, initialized: false }),
            members,
            next_client: Cell::new(1),
            occupants: Cell::new(0),
            timer: RefCell::default(),
            timer_request: Cell::new(0),
            vacancy: RefCell::default(),
            ended: Cell::new(false),
            worker: Rc::downgrade(worker),
        }))
    }

    pub(crate) fn id(&self) -> &RoomId {
        &self.members.id
    }

    /// The clients that are connected now.
    pub(crate) fn clients(&self) -> Vec<ClientId> {
        self.members.list.borrow().iter().map(|(client, _)| *client).collect()
    }

    /// Waits until `init` has run. Nothing where it failed.
    pub(crate) async fn ready(self: &Rc<Self>) -> Option<()> {
        self.turn().await.map(drop)
    }

    /// Makes a place for a connection, which has to be given back with [`leave`](Self::leave). Nothing where
    /// the room has had as many clients as can have an id.
    pub(crate) fn enter(&self) -> Option<ClientId> {
        let client = ClientId(self.next_client.get());
        if client > ClientId::MAX {
            return None;
        }
        self.next_client.set(client.0 + 1);
        self.occupants.set(self.occupants.get() + 1);
        self.vacancy.take();
        Some(client)
    }

    /// Lets a client know when the server ends, while it waits for its `connect`.
    pub(crate) fn await_connect(&self, outbox: &Rc<Outbox>) {
        self.members.arriving.borrow_mut().push(Rc::clone(outbox));
    }

    /// Gives a place back.
    pub(crate) fn leave(self: &Rc<Self>) {
        self.occupants.set(self.occupants.get() - 1);
        let (0, false, Some(worker)) = (self.occupants.get(), self.ended.get(), self.worker.upgrade()) else {
            return;
        };
        match worker.settings().shutdown {
            ShutdownPolicy::Never => {}
            ShutdownPolicy::Immediate => self.finish("its last client has left"),
            ShutdownPolicy::After(delay) => self.await_clients(delay),
        }
    }

    /// Gives a room that nobody has entered yet some time before it ends.
    pub(crate) fn await_first_client(self: &Rc<Self>) {
        let Some(worker) = self.worker.upgrade() else {
            return;
        };
        match worker.settings().shutdown {
            ShutdownPolicy::Never => {}
            ShutdownPolicy::Immediate => self.await_clients(FIRST_CLIENT),
            ShutdownPolicy::After(delay) => self.await_clients(delay.max(FIRST_CLIENT)),
        }
    }

    /// Ends the room if it is still empty after `delay`.
    fn await_clients(self: &Rc<Self>, delay: Duration) {
        let (Some(worker), 0) = (self.worker.upgrade(), self.occupants.get()) else {
            return;
        };
        let room = Rc::downgrade(self);
        let task = worker.spawn(async move {
            Timer::after(delay).await;
            if let Some(room) = room.upgrade() {
                if let Some(this) = room.vacancy.take() {
                    this.detach();
                }
                room.finish("nobody has come");
            }
        });
        self.vacancy.replace(Some(task));
    }

    /// Runs an event from its beginning to its end, and lets others run in between when it takes long.
    pub(crate) async fn event(self: &Rc<Self>, event: Event<'_>) -> Outcome {
        let Some(mut turn) = self.turn().await else {
            return Outcome::Ended;
        };
        match event {
            Event::Connect(client, outbox, info) => {
                self.members.arriving.borrow_mut().retain(|arriving| !Rc::ptr_eq(arriving, &outbox));
                self.members.add(client, outbox);
                self.members.newcomer.replace(Some((client, info)));
                let outcome = self.run(&mut turn, |service, context| service.connect(client, context)).await;
                self.members.newcomer.take();
                outcome
            }
            Event::Disconnect(client) => {
                self.members.remove(client);
                self.run(&mut turn, |service, context| service.disconnect(client, context)).await
            }
            // It was said before the client was closed, and comes to its turn afterwards.
            Event::Message(_, outbox, _) if outbox.is_dismissed() => Outcome::Done,
            Event::Message(client, _, payload) => {
                let message = |service: &mut F::Service, context: &Members| {
                    service.message(client, payload, context);
                };
                self.run(&mut turn, message).await
            }
            Event::Timer(request) if request != self.timer_request.get() => Outcome::Done,
            Event::Timer(_) => self.run(&mut turn, |service, context| service.timer(context)).await,
        }
    }

    /// Waits for the room's turn to begin an event. Nothing where the room has ended.
    async fn turn(self: &Rc<Self>) -> Option<MutexGuard<'_, Turn<F::Service>>> {
        let mut turn = self.service.lock().await;
        if self.ended.get() {
            return None;
        }
        if !turn.initialized {
            turn.initialized = true;
            let outcome = self.run(&mut turn, |service, context| service.init(context)).await;
            if outcome == Outcome::Ended {
                return None;
            }
        }
        Some(turn)
    }

    /// Begins to handle a message, if nobody else has the turn. Nearly always it is over with that.
    pub(crate) fn begin_message(
        self: &Rc<Self>,
        client: ClientId,
        outbox: &Outbox,
        payload: MessagePayload<'_>,
    ) -> Begun<'_, F> {
        let Some(mut turn) = self.service.try_lock() else {
            return Begun::Busy;
        };
        if self.ended.get() {
            return Begun::Over(Outcome::Ended);
        }
        // It was said before the client was closed.
        if outbox.is_dismissed() {
            return Begun::Over(Outcome::Done);
        }
        match self.step(&mut turn, |service, context| service.message(client, payload, context)) {
            Some(outcome) => Begun::Over(outcome),
            None => Begun::Unfinished(turn),
        }
    }

    /// Carries an event to its end that has begun.
    pub(crate) async fn complete(self: &Rc<Self>, mut turn: MutexGuard<'_, Turn<F::Service>>) -> Outcome {
        self.go_on(&mut turn).await
    }

    async fn run(
        self: &Rc<Self>,
        turn: &mut Turn<F::Service>,
        begin: impl FnOnce(&mut F::Service, &Members),
    ) -> Outcome {
        match self.step(turn, begin) {
            Some(outcome) => outcome,
            None => self.go_on(turn).await,
        }
    }

    /// Carries an event on that is not over with its first slice. Most are, and need neither a turn nor a clock. All
    /// others wait for one, or those that take a little less than a turn would have all the time, and the others
    /// none.
    async fn go_on(self: &Rc<Self>, turn: &mut Turn<F::Service>) -> Outcome {
        loop {
            match self.worker.upgrade().map(|worker| worker.turns()) {
                Some(turns) => turns.wait().await,
                None => return Outcome::Ended,
            }
            let turn_ends = Instant::now() + TURN;
            loop {
                if let Some(outcome) = self.step(turn, |_, _| {}) {
                    return outcome;
                }
                if Instant::now() >= turn_ends {
                    break;
                }
            }
        }
    }

    /// Begins an event, or goes on with it, for a slice. The outcome, if it is over then.
    fn step(
        self: &Rc<Self>,
        turn: &mut Turn<F::Service>,
        begin: impl FnOnce(&mut F::Service, &Members),
    ) -> Option<Outcome> {
        let service = &mut turn.service;
        // A service that panics takes its own room down and nothing else.
        let step = catch_unwind(AssertUnwindSafe(|| {
            begin(service, &self.members);
            match service.advance(&self.members) {
                Progress::Done => Step::Ended(Outcome::Done),
                Progress::Unfinished => Step::Unfinished,
                Progress::Refused => Step::Ended(Outcome::Refused),
                Progress::Failed(reason) => Step::Failed(reason.to_string()),
            }
        }));
        match step.unwrap_or_else(|panic| Step::Failed(panic_message(&*panic))) {
            Step::Unfinished => None,
            Step::Ended(outcome) => {
                self.set_timer();
                Some(outcome)
            }
            Step::Failed(reason) => {
                self.fail(&reason);
                Some(Outcome::Ended)
            }
        }
    }

    /// Sets the timer that the event has asked for, if it has.
    fn set_timer(self: &Rc<Self>) {
        let (Some(ms), Some(worker)) = (self.members.timer.take(), self.worker.upgrade()) else {
            return;
        };
        let request = self.timer_request.get() + 1;
        self.timer_request.set(request);
        if ms == 0 {
            self.timer.take();
            return;
        }
        let room = Rc::downgrade(self);
        let task = worker.spawn(async move {
            Timer::after(Duration::from_millis(ms.into())).await;
            if let Some(room) = room.upgrade() {
                // From here on the timer is an event, which a new timer must not cancel.
                if let Some(this) = room.timer.take() {
                    this.detach();
                }
                room.event(Event::Timer(request)).await;
            }
        });
        self.timer.replace(Some(task));
    }

    /// Ends a room whose service is broken: its clients are closed, and the next connection gets a fresh
    /// room.
    fn fail(self: &Rc<Self>, reason: &str) {
        log::error!("room {} failed: {reason}", self.id());
        self.close(Close::ERROR, "the room failed");
    }

    fn finish(self: &Rc<Self>, reason: &str) {
        log::debug!("room {} ends: {reason}", self.id());
        self.close(Close::AWAY, "the room has ended");
    }

    fn close(self: &Rc<Self>, code: u16, reason: &'static str) {
        self.ended.set(true);
        self.timer.take();
        for (_, outbox) in self.members.list.take() {
            outbox.end(Close::new(code, reason));
        }
        if let Some(worker) = self.worker.upgrade() {
            worker.forget(self);
        }
    }

    /// Closes the connections of all clients, as the server goes away.
    pub(crate) fn go_away(&self) {
        let (list, arriving) = (self.members.list.borrow(), self.members.arriving.borrow());
        for outbox in list.iter().map(|(_, outbox)| outbox).chain(&*arriving) {
            outbox.end(Close::new(Close::AWAY, "the server goes away"));
        }
    }
}

/// Where an event stands after a slice of it.
enum Step {
    Unfinished,
    Ended(Outcome),
    Failed(String),
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the service panicked: {}", text.unwrap_or("(no message)"))
}

impl<F: StateroomServiceFactory> fmt::Debug for Room<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", self.id()).finish_non_exhaustive()
    }
}

/// The clients of a room, and through them the world as the room's service sees it.
#[derive(Debug)]
struct Members {
    id: RoomId,
    /// In the order of their ids, which is the order in which they came.
    list: RefCell<Vec<(ClientId, Rc<Outbox>)>>,
    /// Those whose `connect` is still to come.
    arriving: RefCell<Vec<Rc<Outbox>>>,
    /// The client whose `connect` runs, and what it has brought with it.
    newcomer: RefCell<Option<(ClientId, Box<ClientInfo>)>>,
    /// The timer that the event that runs has asked for.
    timer: Cell<Option<u32>>,
    log: LogBudget,
    /// Where the time is from.
    io: Rc<Io>,
}

impl Members {
    fn new(id: RoomId, io: Rc<Io>) -> Self {
        Self {
            id,
            io,
            list: RefCell::default(),
            arriving: RefCell::default(),
            newcomer: RefCell::default(),
            timer: Cell::new(None),
            log: LogBudget::default(),
        }
    }

    fn add(&self, client: ClientId, outbox: Rc<Outbox>) {
        let mut list = self.list.borrow_mut();
        let index = list.partition_point(|(other, _)| *other < client);
        list.insert(index, (client, outbox));
    }

    fn remove(&self, client: ClientId) {
        let mut list = self.list.borrow_mut();
        if let Ok(index) = list.binary_search_by_key(&client, |(other, _)| *other) {
            list.remove(index);
        }
    }
}

/// The outboxes of those who are meant by `recipient`.
fn among(list: &[(ClientId, Rc<Outbox>)], recipient: MessageRecipient) -> impl Iterator<Item = &Rc<Outbox>> {
    let among = match recipient {
        MessageRecipient::Client(client) => {
            let index = list.partition_point(|(other, _)| *other < client);
            &list[index..list.len().min(index + 1)]
        }
        MessageRecipient::Broadcast | MessageRecipient::EveryoneExcept(_) => list,
    };
    among.iter().filter(move |(client, _)| recipient.includes(*client)).map(|(_, outbox)| outbox)
}

impl StateroomContext for Members {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let list = self.list.borrow();
        let mut recipients = among(&list, recipient.into()).peekable();
        if recipients.peek().is_none() {
            return;
        }
        let first = recipients.next();
        let several = recipients.peek().is_some();
        message.with_payload(|payload| {
            let frame = match payload {
                MessagePayload::Text(text) => Frame::new(Opcode::Text, text.as_bytes(), several),
                MessagePayload::Bytes(bytes) => Frame::new(Opcode::Binary, bytes, several),
            };
            first.into_iter().chain(recipients).for_each(|outbox| outbox.push(&frame));
        });
    }

    fn set_timer(&self, ms_delay: u32) {
        self.timer.set(Some(ms_delay));
    }

    /// What is wrong with a close ends a native service as it ends a guest.
    #[track_caller]
    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        assert!(
            is_close_code(code.into()),
            "a connection was closed with the code {code}; 1000 and 3000 to 4999 are for applications"
        );
        assert!(
            reason.len() <= CLOSE_REASON_SIZE,
            "a connection was closed with a reason of {} bytes; {CLOSE_REASON_SIZE} fit",
            reason.len()
        );
        let close = Close::new(code, reason.to_owned());
        among(&self.list.borrow(), recipient.into()).for_each(|outbox| outbox.dismiss(close.clone()));
    }

    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let newcomer = self.newcomer.borrow();
        let (_, info) = newcomer.as_ref().filter(|(newcomer, _)| *newcomer == client)?;
        let value = info.get(key)?;
        let buffer = buffer.get_mut(..value.len())?;
        buffer.copy_from_slice(value.as_bytes());
        str::from_utf8(buffer).ok()
    }

    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        if let Some((newcomer, info)) = &*self.newcomer.borrow()
            && *newcomer == client
        {
            info.each(each);
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        };
        if !log::log_enabled!(target: "stateroom::guest", level) {
            return;
        }
        let Some(dropped) = self.log.admit(Instant::now()) else { return };
        if dropped > 0 {
            log::warn!(
                "room {}: {dropped} log lines were dropped: {LINES_A_SECOND} a second are written",
                self.id
            );
        }
        log::log!(target: "stateroom::guest", level, "room {}: {message:?}", self.id);
    }

    fn now_ms(&self) -> u64 {
        self.io.now_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        // Fails only where the system has no random source at all, as on no system that runs this.
        getrandom::fill(bytes).expect("the system has a random source");
    }
}

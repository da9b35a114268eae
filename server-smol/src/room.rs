use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::{Rc, Weak},
    time::Duration,
};

use smol::Task;
use stateroom_sdk_core::{ClientId, MessagePayload, StateroomService as _, StateroomServiceFactory};

use crate::{
    client_info::ClientInfo,
    folding::{Look, Rest},
    members::Members,
    outbox::Outbox,
    reactor::Timer,
    room_id::RoomId,
    settings::ShutdownPolicy,
    turn::{Queue, Turn, panic_message},
    websocket::Close,
    worker::Worker,
};

/// How long a room that was created with `POST` waits for its first client.
const FIRST_CLIENT: Duration = Duration::from_secs(60);

/// A service and the clients that are connected to it. It lives on one thread, together with their
/// connections.
pub(crate) struct Room<F: StateroomServiceFactory> {
    /// Whoever has the turn runs events of it: they come one at a time, those of one client in order.
    pub(crate) service: RefCell<F::Service>,
    /// Whether `init` has run.
    initialized: Cell<bool>,
    pub(crate) queue: Queue<F>,
    pub(crate) members: Members,
    next_client: Cell<u32>,
    /// How many connections the room has, those counted in whose `connect` is still to come.
    occupants: Cell<usize>,
    /// The tasks that wait to fire the timer, and to end the room when it stays empty.
    timer: RefCell<Option<Task<()>>>,
    vacancy: RefCell<Option<Task<()>>>,
    /// Counts the requests for a timer, so that one that is due while a later one is made does not fire.
    timer_request: Cell<u64>,
    rest: Rest,
    ended: Cell<bool>,
    worker: Weak<Worker<F>>,
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
pub(crate) enum Begun<F: StateroomServiceFactory> {
    Over(Outcome),
    /// It takes longer, and [goes on](Turn::go_on) with the turn.
    Unfinished(Turn<F>),
    /// Somebody else has the turn. Nothing has happened.
    Busy,
}

impl<F: StateroomServiceFactory> Room<F> {
    /// Makes a room. Its service's `init` runs before its first event, or with [`ready`](Self::ready).
    pub(crate) fn new(id: RoomId, worker: &Rc<Worker<F>>) -> Result<Rc<Self>, F::Error> {
        let members = Members::new(id, worker.io());
        let service = worker.factory().build(members.id.as_str(), &members)?;
        Ok(Rc::new(Self {
            service: RefCell::new(service),
            initialized: Cell::new(false),
            queue: Queue::default(),
            members,
            next_client: Cell::new(1),
            occupants: Cell::new(0),
            timer: RefCell::default(),
            timer_request: Cell::new(0),
            vacancy: RefCell::default(),
            rest: Rest::default(),
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
        let (0, false, Some(worker)) = (self.occupants.get(), self.ended.get(), self.worker()) else {
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
        let Some(worker) = self.worker() else {
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
        let (Some(worker), 0) = (self.worker(), self.occupants.get()) else {
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
        let Some(turn) = self.turn().await else {
            return Outcome::Ended;
        };
        match event {
            Event::Connect(client, outbox, info) => {
                self.members.arriving.borrow_mut().retain(|arriving| !Rc::ptr_eq(arriving, &outbox));
                self.members.add(client, outbox);
                self.members.newcomer.replace(Some((client, info)));
                let outcome = turn.run(|service, context| service.connect(client, context)).await;
                self.members.newcomer.take();
                outcome
            }
            Event::Disconnect(client) => {
                self.members.remove(client);
                turn.run(|service, context| service.disconnect(client, context)).await
            }
            // It was said before the client was closed, and comes to its turn afterwards.
            Event::Message(_, outbox, _) if outbox.is_dismissed() => Outcome::Done,
            Event::Message(client, _, payload) => {
                turn.run(|service, context| service.message(client, payload, context)).await
            }
            Event::Timer(request) if request != self.timer_request.get() => Outcome::Done,
            Event::Timer(_) => turn.run(|service, context| service.timer(context)).await,
        }
    }

    /// Waits for the room's turn to begin an event. Nothing where the room has ended.
    async fn turn(self: &Rc<Self>) -> Option<Turn<F>> {
        let turn = Turn::take(self).await;
        if self.ended.get() {
            return None;
        }
        if !self.initialized.replace(true) {
            let outcome = turn.run(|service, context| service.init(context)).await;
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
    ) -> Begun<F> {
        let Some(turn) = Turn::try_take(self) else {
            return Begun::Busy;
        };
        if self.ended.get() {
            return Begun::Over(Outcome::Ended);
        }
        // It was said before the client was closed.
        if outbox.is_dismissed() {
            return Begun::Over(Outcome::Done);
        }
        match turn.begin(|service, context| service.message(client, payload, context)) {
            Some(outcome) => Begun::Over(outcome),
            None => Begun::Unfinished(turn),
        }
    }

    /// Has the room folded when it has been idle for a while, if its service can be.
    pub(crate) fn await_rest(self: &Rc<Self>, service: &F::Service) {
        let size = service.foldable();
        if size > 0
            && !self.ended.get()
            && let Some(worker) = self.worker()
        {
            worker.folding().add(self, size);
        }
    }

    /// Folds the service, unless the room is busy or has been since the last time.
    pub(crate) fn fold(self: &Rc<Self>) -> Look {
        if self.ended.get() {
            return Look::Ended;
        }
        // Whoever has the turn, or waits for it, is in the middle of an event.
        let Some(_turn) = Turn::try_take(self) else {
            return Look::Busy(None);
        };
        let mut service = self.service.borrow_mut();
        if self.rest.take_disturbed() {
            return Look::Busy(Some(service.foldable()));
        }
        match catch_unwind(AssertUnwindSafe(|| service.fold())) {
            Ok(()) if service.foldable() == 0 => Look::Folded,
            Ok(()) => Look::Kept,
            Err(panic) => {
                self.fail(&panic_message(&*panic));
                Look::Ended
            }
        }
    }

    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Sets the timer as an event has asked for it.
    pub(crate) fn set_timer(self: &Rc<Self>, ms: u32) {
        let Some(worker) = self.worker() else { return };
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
    pub(crate) fn fail(self: &Rc<Self>, reason: &str) {
        self.members.log_failure(reason);
        self.close(Close::ERROR, "the room failed");
    }

    fn finish(self: &Rc<Self>, reason: &str) {
        log::debug!("room {} ends: {reason}", self.id());
        self.close(Close::AWAY, "the room has ended");
    }

    fn close(self: &Rc<Self>, code: u16, reason: &'static str) {
        self.ended.set(true);
        self.members.log_end();
        self.timer.take();
        for (_, outbox) in self.members.clear() {
            outbox.end(Close::new(code, reason));
        }
        if let Some(worker) = self.worker() {
            worker.folding().remove(self);
            worker.forget(self);
        }
    }

    /// Nothing where the server ends.
    pub(crate) fn worker(&self) -> Option<Rc<Worker<F>>> {
        self.worker.upgrade()
    }

    /// Closes the connections of all clients, as the server goes away.
    pub(crate) fn go_away(&self) {
        let (list, arriving) = (self.members.list.borrow(), self.members.arriving.borrow());
        for outbox in list.iter().map(|(_, outbox)| outbox).chain(&*arriving) {
            outbox.end(Close::new(Close::AWAY, "the server goes away"));
        }
    }
}

impl<F: StateroomServiceFactory> fmt::Debug for Room<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").field("id", self.id()).finish_non_exhaustive()
    }
}

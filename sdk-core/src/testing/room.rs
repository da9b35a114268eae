use alloc::{boxed::Box, format, rc::Rc, string::String, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    fmt,
    marker::PhantomData,
    time::Duration,
};

use crate::engine::{EngineFactory, Event, Progress};

use super::{
    LogLine, TestClient,
    service::{AnyEngine, Make, Native, made_by, native},
    world::World,
};

/// A room in a test; see the [module](super)'s documentation.
///
/// Its service is created, and its `init` runs, before its first use. All clones are the same room.
///
/// Write the type as `TestRoom`. The compiler needs the type parameter to find the form of the service in
/// [`new`](Self::new).
pub struct TestRoom<Form = ()> {
    room: Rc<Room>,
    form: PhantomData<fn() -> Form>,
}

impl<Form> TestRoom<Form> {
    /// Returns a room whose service is a type of this program: one that implements
    /// [`StateroomService`](crate::StateroomService) and `Default`, or
    /// [`SimpleStateroomService`](crate::SimpleStateroomService).
    ///
    /// ```
    /// # use stateroom_sdk_core::{testing::*, *};
    /// struct Greeter(heapless::String<8>);
    ///
    /// impl SimpleStateroomService for Greeter {
    ///     fn new(room_id: &str, _: &impl StateroomContext) -> Self {
    ///         Self(room_id.try_into().unwrap_or_default())
    ///     }
    ///
    ///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
    ///         ctx.send_message(client, format_args!("Welcome to the {}!", self.0));
    ///     }
    /// }
    ///
    /// let room = TestRoom::new::<Greeter>().with_id("lobby");
    /// assert_eq!(room.connect().received(), ["Welcome to the lobby!"]);
    /// ```
    #[must_use]
    pub fn new<S: Native<Form>>() -> TestRoom {
        TestRoom::made(native::<S, Form>())
    }
}

impl TestRoom {
    /// Returns a room from any factory of rooms for a server. With a `Program` of `stateroom-host-min`, this
    /// is the guest as a module.
    ///
    /// ```
    /// # use stateroom_sdk_core::{testing::*, *};
    /// # #[derive(Default)]
    /// # struct Quiet;
    /// # impl StateroomService for Quiet {}
    /// let room = TestRoom::of(DefaultStateroomFactory::<Quiet>::default());
    /// ```
    #[must_use]
    pub fn of(factory: impl EngineFactory) -> Self {
        Self::made(made_by(factory))
    }

    fn made(make: Make) -> Self {
        let room = Room {
            world: World::new(),
            id: RefCell::new("test".into()),
            stage: Cell::new(Stage::Ready(make)),
        };
        Self { room: Rc::new(room), form: PhantomData }
    }

    /// Sets the id of the room. The default is `test`.
    ///
    /// # Panics
    /// The room has been used.
    #[track_caller]
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        self.room.must_be_ready("an id");
        self.room.id.replace(id.into());
        self
    }

    /// Sets the seed of the room's random numbers. The default is 0.
    ///
    /// The numbers are the same in each run. But a service and its module get different numbers: the host of
    /// the module makes its numbers from a seed, which it takes from these numbers.
    ///
    /// # Panics
    /// The room has been used.
    #[track_caller]
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.room.must_be_ready("a seed");
        self.room.world.random.set(seed);
        self
    }

    /// Connects a client and runs the room's `connect`. The client stays until it
    /// [leaves](TestClient::leave), or until the room closes it.
    ///
    /// # Panics
    /// The room fails.
    #[track_caller]
    pub fn connect(&self) -> TestClient {
        self.connect_with(&[])
    }

    /// Connects a client with this information, with the keys of
    /// [`client_info`](crate::StateroomContext::client_info).
    ///
    /// ```
    /// # use stateroom_sdk_core::{testing::*, *};
    /// #[derive(Default)]
    /// struct Greeter;
    ///
    /// impl StateroomService for Greeter {
    ///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
    ///         let mut buffer = [0; 16];
    ///         let name = ctx.client_info(client, "query:name", &mut buffer).unwrap_or("stranger");
    ///         ctx.send_message(client, text!("Hello, {}!", name));
    ///     }
    /// }
    ///
    /// let room = TestRoom::new::<Greeter>();
    /// assert_eq!(room.connect_with(&[("query:name", "Ada")]).received(), ["Hello, Ada!"]);
    /// assert_eq!(room.connect().received(), ["Hello, stranger!"]);
    /// ```
    ///
    /// # Panics
    /// The room fails.
    #[track_caller]
    pub fn connect_with(&self, info: &[(&str, &str)]) -> TestClient {
        self.room.begin();
        let world = &self.room.world;
        let id = world.enter();
        world.set_newcomer(Some((id, info)));
        self.room.handle(Event::Connect(id));
        world.set_newcomer(None);
        self.room.see_off();
        TestClient::new(Rc::clone(&self.room), id)
    }

    /// Moves the clock. If the timer is due during this time, it fires at its exact time. `span` counts in
    /// whole milliseconds.
    ///
    /// # Panics
    /// The room fails.
    #[track_caller]
    pub fn advance(&self, span: Duration) {
        self.room.begin();
        let World { now_ms, due_ms, .. } = &self.room.world;
        let end = now_ms.get().saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
        while let Some(due) = due_ms.get().filter(|due| *due <= end) {
            now_ms.set(due);
            due_ms.set(None);
            self.room.run(Event::Timer);
        }
        now_ms.set(end);
    }

    /// Returns the time until the timer is due, if it is set.
    ///
    /// # Panics
    /// The room fails, if its `init` has not run before.
    #[track_caller]
    #[must_use]
    pub fn timer_in(&self) -> Option<Duration> {
        self.room.begin();
        let World { now_ms, due_ms, .. } = &self.room.world;
        due_ms.get().map(|due| Duration::from_millis(due - now_ms.get()))
    }

    /// Returns the time, in milliseconds since the Unix epoch. It begins at [`START_MS`](super::START_MS).
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.room.world.now_ms.get()
    }

    /// Takes the lines that the service has written to the log since the last call.
    ///
    /// # Panics
    /// The room fails, if its `init` has not run before.
    #[track_caller]
    pub fn logged(&self) -> Vec<LogLine> {
        self.room.begin();
        self.room.world.take_log()
    }
}

impl Clone for TestRoom {
    fn clone(&self) -> Self {
        Self { room: Rc::clone(&self.room), form: PhantomData }
    }
}

impl<Form> fmt::Debug for TestRoom<Form> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRoom").field("world", &self.room.world).finish_non_exhaustive()
    }
}

/// The state that a room and its clients share.
pub(super) struct Room {
    pub(super) world: World,
    id: RefCell<String>,
    stage: Cell<Stage>,
}

enum Stage {
    Ready(Make),
    Running(Box<dyn AnyEngine>),
    /// The room has failed. It is also in this state while an event runs, so that a room whose service panics
    /// stays in it.
    Failed,
}

impl Room {
    #[track_caller]
    fn must_be_ready(&self, what: &str) {
        let stage = self.stage.replace(Stage::Failed);
        let ready = matches!(stage, Stage::Ready(_));
        self.stage.set(stage);
        assert!(ready, "the room runs already: it can be given {what} before anything else is done with it");
    }

    /// Makes the service, if it has not been made yet.
    #[track_caller]
    fn begin(&self) {
        let service = match self.stage.replace(Stage::Failed) {
            Stage::Ready(make) => {
                match make(self.world.room_id.get_or_init(|| self.id.take()), &self.world) {
                    Ok(service) => self.finish(service),
                    Err(reason) => panic!("the room cannot be made: {reason}"),
                }
            }
            Stage::Running(service) => service,
            Stage::Failed => panic!("the room has failed before"),
        };
        self.stage.set(Stage::Running(service));
    }

    /// Runs an event to its end, and what follows from it.
    #[track_caller]
    pub(super) fn run(&self, event: Event<'_>) {
        self.handle(event);
        self.see_off();
    }

    /// Runs the `disconnect` of the clients that the service has closed.
    #[track_caller]
    fn see_off(&self) {
        while let Some(client) = self.world.take_leaving() {
            self.handle(Event::Disconnect(client));
        }
    }

    /// Runs an event to its end.
    #[track_caller]
    fn handle(&self, event: Event<'_>) {
        let Stage::Running(mut service) = self.stage.replace(Stage::Failed) else {
            panic!("the room has failed before");
        };
        service.begin(event, &self.world);
        let service = self.finish(service);
        self.stage.set(Stage::Running(service));
    }

    /// Continues an event until it is over.
    #[track_caller]
    fn finish(&self, mut service: Box<dyn AnyEngine>) -> Box<dyn AnyEngine> {
        loop {
            match service.advance(&self.world) {
                Progress::Done => return service,
                Progress::Unfinished => {}
                Progress::Refused => panic!("the room has no space for this message"),
                Progress::Failed(reason) => panic!("the room failed: {reason}{}", self.last_words()),
            }
        }
    }

    /// Returns the log of the service, for the message of a failure.
    fn last_words(&self) -> String {
        let lines = self.world.take_log();
        lines.iter().map(|line| format!("\n{:?}: {}", line.level, line.text)).collect()
    }
}

//! Carries out what other threads ask of a thread's rooms and connections.

mod command;
mod drain;
mod workers;

use std::{
    cell::{OnceCell, RefCell},
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use async_executor::LocalExecutor;
use smol::{
    channel::{Receiver, Sender, bounded},
    future::or,
};
use stateroom_core::{ClientId, engine::EngineFactory};

use crate::{
    admission::{Permit, TooFast},
    close::CloseReason,
    journal::Journal,
    log_line::About,
    memory::{OutOfMemory, Purpose},
    metrics::Count,
    reactor::{Clock, Poller, Stream, Timer},
    room::{CreateRoomError, Registry, Resumable, Resumption, Room, RoomCounts, RoomId, SessionRequest},
    session,
    settings::Settings,
    thread::{self, Kind, Thread},
    wire::Socket,
};

#[cfg(feature = "rooms")]
pub(crate) use command::RemoteCharge;
pub(crate) use command::{Arrival, Command, Counts, NewClient};
#[cfg(feature = "built-in")]
pub(crate) use workers::NoStream;
pub(crate) use workers::{Ending, MOST_LISTED, Phase, Workers};

/// The time that the last connections have to close when the server ends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The journal's handle for a thread of rooms, if rooms are kept on disk. It is made on that thread.
pub(crate) type NewJournal = Option<Box<dyn FnOnce() -> Journal + Send>>;

/// The maximum number of attempts to make a room while others hibernate.
const ATTEMPTS: usize = 200;

/// One thread's rooms. A room, its connections and its timers stay on the thread that their worker runs on.
pub(crate) struct Worker<F: EngineFactory> {
    thread: Rc<Thread>,
    registry: Rc<Registry<F>>,
    /// The tasks of rooms and connections.
    executor: Rc<LocalExecutor<'static>>,
    /// The tasks that serve requests.
    requests: RefCell<Rc<LocalExecutor<'static>>>,
    /// Counts the connections, and the requests in progress: each holds a clone.
    connections: Rc<()>,
    workers: Workers,
    number: usize,
    /// Closes when the rooms on disk have been recovered, or the server ends before that.
    begun: (Sender<Infallible>, Receiver<Infallible>),
    /// The reason why the server ends, if it does.
    ending: OnceCell<CloseReason>,
}

impl<F: EngineFactory> Worker<F> {
    pub(crate) fn new(
        factory: Arc<F>,
        settings: Arc<Settings>,
        clock: Rc<Clock>,
        room_counts: Arc<RoomCounts>,
        workers: Workers,
        number: usize,
    ) -> Rc<Self> {
        let executor = Rc::new(LocalExecutor::new());
        let thread = Thread::new(settings, clock, &executor);
        let others = workers.clone();
        let registry = Registry::new(factory, Rc::clone(&thread), room_counts, move || {
            others.end_empty_room_elsewhere(number)
        });
        Rc::new(Self {
            thread,
            registry,
            executor,
            requests: RefCell::default(),
            connections: Rc::new(()),
            workers,
            number,
            begun: bounded(1),
            ending: OnceCell::new(),
        })
    }

    pub(crate) fn thread(&self) -> &Rc<Thread> {
        &self.thread
    }

    /// Returns whether the server shuts down, so that nothing new begins.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get().is_some()
    }

    /// Keeps the thread from ending while the result lives, but not for long.
    pub(crate) fn hold(&self) -> Rc<()> {
        Rc::clone(&self.connections)
    }

    /// Returns the executor of the tasks that serve requests.
    pub(crate) fn requests(&self) -> Rc<LocalExecutor<'static>> {
        Rc::clone(&self.requests.borrow())
    }

    /// Waits until the rooms on disk have been recovered.
    pub(crate) async fn begun(&self) {
        // Nothing is ever sent.
        _ = self.begun.1.recv().await;
    }

    /// Waits for the journal. Then serves commands until it is told to end, and says goodbye to all clients. `accepting` runs beside
    /// all of this.
    pub(crate) fn run(
        self: &Rc<Self>,
        poller: &Poller,
        journal: &Receiver<NewJournal>,
        commands: Receiver<Command>,
        accepting: impl Future<Output = Infallible>,
    ) {
        let thread = Rc::clone(&self.thread);
        self.thread.spawn_rare(async move { thread.hibernation.run(&thread).await });
        let log = Rc::clone(&self.thread.log);
        self.thread.spawn_rare(async move { log.run().await });
        let mut accepting = pin!(accepting);
        let answering = Answering(&commands);
        let main = async {
            let served = async {
                // Both fail only if the thread that has started this one is gone, or gives up.
                if let Ok(journal) = journal.recv().await {
                    self.begin(journal).await;
                    while let Ok(command) = commands.recv().await {
                        if let Command::End(reason) = command {
                            return reason;
                        }
                        self.execute(command);
                    }
                }
                CloseReason::ServerShutdown
            };
            let reason = beside(accepting.as_mut(), served).await;
            let reason = self.ending.get_or_init(|| reason);
            self.registry.begin_shut_down(reason);
            // Those who wait for the beginning are told.
            self.begun.0.close();
            let time = self.thread.settings.draining();
            self.thread.stats.leaving.set(self.thread.stats.clients.get());
            // Rooms on disk can be served again only after the end of the process, so their clients need not wait for others.
            if !time.is_zero() && !self.registry.is_durable() {
                let served = async {
                    while let Ok(command) = commands.recv().await {
                        self.execute(command);
                    }
                };
                beside(accepting.as_mut(), or(self.drain(reason, time), served)).await;
            }
            #[cfg(feature = "metrics")]
            self.workers.note_last(self.number, self.snapshot());
            drop(answering);
            self.registry.shut_down(reason);
            let patience = async {
                Timer::after(CLOSE_TIMEOUT).await;
            };
            // Who comes now is told that the server ends.
            beside(accepting, or(self.last_connection(), patience)).await;
        };
        thread::run(poller, &self.thread, [&self.executor, &self.requests()], main);
        // Those that are left hold the worker, and it would never be dropped.
        self.requests.take();
        self.thread.log.report();
    }

    /// Lets rooms begin, which the journal keeps on disk if there is one.
    async fn begin(self: &Rc<Self>, journal: NewJournal) {
        self.registry.started.set(self.thread.clock.now());
        if let Some(journal) = journal {
            let journal = journal();
            // This is the waker of the thread.
            poll_fn(|cx| {
                journal.set_waker(cx.waker().clone());
                Poll::Ready(())
            })
            .await;
            self.thread.set_journal(journal);
        }
        if self.registry.is_durable() {
            self.continue_sessions();
            self.wake_dormant_rooms();
        }
        self.begun.0.close();
    }

    /// Returns what has happened on this thread since the start.
    #[cfg(feature = "metrics")]
    fn snapshot(&self) -> crate::metrics::Snapshot {
        let mut snapshot = self.thread.metrics.snapshot();
        snapshot += self.thread.buffers.metrics.snapshot();
        snapshot
    }

    fn execute(self: &Rc<Self>, command: Command) {
        // Where an answer is wanted no more, it is dropped.
        match command {
            // Who asks hears that the server ends.
            Command::Create(..) if self.is_ending() => {}
            #[cfg(feature = "rooms")]
            Command::Import(..) if self.is_ending() => {}
            Command::Create(id, answer) => {
                // It does not hold the worker, which would live as long as the task.
                let (thread, registry) = (Rc::clone(&self.thread), Rc::clone(&self.registry));
                self.thread.spawn_rare(async move {
                    let _ = answer.try_send(create(&thread, &registry, id).await);
                });
            }
            Command::Exists(id, answer) => self.find(id, false, answer),
            Command::Close(id, answer) => self.find(id, true, answer),
            #[cfg(feature = "rooms")]
            Command::Find(id, answer) => {
                let _ = answer.try_send(self.registry.presence(&id));
            }
            #[cfg(feature = "rooms")]
            Command::Act(id, action, answer) => {
                let (thread, registry) = (Rc::clone(&self.thread), Rc::clone(&self.registry));
                self.thread.spawn_rare(async move {
                    let done = registry.act(&id, action).await;
                    settled(&thread).await;
                    let _ = answer.try_send(done);
                });
            }
            #[cfg(feature = "rooms")]
            Command::Import(id, base, answer) => {
                let (thread, registry) = (Rc::clone(&self.thread), Rc::clone(&self.registry));
                self.thread.spawn_rare(async move {
                    let Some(journal) = thread.journal() else { return };
                    let _ = answer.try_send(registry.import(&id, &base, journal).await);
                });
            }
            #[cfg(feature = "rooms")]
            Command::Charge(bytes, answer) => {
                let charge = self.thread.memory.charge(bytes, Purpose::NewRoom).ok();
                let (_until, dropped) = smol::channel::bounded(1);
                let _ = answer.try_send(charge.is_some().then_some(RemoteCharge { _until }));
                self.thread.spawn_rare(async move {
                    // Nothing is ever sent.
                    let _ = dropped.recv().await;
                    drop(charge);
                });
            }
            Command::Connect(id, Arrival { transport, new_client }) => match Stream::new(transport) {
                Ok(stream) => {
                    stream.assume_readable();
                    self.connect(id, stream, new_client);
                }
                Err(error) => {
                    let about = About { room: Some(id.as_str()), ..About::connection(new_client.connection) };
                    let line = || format!("cannot serve a connection: {error}");
                    self.thread.log.event(log::Level::Error, about, line);
                }
            },
            Command::Count(answer) => {
                let _ = answer.try_send(self.counts());
            }
            #[cfg(feature = "metrics")]
            Command::Measure(answer) => {
                let _ = answer.try_send((self.counts(), self.snapshot()));
            }
            Command::List(after, most, answer) => {
                let _ = answer.try_send(self.registry.list(after.as_ref(), most));
            }
            #[cfg(feature = "built-in")]
            Command::Trace(id, sender) => self.registry.trace(&id, sender),
            Command::Recording(id, answer) => {
                let room = self.registry.find(&id);
                let _ = answer.try_send(room.and_then(|room| room.recording()));
            }
            Command::Renew(answer) => {
                let registry = Rc::clone(&self.registry);
                self.thread.spawn_rare(async move {
                    let _ = answer.try_send(registry.renew().await);
                });
            }
            Command::EndEmptyRoom => self.registry.end_empty_room_for_others(),
            Command::End(_) => {}
        }
    }

    /// Says whether a room exists, and ends it if it `ends`.
    fn find(self: &Rc<Self>, id: RoomId, ends: bool, answer: Sender<Result<bool, String>>) {
        let (thread, registry) = (Rc::clone(&self.thread), Rc::clone(&self.registry));
        if thread.journal().is_none() {
            let room = registry.find(&id);
            room.iter().filter(|_| ends).for_each(Room::close);
            let _ = answer.try_send(Ok(room.is_some()));
            return;
        }
        self.thread.spawn_rare(async move {
            let Some(journal) = thread.journal() else { return };
            let found = match ends {
                true => registry.delete(&id, journal).await,
                // One that cannot be restored exists.
                false => {
                    let opened = registry.open(&id, || Ok::<_, CreateRoomError>(None)).await;
                    journal.settled().await;
                    Ok(!matches!(opened, Ok(None)))
                }
            };
            let _ = answer.try_send(found);
        });
    }

    /// Lets sessions go on that rooms bring from the disk.
    fn continue_sessions(&self) {
        let connections = Rc::downgrade(&self.connections);
        let _ = self.registry.continue_session.set(Box::new(move |room, resumable, until| {
            let connection = connections.upgrade();
            let thread = Rc::clone(room.thread());
            thread.spawn_rare(async move {
                session::continue_session(room, resumable, until).await;
                drop(connection);
            });
        }));
    }

    /// Lets rooms that are only on disk come back when their timers are due.
    fn wake_dormant_rooms(self: &Rc<Self>) {
        let (registry, thread) = (Rc::clone(&self.registry), Rc::clone(&self.thread));
        let (workers, number) = (self.workers.clone(), self.number);
        self.thread.spawn_rare(async move {
            let Some(journal) = thread.journal() else { return };
            let rooms = journal.timers().await.into_iter().filter_map(|(due, id)| {
                let id = RoomId::new(&id).ok()?;
                (workers.home(&id) == number).then_some((due, id))
            });
            registry.add_dormant(rooms);
            registry.wake_dormant().await;
        });
    }

    /// Creates a room of this thread that does not exist, and waits until its `init` has run.
    pub(crate) async fn create(&self, id: RoomId) -> Result<(), CreateRoomError> {
        create(&self.thread, &self.registry, id).await
    }

    fn counts(&self) -> Counts {
        let Thread { memory, hibernation, stats, .. } = &*self.thread;
        Counts {
            rooms: self.registry.len(),
            hibernating_rooms: hibernation.hibernating(),
            awake_memory: hibernation.awake(),
            memory: memory.used(),
            peak_memory: memory.peak(),
            memory_limit: memory.limit(),
            clients: stats.clients.get(),
            #[cfg(feature = "metrics")]
            tasks: stats.tasks.number(),
            p99_pass: stats.passes.p99_micros(),
            longest_pass: u64::try_from(stats.passes.longest().as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Takes over a connection that has asked for a room.
    pub(crate) fn connect(self: &Rc<Self>, id: RoomId, stream: Stream, new_client: NewClient) {
        let NewClient { connection, read_ahead, info, permit, session, .. } = new_client;
        self.thread.metrics.add(Count::Connections, 1);
        let settings = &self.thread.settings;
        let charge = session::charge(&self.thread.memory, &info, &read_ahead);
        let buffers = Rc::clone(&self.thread.buffers);
        let socket = Socket::new(stream, connection, buffers, settings.outbox_size);
        #[cfg(feature = "compression")]
        new_client.compression.iter().for_each(|agreement| socket.outbox.compress(agreement.window()));
        let wanted = session.as_deref().filter(|_| charge.is_ok());
        let (stale, session) = match (self.find_session(&id, wanted), session) {
            (Ok(Some(resumable)), Some(request)) => {
                // The session has been charged for a connection already.
                let resumption = Resumption { socket, read_ahead, request, permit };
                return resume(&self.thread, &resumable, resumption);
            }
            (found, session) => (found.err(), session),
        };
        let room = match (self.ending.get(), &charge) {
            _ if let Some(reason) = stale => Some(Err(reason)),
            // It was let in before, and nobody would tell it.
            (Some(reason), _) => Some(Err(reason.clone())),
            (None, Err(OutOfMemory)) => Some(Err(CloseReason::OutOfMemory)),
            (None, Ok(_)) => self.find_or_create(&id, &permit).transpose(),
        };
        // Before anything waits, so that the room does not end for want of clients.
        let place = room.map(|room| room.and_then(enter));
        let connection = self.hold();
        let (registry, thread) = (Rc::clone(&self.registry), Rc::clone(&self.thread));
        self.thread.spawn_detached(async move {
            let place = match place {
                Some(place) => place,
                // In the other case it is permitted already.
                None => {
                    let new_room = registry.is_durable().then_some(&permit);
                    let opened = Box::pin(open(&registry, &thread, id, new_room)).await;
                    // Nobody comes while the server ends: those who come back have their sessions after that.
                    let opened = registry.shut_down_reason().map_or(opened, |reason| Err(reason.clone()));
                    // The session may be on disk together with the room.
                    let wanted = session.as_deref().filter(|_| charge.is_ok());
                    match opened.and_then(|room| Ok((find_session(&room, wanted)?, room))) {
                        Ok((Some(resumable), _)) if let Some(request) = session => {
                            return resume(
                                &thread,
                                &resumable,
                                Resumption { socket, read_ahead, request, permit },
                            );
                        }
                        opened => opened.and_then(|(_, room)| enter(room)),
                    }
                }
            };
            if let Err(reason) = &place {
                thread.count_refused(reason);
            }
            session::serve(socket, read_ahead, info, place, charge.ok(), permit, session).await;
            drop(connection);
        });
    }

    /// Returns the session that a client wants to resume; nothing if it has to begin a new one.
    ///
    /// # Errors
    /// There is a newer connection for it.
    fn find_session(
        &self,
        id: &RoomId,
        wanted: Option<&SessionRequest>,
    ) -> Result<Option<Rc<Resumable>>, CloseReason> {
        let room = wanted.and_then(|_| self.registry.find(id));
        room.filter(|_| !self.is_ending()).map_or(Ok(None), |room| find_session(&room, wanted))
    }

    /// Returns the room that a connection has asked for, if this is possible at once: the room may have to be read from the disk, or
    /// need memory that others have to give back.
    fn find_or_create(&self, id: &RoomId, permit: &Permit) -> Result<Option<Rc<Room<F>>>, CloseReason> {
        if let Some(room) = self.registry.find(id) {
            return Ok(Some(room));
        }
        if self.registry.is_durable() {
            return Ok(None);
        }
        match create_for(&self.registry, id, Some(permit)) {
            Err(CloseReason::OutOfMemory) if self.thread.hibernation.can_reclaim(Purpose::NewRoom) => {
                Ok(None)
            }
            created => created?.ok_or(CloseReason::NoSuchRoom).map(Some),
        }
    }

    /// Returns whether there is no client, and no request in progress.
    fn is_deserted(&self) -> bool {
        Rc::strong_count(&self.connections) == 1
    }

    async fn last_connection(&self) {
        // A few looks in a second and a half, when everything ends: not worth a waker.
        while !self.is_deserted() {
            Timer::after(Duration::from_millis(5)).await;
        }
    }
}

/// Runs a future to its end, and one beside it that has none.
async fn beside<T>(endless: impl Future<Output = Infallible>, future: impl Future<Output = T>) -> T {
    or(future, async { match endless.await {} }).await
}

async fn create<F: EngineFactory>(
    thread: &Thread,
    registry: &Rc<Registry<F>>,
    id: RoomId,
) -> Result<(), CreateRoomError> {
    // A connection may ask for several at a stretch.
    if thread.look_at_clock() {
        drop(thread.scheduler.acquire(Kind::Slice).await);
    }
    let room = match thread.journal() {
        None => registry.create(id)?,
        Some(_) => {
            let mut is_new = false;
            let create = || {
                is_new = true;
                registry.create(id.clone()).map(Some)
            };
            let room = Box::pin(registry.open(&id, create)).await?;
            if !is_new {
                // It may have been created a moment ago.
                settled(thread).await;
                return Err(CreateRoomError::Exists);
            }
            room.ok_or(CreateRoomError::Failed)?
        }
    };
    room.arm_first_client_timer();
    room.ready().await.ok_or(CreateRoomError::Failed)?;
    settled(thread).await;
    Ok(())
}

/// Makes a place in a room for a connection.
fn enter<F: EngineFactory>(room: Rc<Room<F>>) -> Result<(Rc<Room<F>>, ClientId), CloseReason> {
    room.enter().map(|client| (room, client))
}

/// Waits until all that has happened on the thread is on the disk, if its rooms are kept there.
async fn settled(thread: &Thread) {
    if let Some(journal) = thread.journal() {
        journal.settled().await;
    }
}

/// Returns the session of a room that a client wants to resume; nothing if it has to begin a new one.
///
/// # Errors
/// There is a newer connection for it.
fn find_session<F: EngineFactory>(
    room: &Room<F>,
    wanted: Option<&SessionRequest>,
) -> Result<Option<Rc<Resumable>>, CloseReason> {
    wanted.map_or(Ok(None), |request| room.sessions.find(request))
}

/// Resumes a session.
fn resume(thread: &Thread, resumable: &Resumable, resumption: Resumption) {
    if let Some(older) = resumable.resume(Box::new(resumption)) {
        thread.spawn_rare(async move { older.refuse(CloseReason::Resumed).await });
    }
}

/// Opens the room that a connection has asked for: it may be on disk only, or be new.
async fn open<F: EngineFactory>(
    registry: &Rc<Registry<F>>,
    thread: &Thread,
    id: RoomId,
    mut permit: Option<&Permit>,
) -> Result<Rc<Room<F>>, CloseReason> {
    let mut attempts = 0..ATTEMPTS;
    loop {
        match registry.open(&id, || create_for(registry, &id, permit.take())).await {
            Ok(room) => return room.ok_or(CloseReason::NoSuchRoom),
            // Others hibernate in steps to make space for it.
            Err(CloseReason::OutOfMemory)
                if attempts.next().is_some() && thread.hibernation.can_reclaim(Purpose::NewRoom) =>
            {
                drop(thread.scheduler.acquire(Kind::Slice).await);
            }
            Err(reason) => return Err(reason),
        }
    }
}

/// Creates the room that a connection has asked for, if connections create rooms.
fn create_for<F: EngineFactory>(
    registry: &Rc<Registry<F>>,
    id: &RoomId,
    permit: Option<&Permit>,
) -> Result<Option<Rc<Room<F>>>, CloseReason> {
    let thread = registry.thread();
    if !thread.settings.room_ids.implicit() {
        return Ok(None);
    }
    if let Some(permit) = permit {
        permit
            .create_room(permit.subnet(), thread.clock.now())
            .map_err(|_: TooFast| CloseReason::TooManyNewRooms)?;
    }
    Ok(Some(registry.find_or_create(id.clone())?))
}

/// Takes no more commands from the moment when this is dropped, and forgets those that wait: who has sent one waits for its
/// answer, and hears that there is none.
struct Answering<'a>(&'a Receiver<Command>);

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.close();
        while self.0.try_recv().is_ok() {}
    }
}

impl<F: EngineFactory> Drop for Worker<F> {
    fn drop(&mut self) {
        self.thread.clear();
    }
}

impl<F: EngineFactory> fmt::Debug for Worker<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("registry", &self.registry).finish_non_exhaustive()
    }
}

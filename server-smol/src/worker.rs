use std::{
    cell::RefCell,
    collections::HashMap,
    fmt,
    future::Future,
    net::TcpStream,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_executor::LocalExecutor;
use smol::{
    Task,
    channel::{Receiver, Sender},
    future::or,
};
use stateroom_sdk_core::StateroomServiceFactory;

use crate::{
    client_info::ClientInfo,
    connection,
    folding::Folding,
    http::{Http, Place},
    io::Io,
    link::Link,
    log_budget::Cut,
    reactor::{Stream, Timer},
    room::Room,
    room_id::RoomId,
    settings::Settings,
    turns::Turns,
};

/// How long connections have for their last words when the server ends.
const FAREWELL: Duration = Duration::from_millis(1_500);

/// One thread's rooms. A room, its connections and its timers stay on the thread that their worker runs on.
pub(crate) struct Worker<F: StateroomServiceFactory> {
    factory: Arc<F>,
    settings: Arc<Settings>,
    executor: LocalExecutor<'static>,
    rooms: RefCell<HashMap<RoomId, Rc<Room<F>>>>,
    /// How many rooms all workers have together.
    room_count: Arc<AtomicUsize>,
    turns: Rc<Turns>,
    folding: Rc<Folding<F>>,
    io: Rc<Io>,
    /// Counts the connections: each holds a clone.
    connections: Rc<()>,
}

/// What the rest of the server asks of a worker.
pub(crate) enum Command {
    /// Create a room that does not exist.
    Create(RoomId, Sender<Result<(), CreateError>>),
    /// Say whether a room exists.
    Exists(RoomId, Sender<bool>),
    /// Take over a connection that has asked for a room.
    Connect(RoomId, Arrival),
    /// Say how many rooms and clients there are.
    Count(Sender<Counts>),
    /// Say which rooms there are.
    List(Sender<Vec<RoomStatus>>),
    /// Say goodbye to all clients, and end.
    End,
}

/// A connection that has just become a WebSocket, on another thread.
pub(crate) struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) visitor: Visitor,
}

/// Who comes with a new WebSocket.
pub(crate) struct Visitor {
    /// What has been read of the connection beyond the HTTP request.
    pub(crate) read_ahead: Vec<u8>,
    /// What its client has brought with it.
    pub(crate) info: Box<ClientInfo>,
    pub(crate) place: Place,
}

/// Why a room was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateError {
    Exists,
    Failed,
    TooMany,
}

/// How much there is on a thread.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) rooms: usize,
    pub(crate) folded_rooms: usize,
    /// In bytes.
    pub(crate) unfolded_memory: usize,
    pub(crate) clients: usize,
}

/// A room, as the status page shows it.
#[derive(Debug)]
pub(crate) struct RoomStatus {
    pub(crate) id: RoomId,
    pub(crate) clients: Vec<u32>,
    pub(crate) folded: bool,
}

impl<F: StateroomServiceFactory> Worker<F> {
    pub(crate) fn new(factory: Arc<F>, settings: Arc<Settings>, room_count: Arc<AtomicUsize>) -> Rc<Self> {
        Rc::new(Self {
            factory,
            folding: Rc::new(Folding::new(&settings)),
            settings,
            executor: LocalExecutor::new(),
            rooms: RefCell::default(),
            room_count,
            turns: Rc::default(),
            io: Rc::default(),
            connections: Rc::new(()),
        })
    }

    pub(crate) fn factory(&self) -> &F {
        &self.factory
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> Task<()> {
        self.executor.spawn(task)
    }

    /// Serves HTTP and commands until it is told to end, and then says goodbye to all clients.
    pub(crate) async fn run(self: &Rc<Self>, commands: Receiver<Command>, http: Http) {
        let (folding, turns) = (Rc::clone(&self.folding), self.turns());
        self.spawn(async move { folding.run(&turns).await }).detach();
        let serving = self.executor.run(async {
            let served = async {
                // Fails only where whoever started the thread is gone.
                while let Ok(command) = commands.recv().await {
                    if let Command::End = command {
                        break;
                    }
                    self.execute(command);
                }
            };
            or(served, http.run()).await;
            drop((http, commands));
            self.rooms.borrow().values().for_each(|room| room.go_away());
            let patience = async {
                Timer::after(FAREWELL).await;
            };
            or(self.last_connection(), patience).await;
        });
        or(serving, self.turns.grant()).await;
    }

    /// What the connections of this thread share.
    pub(crate) fn io(&self) -> Rc<Io> {
        Rc::clone(&self.io)
    }

    /// Ends a round: see [`Io::end_round`].
    pub(crate) fn end_round(&self) {
        self.io.end_round();
    }

    /// What a long event waits for. Tasks must not hold the worker itself while they wait: it holds them.
    pub(crate) fn turns(&self) -> Rc<Turns> {
        Rc::clone(&self.turns)
    }

    /// The rooms that could be folded.
    pub(crate) fn folding(&self) -> &Folding<F> {
        &self.folding
    }

    fn execute(self: &Rc<Self>, command: Command) {
        // Where an answer is wanted no more, it is dropped.
        match command {
            Command::Create(id, answer) => {
                let created = self.create(id);
                if let Ok(room) = &created {
                    room.await_first_client();
                }
                let task = async move {
                    let ready = match created {
                        Ok(room) => room.ready().await.ok_or(CreateError::Failed),
                        Err(error) => Err(error),
                    };
                    let _ = answer.try_send(ready);
                };
                self.spawn(task).detach();
            }
            Command::Exists(id, answer) => {
                let _ = answer.try_send(self.rooms.borrow().contains_key(&id));
            }
            Command::Connect(id, Arrival { stream, visitor }) => match Stream::new(stream) {
                Ok(stream) => self.connect(id, stream, visitor),
                Err(error) => log::error!("cannot serve a connection: {error}"),
            },
            Command::Count(answer) => {
                let _ = answer.try_send(Counts {
                    rooms: self.rooms.borrow().len(),
                    folded_rooms: self.folding.folded(),
                    unfolded_memory: self.folding.held(),
                    clients: self.io.clients.get(),
                });
            }
            Command::List(answer) => {
                let rooms = self.rooms.borrow();
                let status = |room: &Rc<Room<F>>| RoomStatus {
                    id: room.id().clone(),
                    clients: room.clients().into_iter().map(u32::from).collect(),
                    folded: room.rest().is_folded(),
                };
                let _ = answer.try_send(rooms.values().map(status).collect());
            }
            Command::End => {}
        }
    }

    /// Takes over a connection that has asked for a room.
    pub(crate) fn connect(self: &Rc<Self>, id: RoomId, stream: Stream, visitor: Visitor) {
        let Visitor { read_ahead, info, place: taken } = visitor;
        let room = if self.settings.room_ids.implicit() {
            self.find_or_open(id)
        } else {
            self.find(&id).ok_or(connection::Rejection::NoSuchRoom)
        };
        // Before anything waits, so that the room does not end for want of clients.
        let place = room.and_then(|room| match room.enter() {
            Some(client) => Ok((room, client)),
            None => Err(connection::Rejection::NoMoreIds),
        });
        let settings = Arc::clone(&self.settings);
        let link = Link::new(stream, self.io(), self.turns(), settings.outbox_size);
        let connection = Rc::clone(&self.connections);
        let task = async move {
            connection::serve(link, read_ahead, info, place, &settings).await;
            drop((connection, taken));
        };
        self.spawn(task).detach();
    }

    fn create(self: &Rc<Self>, id: RoomId) -> Result<Rc<Room<F>>, CreateError> {
        match self.find(&id) {
            Some(_) => Err(CreateError::Exists),
            None => self.find_or_open(id).map_err(|rejection| match rejection {
                connection::Rejection::TooManyRooms => CreateError::TooMany,
                _ => CreateError::Failed,
            }),
        }
    }

    fn find(&self, id: &RoomId) -> Option<Rc<Room<F>>> {
        self.rooms.borrow().get(id).map(Rc::clone)
    }

    fn find_or_open(self: &Rc<Self>, id: RoomId) -> Result<Rc<Room<F>>, connection::Rejection> {
        if let Some(room) = self.find(&id) {
            return Ok(room);
        }
        // Several workers may be here at once, and go beyond the limit by one room each.
        if self.room_count.load(Ordering::Relaxed) >= self.settings.max_rooms {
            log::debug!("room {id} would be one too many");
            return Err(connection::Rejection::TooManyRooms);
        }
        let room = match catch_unwind(AssertUnwindSafe(|| Room::new(id.clone(), self))) {
            Ok(Ok(room)) => room,
            Ok(Err(error)) => {
                self.io.log_failure(|| format!("room {id} cannot be made: {}", Cut::new(&error.to_string())));
                return Err(connection::Rejection::RoomFailed);
            }
            Err(_) => {
                self.io.log_failure(|| format!("room {id} cannot be made: the service panicked"));
                return Err(connection::Rejection::RoomFailed);
            }
        };
        self.room_count.fetch_add(1, Ordering::Relaxed);
        self.rooms.borrow_mut().insert(id, Rc::clone(&room));
        Ok(room)
    }

    /// Takes a room that has ended out of the list, so that the next connection opens a fresh one.
    pub(crate) fn forget(&self, room: &Rc<Room<F>>) {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.get(room.id()).is_some_and(|current| Rc::ptr_eq(current, room)) {
            rooms.remove(room.id());
            self.room_count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    async fn last_connection(&self) {
        // A few looks in a second and a half, when everything ends: not worth a waker.
        while Rc::strong_count(&self.connections) > 1 {
            Timer::after(Duration::from_millis(5)).await;
        }
    }
}

impl<F: StateroomServiceFactory> fmt::Debug for Worker<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("rooms", &self.rooms.borrow().len()).finish_non_exhaustive()
    }
}

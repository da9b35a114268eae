//! The HTTP side: what is not a WebSocket, and how a connection becomes one.

mod accept;
mod body;
mod peer;
mod place;
mod rooms;
mod socket;
mod static_files;
mod status;
mod upgrade;

use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Instant,
};

use async_executor::LocalExecutor;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use smol::{
    channel::{Receiver, Sender, bounded},
    future::{or, pending},
};
use stateroom_sdk_core::engine::EngineFactory;

use crate::{
    reactor::{Listener, Stream},
    room_id::RoomId,
    settings::Settings,
    worker::{Arrival, Command, Visitor, Worker},
};

pub(crate) use place::{Place, Places};

use accept::accept;
use body::{Body, text};
use peer::Peer;
use socket::Socket;

/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 << 10;

/// Accepts connections on the thread of a worker, serves HTTP on them, and hands those that become WebSockets to the
/// worker of their room.
///
/// Its tasks end with it.
pub(crate) struct Http {
    executor: Rc<LocalExecutor<'static>>,
}

/// What the threads of a server share for HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) workers: Vec<Sender<Command>>,
    pub(crate) places: Places,
    pub(crate) started: Instant,
    /// Spreads rooms over the workers. Its keys are random: whoever chooses ids cannot choose the thread.
    pub(crate) hasher: RandomState,
}

/// What requests are answered from.
struct Site<F: EngineFactory> {
    executor: Weak<LocalExecutor<'static>>,
    shared: Shared,
    /// That of this thread, and which of them it is.
    here: (Rc<Worker<F>>, usize),
}

impl Http {
    pub(crate) fn new<F: EngineFactory>(
        listener: Listener,
        shared: Shared,
        worker: &Rc<Worker<F>>,
        number: usize,
    ) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let here = (Rc::clone(worker), number);
        let site = Site { executor: Rc::downgrade(&executor), shared, here };
        executor.spawn(accept(listener, Rc::new(site))).detach();
        Self { executor }
    }

    /// Serves until it is dropped.
    pub(crate) async fn run(&self) {
        self.executor.run(pending()).await
    }
}

impl<F: EngineFactory> Site<F> {
    /// Serves a connection, beside everything else.
    fn serve(self: &Rc<Self>, stream: Stream, address: SocketAddr) {
        let site = Rc::clone(self);
        let peer = Rc::new(Peer::new(address, self.shared.places.take()));
        self.spawn(async move {
            let answer = service_fn(|request| {
                let (site, peer) = (&site, &peer);
                async move {
                    peer.set_answered(true);
                    let response = site.answer(request, peer).await;
                    peer.set_answered(false);
                    Ok::<_, io::Error>(response)
                }
            });
            let socket = Socket { stream, io: site.here.0.io(), peer: Rc::clone(&peer) };
            let connection = http1::Builder::new()
                .header_read_timeout(None)
                .max_buf_size(HEAD_SIZE)
                .serve_connection(socket, answer);
            let served = async { Some(connection.without_shutdown().await) };
            let given_up = async {
                peer.lost_patience().await;
                None
            };
            match or(served, given_up).await {
                Some(Ok(parts)) => site.take_over(&peer, parts.io.stream, parts.read_buf.to_vec()),
                Some(Err(error)) => log::debug!("{address}: {error}"),
                None => log::debug!("{address}: nothing has been asked for, or taken, for too long"),
            }
        });
    }

    /// Sees to a connection that HTTP has ended on.
    fn take_over(&self, peer: &Peer, stream: Stream, read_ahead: Vec<u8>) {
        let (Some((room, info)), Some(place)) = (peer.visit.take(), peer.place.take()) else {
            // Nobody is left to tell where this fails.
            let _ = stream.end_writing();
            return;
        };
        let visitor = Visitor { read_ahead, info, place };
        let (worker, number) = &self.here;
        let home = self.home(&room);
        if home == *number {
            worker.connect(room, stream, visitor);
            return;
        }
        match stream.into_inner() {
            // Where the worker is ending, so is the connection.
            Ok(stream) => {
                let _ =
                    self.shared.workers[home].try_send(Command::Connect(room, Arrival { stream, visitor }));
            }
            Err(error) => log::debug!("{} cannot be handed to its room's thread: {error}", peer.address),
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let path = request.uri().path();
        let room = match path {
            "/status" => return self.status(&request, peer.address).await,
            "/new_room" => return self.new_room(request.method()).await,
            "/ws" => Ok(RoomId::default_room()),
            _ => match path.strip_prefix("/ws/") {
                Some(encoded) => RoomId::from_path(encoded),
                None => return self.static_file(&request).await,
            },
        };
        match (room, request.method()) {
            (Err(reason), _) => {
                log::debug!("{} asks for {path}: {reason}", peer.address);
                text(StatusCode::BAD_REQUEST, reason)
            }
            (Ok(room), &Method::GET) => self.upgrade(&request, room, peer).await,
            (Ok(room), &Method::POST) => self.create_room(room).await,
            (Ok(_), _) => not_allowed("GET, POST"),
        }
    }

    /// Whether there are more connections than there may be clients.
    fn is_full(&self) -> bool {
        self.shared.places.taken() > self.shared.settings.max_connections
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(task).detach();
        }
    }

    /// Which worker a room lives with.
    fn home(&self, room: &RoomId) -> usize {
        let hash = self.shared.hasher.hash_one(room);
        // The remainder is less than the number of workers, of which there is at least one.
        (hash % self.shared.workers.len() as u64) as usize
    }

    /// The worker that a room lives with.
    fn worker(&self, room: &RoomId) -> &Sender<Command> {
        &self.shared.workers[self.home(room)]
    }

    /// Asks a worker; nothing where the server is ending.
    async fn ask<T>(worker: &Sender<Command>, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (sender, answer): (_, Receiver<T>) = bounded(1);
        worker.send(command(sender)).await.ok()?;
        answer.recv().await.ok()
    }
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &format!("this takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn ending() -> Response<Body> {
    text(StatusCode::SERVICE_UNAVAILABLE, "the server is ending")
}

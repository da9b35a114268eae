//! The HTTP side: what is not a WebSocket, and how a connection becomes one.

mod accept;
mod body;
mod place;
mod rooms;
mod static_files;
mod status;
mod upgrade;

use std::{
    cell::Cell,
    future::Future,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use async_executor::LocalExecutor;
use async_io::Async;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use smol::{
    channel::{Receiver, Sender, bounded},
    future::pending,
};
use smol_hyper::rt::{FuturesIo, SmolTimer};

use crate::{room_id::RoomId, settings::Settings, worker::Command};

pub(crate) use place::Place;

use accept::accept;
use body::{Body, text};
use place::Places;

/// How long a client may take to send a request's head, and how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 << 10;

/// Accepts connections, serves HTTP on them, and hands those that become WebSockets to the workers.
///
/// Its tasks end with it: they hold what tells the workers to go on.
pub(crate) struct Http {
    executor: Rc<LocalExecutor<'static>>,
}

/// What requests are answered from.
struct Site {
    executor: Weak<LocalExecutor<'static>>,
    settings: Arc<Settings>,
    workers: Vec<Sender<Command>>,
    places: Places,
    started: Instant,
}

/// Where a request comes from.
struct Peer {
    address: SocketAddr,
    /// Until the connection becomes a WebSocket.
    place: Cell<Option<Place>>,
}

impl Http {
    pub(crate) fn new(
        listener: Async<TcpListener>,
        settings: Arc<Settings>,
        workers: Vec<Sender<Command>>,
    ) -> Self {
        let executor = Rc::new(LocalExecutor::new());
        let site = Site {
            executor: Rc::downgrade(&executor),
            settings,
            workers,
            places: Places::default(),
            started: Instant::now(),
        };
        executor.spawn(accept(listener, Rc::new(site))).detach();
        Self { executor }
    }

    /// Serves until it is dropped.
    pub(crate) async fn run(&self) {
        self.executor.run(pending()).await
    }
}

impl Site {
    /// Serves a connection, beside everything else.
    fn serve(self: &Rc<Self>, stream: Async<TcpStream>, address: SocketAddr) {
        let site = Rc::clone(self);
        let peer = Rc::new(Peer { address, place: Cell::new(Some(self.places.take())) });
        self.spawn(async move {
            let answer = service_fn(|request| {
                let (site, peer) = (Rc::clone(&site), Rc::clone(&peer));
                async move { Ok::<_, io::Error>(site.answer(request, &peer).await) }
            });
            let served = http1::Builder::new()
                .timer(SmolTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_SIZE)
                .serve_connection(FuturesIo::new(stream), answer)
                .with_upgrades()
                .await;
            if let Err(error) = served {
                log::debug!("{address}: {error}");
            }
        });
    }

    async fn answer(self: &Rc<Self>, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
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
            (Ok(room), &Method::GET) => self.upgrade(request, room, peer).await,
            (Ok(room), &Method::POST) => self.create_room(room).await,
            (Ok(_), _) => not_allowed("GET, POST"),
        }
    }

    /// Whether there are more connections than there may be clients.
    fn is_full(&self) -> bool {
        self.places.taken() > self.settings.max_connections
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Some(executor) = self.executor.upgrade() {
            executor.spawn(task).detach();
        }
    }

    /// The worker whose thread a room lives on.
    fn worker(&self, room: &RoomId) -> &Sender<Command> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(room);
        // The remainder is less than the number of workers, of which there is at least one.
        &self.workers[(hash % self.workers.len() as u64) as usize]
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

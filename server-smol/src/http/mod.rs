//! The HTTP side: what is not a WebSocket, and how a connection becomes one.

mod accept;
mod body;
mod peer;
mod rooms;
mod socket;
mod static_files;
mod status;
mod upgrade;

use std::{fmt, future::Future, io, net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use smol::future::or;
use stateroom_core::engine::EngineFactory;

use crate::{
    reactor::{Listener, Stream},
    room::RoomId,
    settings::Settings,
    worker::{Arrival, Command, Permits, Visitor, Worker, Workers},
};

use accept::accept;
use body::{Body, text};
use peer::Peer;
use socket::Socket;

/// The largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 << 10;

/// What the threads of a server share for HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) workers: Workers,
    pub(crate) permits: Permits,
    pub(crate) started: Instant,
}

/// What requests are answered from.
struct Site<F: EngineFactory> {
    shared: Shared,
    /// That of this thread, and which of them it is.
    here: (Rc<Worker<F>>, usize),
}

/// Accepts connections on the thread of a worker, serves HTTP on them, and hands those that become WebSockets to the
/// worker of their room.
pub(crate) async fn serve<F: EngineFactory>(
    listener: Listener,
    shared: Shared,
    worker: &Rc<Worker<F>>,
    number: usize,
) {
    let site = Site { shared, here: (Rc::clone(worker), number) };
    accept(listener, Rc::new(site)).await
}

impl<F: EngineFactory> Site<F> {
    /// Serves a connection, beside everything else.
    fn serve(self: &Rc<Self>, stream: Stream, address: SocketAddr) {
        let site = Rc::clone(self);
        let clock = Rc::clone(&self.here.0.thread().clock);
        let peer = Rc::new(Peer::new(address, self.shared.permits.take(), clock));
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
            let buffers = Rc::clone(&site.here.0.thread().buffers);
            let socket = Socket { stream, buffers, peer: Rc::clone(&peer) };
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
        let (Some((room, info)), Some(permit)) = (peer.visit.take(), peer.permit.take()) else {
            // Nobody is left to tell where this fails.
            let _ = stream.end_writing();
            return;
        };
        let visitor = Visitor { read_ahead, info, permit };
        let (worker, number) = &self.here;
        let home = self.shared.workers.home(&room);
        if home == *number {
            worker.connect(room, stream, visitor);
            return;
        }
        match stream.into_inner() {
            // Where the worker is ending, so is the connection.
            Ok(stream) => {
                let arrival = Arrival { stream, visitor };
                let _ = self.shared.workers.tell(home, Command::Connect(room, arrival));
            }
            Err(error) => log::debug!("{} cannot be handed to its room's thread: {error}", peer.address),
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        if self.here.0.is_ending() {
            return ending();
        }
        let path = request.uri().path();
        let room = match path {
            "/status" => return self.status(&request).await,
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
        self.shared.permits.taken() > self.shared.settings.max_connections
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.here.0.requests().spawn(task).detach();
    }
}

impl<F: EngineFactory> fmt::Debug for Site<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("shared", &self.shared).finish_non_exhaustive()
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

//! Serves HTTP: answers requests, sends static files, and upgrades connections to WebSockets.

mod accept;
#[cfg(feature = "auth")]
mod entry;
mod handshake;
mod origin;
mod peer;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(feature = "tls")]
mod redirect;
mod refusal;
mod rooms;
mod static_files;
mod status;
#[cfg(all(test, unix))]
mod tests;
mod upgrade;

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderName, HeaderValue},
};
use smol::future::{FutureExt as _, or};
use stateroom_core::engine::EngineFactory;

use crate::{
    admission::{Permit, Permits, TooManyOfAddress},
    control::{Control, READY, ready},
    listen::Listener,
    log_line::{About, ClientAddress, ConnectionId, debug_about},
    memory::{OutOfMemory, Purpose},
    reactor::{self, AnyTransport, Spare, Stream},
    requests::{
        Body, Downloads, Protocol, Socket, ending, has_one_host, not_allowed, serve as serve_requests, text,
    },
    room::RoomId,
    settings::Settings,
    thread::Cut,
    worker::{Arrival, Command, NewClient, Worker},
};

use accept::accept;
use origin::preflight;
use peer::{Peer, SILENT};
use refusal::{CONNECTIONS, FILES, OF_ADDRESS, Refusals, Why};

/// The methods for a room.
const ROOM: &str = "GET, POST";

const PROTOCOL: Protocol = Protocol { head_size: 16 << 10, keep_alive: true };

/// The state that the threads of a server share for HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) control: Control,
    pub(crate) permits: Permits,
    pub(crate) downloads: Downloads,
    /// True if another process may take over the sockets that this one listens on.
    pub(crate) is_replaced: bool,
    /// The port for TLS, if there is one.
    #[cfg(feature = "tls")]
    pub(crate) tls_port: Option<u16>,
    /// The port of the operator's playground, if there is one.
    pub(crate) playground_port: Option<u16>,
}

/// The state from which requests are answered.
struct Site<F: EngineFactory> {
    shared: Shared,
    /// The headers that rooms may ask for.
    client_headers: Vec<HeaderName>,
    /// The worker of this thread, and its number.
    here: (Rc<Worker<F>>, usize),
    refusals: Refusals,
}

/// Accepts connections on the thread of a worker, serves HTTP on them, and hands those that become WebSockets to the
/// worker of their room.
///
/// # Errors
/// The system has no memory to watch the listeners.
pub(crate) fn serve<F: EngineFactory>(
    listeners: Vec<Listener>,
    shared: Shared,
    worker: &Rc<Worker<F>>,
    number: usize,
) -> io::Result<impl Future<Output = Infallible>> {
    let site = Rc::new(Site::new(shared, (Rc::clone(worker), number)));
    let accept = |listener| Ok(Box::pin(accept(reactor::Listener::new(listener)?, Rc::clone(&site))));
    let mut all = listeners.into_iter().map(accept).collect::<io::Result<Vec<_>>>()?;
    // None of them ever returns.
    Ok(poll_fn(move |cx| {
        all.iter_mut().for_each(|accepting| _ = accepting.as_mut().poll(cx));
        Poll::Pending
    }))
}

impl<F: EngineFactory> Site<F> {
    fn new(shared: Shared, here: (Rc<Worker<F>>, usize)) -> Self {
        // What is not the name of a header is in no request.
        let names = shared.settings.client_headers.iter();
        let client_headers = names.filter_map(|name| HeaderName::try_from(name).ok()).collect();
        Self { shared, client_headers, here, refusals: Refusals::default() }
    }

    /// Serves a connection, beside everything else. If it `leads_to_tls`, it is told to come back with TLS.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    fn serve(
        self: &Rc<Self>,
        transport: AnyTransport,
        address: SocketAddr,
        leads_to_tls: bool,
    ) -> io::Result<()> {
        let connection = ConnectionId::next();
        let shown = ClientAddress(address);
        let about = About { address: Some(shown), ..About::connection(connection) };
        debug_about!(about, "{shown} connects");
        #[cfg(feature = "proxy")]
        if self.is_proxy(address.ip(), !matches!(transport, AnyTransport::Tcp(_))) {
            return self.serve_proxy(transport, address, connection, leads_to_tls);
        }
        let stream = Stream::new(self.with_tls(transport, connection, leads_to_tls))?;
        let permit = match self.shared.permits.take(address.ip()) {
            Ok(permit) => permit,
            Err(TooManyOfAddress) => {
                debug_about!(about, "{shown}: there are as many from there as there may be");
                self.refuse(stream, OF_ADDRESS);
                return Ok(());
            }
        };
        match self.new_peer(address, connection, permit, leads_to_tls) {
            Ok(peer) => self.spawn(Rc::clone(self).attend(stream, peer)),
            Err(OutOfMemory) => self.refuse_for_memory(stream),
        }
        Ok(())
    }

    /// Answers a connection that has taken a spare file descriptor, as there are no others.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    fn refuse_for_files(
        &self,
        transport: AnyTransport,
        address: SocketAddr,
        leads_to_tls: bool,
        spare: Spare,
    ) -> io::Result<()> {
        self.here.0.thread().refuse(FILES.label, FILES.limit);
        #[cfg(feature = "proxy")]
        if self.shared.settings.proxy_protocol
            && self.is_proxy(address.ip(), !matches!(transport, AnyTransport::Tcp(_)))
        {
            // Whoever reads the answer expects what follows the header.
            return Ok(());
        }
        let _ = address;
        let stream = Stream::new(self.with_tls(transport, ConnectionId::next(), leads_to_tls))?;
        let buffers = Rc::clone(&self.here.0.thread().buffers);
        if let Some(refusal) = self.refusals.refuse(stream, buffers, FILES) {
            let refusal = async move {
                refusal.await;
                drop(spare);
            };
            self.spawn(refusal.boxed_local());
        }
        Ok(())
    }

    /// Returns the transport that a connection uses for HTTP: over TLS, if there is a certificate.
    #[cfg_attr(not(feature = "tls"), allow(clippy::unused_self))]
    fn with_tls(
        &self,
        transport: AnyTransport,
        connection: ConnectionId,
        leads_to_tls: bool,
    ) -> AnyTransport {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.shared.settings.tls.as_ref().filter(|_| !leads_to_tls) {
            return match transport {
                AnyTransport::Tcp(socket) => tls.accept(socket, connection),
                transport => transport,
            };
        }
        let _ = (connection, leads_to_tls);
        transport
    }

    /// Returns the peer of a new connection, which has asked for nothing.
    fn new_peer(
        &self,
        address: SocketAddr,
        connection: ConnectionId,
        permit: Permit,
        leads_to_tls: bool,
    ) -> Result<Rc<Peer>, OutOfMemory> {
        let thread = self.here.0.thread();
        let memory = thread.memory.charge(SILENT, Purpose::New)?;
        let peer = Peer::new(address, connection, permit, Rc::clone(&thread.clock), memory, leads_to_tls);
        peer.set_idle(true);
        Ok(Rc::new(peer))
    }

    /// Answers a connection that there is no memory for, and asks for memory for the next one.
    fn refuse_for_memory(&self, stream: Stream) {
        self.shared.permits.evict();
        self.refuse(stream, Why::out_of_memory());
    }

    /// Answers a connection that there is no space for. If there are too few file descriptors or too many refusals,
    /// closes it.
    fn refuse(&self, stream: Stream, why: Why) {
        self.here.0.thread().refuse(why.label, why.limit);
        // The answer would keep it for a while, and meanwhile others would be evicted, too.
        if self.shared.permits.lacks_files() {
            return;
        }
        let buffers = Rc::clone(&self.here.0.thread().buffers);
        if let Some(refusal) = self.refusals.refuse(stream, buffers, why) {
            self.spawn(refusal.boxed_local());
        }
    }

    /// Serves a connection to its end, or until it becomes a WebSocket.
    async fn attend(self: Rc<Self>, stream: Stream, peer: Rc<Peer>) {
        // What it takes to read requests is taken when there is one.
        let begun = poll_fn(|cx| stream.poll_readable(cx));
        match unless_given_up(&peer, begun).await {
            Some(_) => {}
            // Its request may be on its way.
            None if peer.is_evicted() => {
                drop(peer);
                return self.refuse(stream, CONNECTIONS);
            }
            None => return,
        }
        #[cfg(feature = "tls")]
        peer.is_secure.set(stream.is_secure());
        match peer.charge_requests() {
            Ok(()) => Box::pin(self.answer_requests(stream, &peer)).await,
            Err(OutOfMemory) => self.refuse_for_memory(stream),
        }
    }

    async fn answer_requests(&self, stream: Stream, peer: &Rc<Peer>) {
        let answer = async |request| {
            poll_fn(|cx| peer.poll_unblocked(cx)).await;
            let in_progress = peer.begin_request(self.here.0.hold());
            let asked = log::log_enabled!(log::Level::Debug).then(|| shown(&request));
            let mut response = self.answer(request, peer).await;
            if let Some(asked) = asked {
                debug_about!(peer.about(), "{asked}: {}", response.status().as_u16());
            }
            if self.here.0.is_ending() {
                // The next request is for another server.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some(size) = response.body().stream_size() {
                in_progress.note_stream(size);
            }
            peer.note_answered();
            response.body_mut().hold(Rc::new(in_progress));
            response
        };
        let buffers = Rc::clone(&self.here.0.thread().buffers);
        let socket = Socket { stream, buffers, peer: Rc::<Peer>::clone(peer) };
        // It is large, and whoever takes it by value may keep several copies.
        let served = pin!(serve_requests(socket, PROTOCOL, answer));
        match unless_given_up(peer, served).await {
            Some(Ok((socket, read_ahead))) => self.take_over(peer, socket.stream, read_ahead),
            Some(Err(error)) => debug_about!(peer.about(), "{}: {error}", peer.address()),
            None => debug_about!(
                peer.about(),
                "{}: nothing has been asked for, or taken, for too long",
                peer.address()
            ),
        }
    }

    /// Sees to a connection that HTTP has ended on.
    fn take_over(&self, peer: &Peer, stream: Stream, read_ahead: Vec<u8>) {
        let (Some(visit), Some(permit)) = (peer.visit.take(), peer.permit.take()) else {
            // Nobody is left to tell where this fails.
            let _ = stream.end_writing();
            debug_about!(peer.about(), "{} has no more requests", peer.address());
            return;
        };
        let new_client = NewClient {
            connection: peer.connection,
            read_ahead,
            info: visit.info,
            permit,
            session: visit.session,
            #[cfg(feature = "compression")]
            compression: visit.compression,
        };
        let room = visit.room;
        let (worker, number) = &self.here;
        let home = self.shared.control.workers.home(&room);
        if home == *number {
            worker.connect(room, stream, new_client);
            return;
        }
        match stream.into_inner() {
            // Where the worker is ending, so is the connection.
            Ok(transport) => {
                let arrival = Arrival { transport, new_client };
                let _ = self.shared.control.workers.tell(home, Command::Connect(room, arrival));
            }
            Err(error) => {
                debug_about!(
                    peer.about(),
                    "{} cannot be handed to its room's thread: {error}",
                    peer.address()
                )
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let workers = &self.shared.control.workers;
        if request.uri().path() != READY {
            self.here.0.begun().await;
        }
        #[cfg(feature = "proxy")]
        if let Some(refusal) = self.find_client(&request, peer) {
            return refusal;
        }
        #[cfg(feature = "tls")]
        if peer.leads_to_tls && !self.is_ending_for(&request) {
            return self.lead_to_tls(&request, peer).await;
        }
        if !has_one_host(&request) {
            return text(StatusCode::BAD_REQUEST, "a request has one `Host`");
        }
        let methods = match request.uri().path() {
            READY => return ready(workers.phase(), request.method()),
            "/status" => "GET",
            "/new_room" => "POST",
            "/ws" => ROOM,
            path if path.starts_with("/ws/") => ROOM,
            _ if self.is_ending_for(&request) => return ending(),
            _ => return self.file(request, peer).await,
        };
        let page = match self.page(&request, peer) {
            Ok(page) => page,
            Err(refusal) => return self.refuse_page(refusal),
        };
        let mut response = match preflight(&request, methods) {
            Some(response) => response,
            None => self.answer_page(request, peer).await,
        };
        self.share(page, &mut response);
        response
    }

    /// Answers a request for a file, or for the playground if that is public.
    async fn file(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        #[cfg(feature = "built-in")]
        // It is rare, and would take memory in each connection.
        let request = match Box::pin(self.playground(request)).await {
            Ok(response) => return response,
            Err(request) => request,
        };
        self.static_file(&request, peer).await
    }

    /// Answers a request for the status or for rooms.
    async fn answer_page(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        if self.is_ending_for(&request) {
            return ending();
        }
        let path = request.uri().path();
        let room = match path {
            "/status" => return self.status(&request).await,
            "/new_room" => return self.new_room(&request, peer).await,
            "/ws" => Ok(RoomId::default_room()),
            _ => RoomId::from_path(path.strip_prefix("/ws/").unwrap_or_default()),
        };
        match (room, request.method()) {
            (Err(reason), _) => {
                debug_about!(peer.about(), "{} asks for {path:?}: {reason}", peer.address());
                text(StatusCode::BAD_REQUEST, reason)
            }
            (Ok(room), &Method::GET) => self.upgrade(&request, room, peer).await,
            (Ok(room), &Method::POST) => self.create_room(&request, room, peer).await,
            (Ok(_), _) => not_allowed(ROOM),
        }
    }

    /// Returns whether a request gets no other answer than that the server ends.
    fn is_ending_for(&self, request: &Request<Incoming>) -> bool {
        // Clients of a server whose place is taken know from the close frame of a WebSocket that they may come back at once.
        self.here.0.is_ending() && !(self.shared.is_replaced && *request.method() == Method::GET)
    }

    /// Returns whether there are more connections than there may be clients.
    fn is_full(&self) -> bool {
        self.shared.permits.are_exceeded()
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        #[cfg(feature = "metrics")]
        let task = self.here.0.thread().stats.tasks.count(task);
        self.here.0.requests().spawn(task).detach();
    }
}

/// Returns a request as the log shows it. The query stays out of the log: a token may be in it.
fn shown(request: &Request<Incoming>) -> String {
    format!("{} {:?}", request.method(), Cut::new(request.uri().path()))
}

/// Runs `serve` until the peer is given up: it has asked for nothing, or taken nothing, for too long, or others need
/// its space. Returns nothing then.
async fn unless_given_up<T>(peer: &Peer, served: impl Future<Output = T>) -> Option<T> {
    let served = async { Some(served.await) };
    let given_up = async {
        peer.lost_patience().await;
        None
    };
    let evicted = async {
        poll_fn(|cx| peer.poll_evicted(cx)).await;
        None
    };
    // The request that has just come goes first.
    or(served, or(given_up, evicted)).await
}

impl<F: EngineFactory> fmt::Debug for Site<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("shared", &self.shared).finish_non_exhaustive()
    }
}

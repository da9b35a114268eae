#[cfg(feature = "wasm")]
mod guests;
mod handle;
mod signals;
mod supervisor;

use std::{
    future::{Future, pending},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use smol::{
    channel::{self, Sender},
    future::or,
};
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "rooms")]
use crate::kept::begin_cleaning;
use crate::{
    admin_address::AdminAddress,
    admission::Permits,
    close::CloseReason,
    control::Control,
    error::ServeError,
    http::{self, Shared},
    journal::{DataDirectory, DataError, JournalThread},
    listen::{ListenAddress, Listener, Listeners, Wanted},
    operator::Operator,
    reactor::{Clock, ClockSource, Reactor, VirtualClock},
    requests::Downloads,
    room::RoomCounts,
    settings::{
        AllowedOrigin, Durability, Recordings, RoomIds, Settings, ShutdownPolicy, Subprotocol, Upgrade,
    },
    worker::{NewJournal, Worker, Workers},
};

use handle::REST;
pub use handle::{RenewedRooms, Replacement, RoomInfo, ServerHandle, Stats};
#[cfg(feature = "wasm")]
pub use signals::Signals;
use signals::{Caught, end};
use supervisor::Supervisor;

#[cfg(feature = "wasm")]
use crate::guests::Deployment;

#[cfg(target_os = "linux")]
use crate::reactor::reserve_descriptors;

/// The native stack of a thread that runs rooms, in bytes. Guests take up to half a megabyte (see host-min), and some C
/// libraries would give a thread 128 KiB. What is never used takes no memory.
const STACK: usize = 2 << 20;

/// A server of rooms, before it runs: see [`Settings`] for what can be set.
///
/// ```
/// use stateroom_server_smol::{Server, ShutdownPolicy};
///
/// let server = Server::new().with_port(0).with_shutdown(ShutdownPolicy::Immediate);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Server {
    settings: Settings,
    /// The program of the rooms, if they run guests.
    #[cfg(feature = "wasm")]
    deployment: Option<Arc<Deployment>>,
}

impl Server {
    /// Returns a server with default [`Settings`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the address to listen on.
    pub fn with_ip(mut self, ip: impl Into<IpAddr>) -> Self {
        self.settings.ip = ip.into();
        self
    }

    /// Sets the port to listen on; 0 lets the system choose.
    pub fn with_port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// Adds an address to listen on, in place of those of [`with_ip`](Self::with_ip) and [`with_port`](Self::with_port).
    pub fn with_listen(mut self, address: ListenAddress) -> Self {
        self.settings.listen.push(address);
        self
    }

    /// Sets whether other processes may listen on the same ports.
    pub fn with_reuse_port(mut self, reuse: bool) -> Self {
        self.settings.reuse_port = reuse;
        self
    }

    /// Sets the certificate with which the server speaks TLS. `serve_guests` reads it again with SIGHUP; other programs call
    /// [`Tls::reload`](crate::Tls::reload) of a clone.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: Option<crate::tls::Tls>) -> Self {
        self.settings.tls = tls;
        self
    }

    /// Sets the port on which clients are led to the one for TLS.
    #[cfg(feature = "tls")]
    pub fn with_redirect_http(mut self, port: Option<u16>) -> Self {
        self.settings.redirect_http = port;
        self
    }

    /// Sets how often clients are pinged; zero sends no pings.
    pub fn with_heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// Sets how long a client may be silent before its connection is dropped; zero waits forever.
    pub fn with_heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.settings.heartbeat_timeout = timeout;
        self
    }

    /// Sets the time in which the server ends when it is told to; see [`Settings::drain`].
    pub fn with_drain(mut self, time: Duration) -> Self {
        self.settings.drain = time;
        self
    }

    /// Sets the directory that is served at `/`.
    pub fn with_static_files(mut self, directory: Option<PathBuf>) -> Self {
        self.settings.static_files = directory;
        self
    }

    /// Sets whether `index.html` is the page for all paths of pages that do not exist.
    pub fn with_single_page(mut self, single_page: bool) -> Self {
        self.settings.single_page = single_page;
        self
    }

    /// Sets the files of the program that are served at `/_/`.
    #[cfg(feature = "built-in")]
    pub fn with_built_in(mut self, files: &'static [crate::settings::BuiltIn]) -> Self {
        self.settings.built_in = files;
        self
    }

    /// Sets the page at `/_/` that shows what happens in rooms.
    #[cfg(feature = "built-in")]
    pub fn with_playground(mut self, playground: Option<crate::settings::Playground>) -> Self {
        self.settings.playground = playground;
        self
    }

    /// Sets who may create rooms, and how they are named.
    pub fn with_room_ids(mut self, room_ids: RoomIds) -> Self {
        self.settings.room_ids = room_ids;
        self
    }

    /// Sets what happens to a room that nobody is in.
    pub fn with_shutdown(mut self, shutdown: ShutdownPolicy) -> Self {
        self.settings.shutdown = shutdown;
        self
    }

    /// Sets how long a room has no event before it hibernates; zero: none ever does.
    pub fn with_hibernate_after(mut self, delay: Duration) -> Self {
        self.settings.hibernate_after = delay;
        self
    }

    /// Sets how much memory the rooms may have together that are awake, in bytes.
    pub fn with_awake_memory(mut self, bytes: usize) -> Self {
        self.settings.awake_memory = bytes;
        self
    }

    /// Sets how much memory guests, clients and requests may take together, in bytes.
    pub fn with_total_memory(mut self, bytes: usize) -> Self {
        self.settings.total_memory = bytes;
        self
    }

    /// Sets how long a client may take to finish a message; zero: as long as it likes.
    pub fn with_message_timeout(mut self, timeout: Duration) -> Self {
        self.settings.message_timeout = timeout;
        self
    }

    /// Sets how long a client may take nothing of what waits for it; zero: as long as it likes.
    pub fn with_outbox_timeout(mut self, timeout: Duration) -> Self {
        self.settings.outbox_timeout = timeout;
        self
    }

    /// Sets how many connections there may be at a time.
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Sets how many connections there may be from one address at a time, if they are to be counted.
    pub fn with_max_connections_per_address(mut self, connections: Option<usize>) -> Self {
        self.settings.max_connections_per_address = connections;
        self
    }

    /// Sets how many WebSockets may be asked for in a second from one address; 0 is no limit. See [`Settings::join_rate`].
    pub fn with_join_rate(mut self, joins: u32) -> Self {
        self.settings.join_rate = joins;
        self
    }

    /// Sets how many clients a room may have at a time, if they are to be counted.
    pub fn with_max_clients_per_room(mut self, clients: Option<usize>) -> Self {
        self.settings.max_clients_per_room = clients;
        self
    }

    /// Sets how many messages a client may send in a second on a connection; 0 is no limit. See [`Settings::message_rate`].
    pub fn with_message_rate(mut self, messages: u32) -> Self {
        self.settings.message_rate = messages;
        self
    }

    /// Sets how many bytes a client may send in a second on a connection; 0 is no limit. See [`Settings::byte_rate`].
    pub fn with_byte_rate(mut self, bytes: u32) -> Self {
        self.settings.byte_rate = bytes;
        self
    }

    /// Sets the proxies that say for which client they send a request; see [`Settings::trusted_proxies`].
    #[cfg(feature = "proxy")]
    pub fn with_trusted_proxies(
        mut self,
        proxies: impl IntoIterator<Item = crate::settings::TrustedProxy>,
    ) -> Self {
        self.settings.trusted_proxies = proxies.into_iter().collect();
        self
    }

    /// Sets whether the connections of trusted proxies begin with a header of the PROXY protocol; see
    /// [`Settings::proxy_protocol`].
    #[cfg(feature = "proxy")]
    pub fn with_proxy_protocol(mut self, is_used: bool) -> Self {
        self.settings.proxy_protocol = is_used;
        self
    }

    /// Sets how many downloads there may be at a time.
    pub fn with_max_downloads(mut self, downloads: usize) -> Self {
        self.settings.max_downloads = downloads;
        self
    }

    /// Sets how many rooms there may be at a time.
    pub fn with_max_rooms(mut self, rooms: usize) -> Self {
        self.settings.max_rooms = rooms;
        self
    }

    /// Sets how many rooms may be created in a second from one address; 0 is no limit.
    pub fn with_room_rate(mut self, rooms: u32) -> Self {
        self.settings.room_rate = rooms;
        self
    }

    /// Sets the largest message that a client may send, in bytes.
    pub fn with_message_size(mut self, bytes: usize) -> Self {
        self.settings.message_size = bytes;
        self
    }

    /// Sets how many bytes may wait for a client that does not read them.
    pub fn with_outbox_size(mut self, bytes: usize) -> Self {
        self.settings.outbox_size = bytes;
        self
    }

    /// Sets how long a resumable session waits for another connection; zero: not at all. See [`Settings::resume`].
    pub fn with_resume(mut self, time: Duration) -> Self {
        self.settings.resume = time;
        self
    }

    /// Sets how many bytes of sent messages are kept for a client with a resumable session.
    pub fn with_session_buffer(mut self, bytes: usize) -> Self {
        self.settings.session_buffer = bytes;
        self
    }

    /// Sets where the operator reaches the server; see [`Settings::admin`].
    pub fn with_admin(mut self, address: Option<AdminAddress>) -> Self {
        self.settings.admin = address;
        self
    }

    /// Sets the origins whose pages may use the rooms; see [`Settings::allowed_origins`].
    pub fn with_allowed_origins(mut self, origins: impl IntoIterator<Item = AllowedOrigin>) -> Self {
        self.settings.allowed_origins = origins.into_iter().collect();
        self
    }

    /// Sets who may enter and create rooms.
    #[cfg(feature = "auth")]
    pub fn with_access(mut self, access: Option<crate::access::Access>) -> Self {
        self.settings.access = access;
        self
    }

    /// Lets rooms see one more header of their clients' requests.
    pub fn with_client_header(mut self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if !self.settings.client_headers.contains(&name) {
            self.settings.client_headers.push(name);
        }
        self
    }

    /// Adds a subprotocol, after those that the server prefers to it; see [`Settings::subprotocols`].
    pub fn with_subprotocol(mut self, subprotocol: Subprotocol) -> Self {
        self.settings.subprotocols.push(subprotocol);
        self
    }

    /// Sets the size of the smallest message to a client that is compressed; see [`Settings::compress_from`].
    #[cfg(feature = "compression")]
    pub fn with_compression(mut self, from: Option<usize>) -> Self {
        self.settings.compress_from = from;
        self
    }

    /// Sets whether the clients of a room that fails are told why, and those whose messages are too large are told the limit.
    pub fn with_show_failures(mut self, show: bool) -> Self {
        self.settings.show_failures = show;
        self
    }

    /// Sets what of the events of rooms is recorded.
    pub fn with_recordings(mut self, recordings: Recordings) -> Self {
        self.settings.recordings = recordings;
        self
    }

    /// Sets what happens to a room whose program is replaced, if nothing else is possible.
    pub fn with_upgrade(mut self, upgrade: Upgrade) -> Self {
        self.settings.upgrade = upgrade;
        self
    }

    /// Sets the directory in which rooms are kept.
    pub fn with_data(mut self, directory: Option<PathBuf>) -> Self {
        self.settings.data = directory;
        self
    }

    /// Sets how large the journal of the rooms on disk may become, in bytes.
    pub fn with_journal_size(mut self, bytes: u64) -> Self {
        self.settings.journal_size = bytes;
        self
    }

    /// Sets how safely rooms are kept.
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.settings.durability = durability;
        self
    }

    /// Sets how long events may wait before the disk is told to keep them, with [`Durability::Lazy`].
    pub fn with_sync_delay(mut self, delay: Duration) -> Self {
        self.settings.sync_delay = delay;
        self
    }

    /// Sets how many threads run rooms.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads;
        self
    }

    /// Makes the server use `clock` in place of the system's clock: for tests, which need not wait then.
    pub fn with_clock(mut self, clock: VirtualClock) -> Self {
        self.settings.clock = ClockSource::Virtual(clock);
        self
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Listens on the addresses of the settings.
    ///
    /// # Errors
    /// [`ServeError::Bind`], with what to do about it, or [`ServeError::Settings`].
    pub fn bind(&self) -> Result<Listeners, ServeError> {
        let settings = &self.settings;
        settings.check().map_err(ServeError::Settings)?;
        let single = [ListenAddress::Tcp(SocketAddr::new(settings.ip, settings.port))];
        let addresses = if settings.listen.is_empty() { &single[..] } else { &settings.listen };
        let wanted = Wanted {
            addresses,
            #[cfg(feature = "tls")]
            redirect: settings.redirect_http,
            shares_ports: settings.reuse_port,
        };
        Listeners::bind(wanted).map_err(|(address, source)| ServeError::Bind { address, source })
    }

    /// Serves rooms until the process is told to end with SIGTERM or SIGINT. Clients then get a close frame,
    /// and this returns within [`Settings::drain`]. At the first of these signals the process does not end by itself any more: this is
    /// for programs that end when it returns. A second one ends it at once, with the exit status 143 or 130.
    ///
    /// If systemd supervises the process (`NOTIFY_SOCKET`), it is told when the server is ready and when it ends, and that its threads
    /// are not stuck (`WATCHDOG_USEC`).
    ///
    /// # Errors
    /// The settings are [contradictory](Settings::check), the address cannot be listened on, or the system does not let the
    /// server handle signals or start threads.
    pub fn serve<F: EngineFactory>(self, factory: F) -> Result<(), ServeError> {
        // Before anyone can know that the server runs, and tell it to end.
        let signals = Caught::end().map_err(ServeError::System)?;
        let listeners = self.bind()?;
        let supervisor = Supervisor::find();
        let reactor = Reactor::new().map_err(ServeError::System)?;
        reactor.block_on(async {
            supervisor.note_starting();
            let server = self.start(factory, listeners)?;
            supervisor.note_ready();
            let workers = server.workers.clone();
            or(or(end(&signals), server.failed()), supervisor.watch(&workers)).await;
            supervisor.note_stopping();
            beside(supervisor.watch(&workers), server.shutdown()).await
        })
    }

    /// Serves rooms on `listeners` until `shutdown` is ready. Clients then get a close frame, and this returns
    /// within [`Settings::drain`].
    ///
    /// This future only waits: connections and rooms have threads of their own. It does not use `ip`, `port` and
    /// `listen` of the settings. If the future is dropped before its end, the server ends by itself soon afterwards, and nothing
    /// waits for that. To wait, or to use the port again, make `shutdown` ready and await this.
    ///
    /// # Errors
    /// The settings are [contradictory](Settings::check), the system does not let the server start threads, the
    /// [operator's address](Settings::admin) cannot be listened on, or a thread has [panicked](ServeError::Panicked).
    pub async fn run<F: EngineFactory>(
        self,
        factory: F,
        listeners: impl Into<Listeners>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let server = self.start(factory, listeners)?;
        // A thread that ends earlier takes its rooms with it. The other threads end, too, and the program that
        // supervises the server starts it anew.
        or(shutdown, server.failed()).await;
        server.shutdown().await
    }

    /// Begins to serve rooms on `listeners`, as a part of a program that does other things, too: on a
    /// [`TcpListener`](std::net::TcpListener), for example. `ip`, `port` and `listen` of the settings are not used.
    ///
    /// ```
    /// use stateroom_sdk_core::{DefaultStateroomFactory, StateroomService};
    /// use stateroom_server_smol::{Server, Settings};
    ///
    /// #[derive(Default)]
    /// struct Quiet;
    /// impl StateroomService for Quiet {}
    ///
    /// # smol::block_on(async {
    /// let mut settings = Settings::default();
    /// settings.max_rooms = 100;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let server = Server::from(settings).start(DefaultStateroomFactory::<Quiet>::default(), listener)?;
    ///
    /// server.create_room("lobby").await?;
    /// let rooms = server.rooms(None, 10).await?;
    /// assert_eq!(rooms[0].id, "lobby");
    /// println!("ws://{}/ws/lobby", server.address());
    ///
    /// server.shutdown().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The settings are [contradictory](Settings::check), the system does not let the server start threads, or the
    /// [operator's address](Settings::admin) cannot be listened on.
    pub fn start<F: EngineFactory>(
        self,
        factory: F,
        listeners: impl Into<Listeners>,
    ) -> Result<ServerHandle, ServeError> {
        self.start_on(factory, listeners.into())
    }

    fn start_on<F: EngineFactory>(
        self,
        factory: F,
        listeners: Listeners,
    ) -> Result<ServerHandle, ServeError> {
        let settings = Arc::new(self.settings.settled().map_err(ServeError::Settings)?);
        let factory = Arc::new(factory);
        let room_counts = Arc::new(RoomCounts::default());
        let listeners = listeners.into_inner();
        let (redirects, serving): (Vec<_>, Vec<_>) =
            listeners.iter().partition(|listener| listener.leads_to_tls);
        let addresses = |listeners: Vec<&Listener>| {
            let addresses: io::Result<Vec<_>> = listeners.into_iter().map(Listener::address).collect();
            addresses.map_err(ServeError::System)
        };
        let (addresses, redirects) = (addresses(serving)?, addresses(redirects)?);
        for listener in &listeners {
            listener.set_nonblocking().map_err(ServeError::System)?;
        }
        #[cfg(target_os = "linux")]
        if let Some(listener) = listeners.first() {
            reserve_descriptors(&listener.socket, settings.open_files());
        }
        // Another process takes over the sockets that it may have.
        let is_replaced = listeners.iter().any(|listener| listener.is_shared);
        let goodbye = if is_replaced { CloseReason::ServiceRestart } else { CloseReason::ServerShutdown };

        // If another process has it, nobody is to connect to this one.
        let directory = self.open_data(&settings, factory.is_durable())?;
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..settings.threads).map(|_| channel::unbounded()).unzip();
        let workers = Workers::new(senders);
        let permits = Permits::new(&settings);
        let downloads = Downloads::new(settings.max_downloads);
        let control = Control {
            workers: workers.clone(),
            started: Instant::now(),
            address: addresses.first().cloned(),
            #[cfg(feature = "built-in")]
            playground: settings.playground.clone(),
            #[cfg(feature = "wasm")]
            deployment: self.deployment.clone(),
        };
        let mut shared = Shared {
            settings,
            control,
            permits,
            downloads,
            is_replaced,
            #[cfg(feature = "tls")]
            tls_port: tcp_address(&addresses).map(|address| address.port()),
            playground_port: None,
        };
        let (running, ended) = channel::bounded::<()>(1);
        // Dropped on the way out, it ends the threads that have begun.
        let mut server = ServerHandle {
            addresses,
            goodbye,
            patience: shared.settings.drain.saturating_sub(REST),
            workers,
            operator: None,
            threads: Vec::new(),
            ended,
            journal: None,
            #[cfg(feature = "wasm")]
            deployment: self.deployment.clone(),
        };
        if let Some(address) = &shared.settings.admin {
            let running = Running(running.clone());
            let (operator, thread) = Operator::start(
                address,
                shared.control.clone(),
                running,
                server.patience.saturating_sub(REST),
            )?;
            shared.playground_port = operator.playground_port();
            server.operator = Some(operator);
            server.threads.push(thread);
        }
        let mut beginnings = Vec::new();
        for (number, commands) in receivers.into_iter().enumerate() {
            let (factory, room_counts) = (Arc::clone(&factory), Arc::clone(&room_counts));
            let (shared, running) = (shared.clone(), Running(running.clone()));
            let listeners: io::Result<Vec<_>> = listeners.iter().map(Listener::try_clone).collect();
            let listeners = listeners.map_err(ServeError::System)?;
            let reactor = Reactor::new().map_err(ServeError::System)?;
            let (begin, journal) = channel::bounded::<NewJournal>(1);
            beginnings.push(begin);
            let work = move || {
                let settings = Arc::clone(&shared.settings);
                let clock = Rc::new(Clock::new(settings.clock.clone()));
                let poller = reactor.enter(&clock);
                let workers = shared.control.workers.clone();
                let worker = Worker::new(factory, settings, clock, room_counts, workers, number);
                let served = http::serve(listeners, shared, &worker, number)
                    .map(|accepting| worker.run(&poller, &journal, commands, accepting));
                drop((worker, poller, running));
                served.map_err(ServeError::System)
            };
            let thread = thread::Builder::new().name(format!("rooms-{}", number + 1)).stack_size(STACK);
            server.threads.push(thread.spawn(work).map_err(ServeError::System)?);
        }
        // This may take long. Those who connect meanwhile wait, and programs that watch the server hear that it is not ready.
        server.journal = recover(&shared.settings, directory)?;
        #[cfg(feature = "rooms")]
        if let (Some(journal), Some(deployment)) = (&server.journal, &self.deployment)
            && !journal.lacks_journal()
            && let Some(modules) = deployment.kept_modules()
        {
            begin_cleaning(journal.kept_rooms(), modules.clone());
        }
        for (number, begin) in beginnings.into_iter().enumerate() {
            let journal = server.journal.as_ref().map(|journal| journal.handle(number));
            // It fails only if the thread has ended, and others will notice that.
            _ = begin.try_send(journal.map(|journal| Box::new(journal) as _));
        }
        server.workers.begin(server.journal.as_ref().map(JournalThread::kept_rooms));
        announce(&shared.settings, &server.addresses, &redirects);
        server.operator.iter().for_each(Operator::announce);
        Ok(server)
    }

    /// Opens the directory of the rooms that are to be kept, if they are.
    fn open_data(&self, settings: &Settings, is_durable: bool) -> Result<Option<DataDirectory>, ServeError> {
        let Some(path) = settings.data.as_ref().filter(|_| settings.durability != Durability::Off) else {
            return Ok(None);
        };
        let data_error = |error| ServeError::Data { path: path.clone(), error };
        if !is_durable {
            return Err(data_error(DataError::NativeService));
        }
        let directory = DataDirectory::open(path).map_err(data_error)?;
        #[cfg(feature = "wasm")]
        if let Some(deployment) = &self.deployment {
            deployment.keep_modules(directory.modules()).map_err(DataError::Io).map_err(data_error)?;
        }
        Ok(Some(directory))
    }
}

/// Recovers the rooms on disk, if there is a directory of them, and starts the thread that writes to it.
fn recover(
    settings: &Settings,
    directory: Option<DataDirectory>,
) -> Result<Option<JournalThread>, ServeError> {
    let (Some(path), Some(directory)) = (&settings.data, directory) else { return Ok(None) };
    let delay = match settings.durability {
        Durability::Lazy => settings.sync_delay,
        Durability::On | Durability::Off => Duration::ZERO,
    };
    let journal = JournalThread::start(directory, settings.journal_size, delay, settings.threads);
    journal.map(Some).map_err(|error| ServeError::Data { path: path.clone(), error })
}

impl From<Settings> for Server {
    fn from(settings: Settings) -> Self {
        Self {
            settings,
            #[cfg(feature = "wasm")]
            deployment: None,
        }
    }
}

/// Reads a certificate again, and says what has come of it.
#[cfg(feature = "tls")]
fn reload_certificate(tls: &crate::tls::Tls) {
    match tls.reload() {
        Ok(()) => log::info!("read the certificate and its key again"),
        Err(error) => log::error!("the previous certificate is still used: {error}"),
    }
}

/// Runs a future to its end, and one beside it that has none.
async fn beside<T>(endless: impl Future<Output = ()>, future: impl Future<Output = T>) -> T {
    let endless = async {
        endless.await;
        pending().await
    };
    or(future, endless).await
}

/// A guard that reports the end of its thread when it is dropped.
struct Running(Sender<()>);

impl Drop for Running {
    fn drop(&mut self) {
        // It is enough to hear of one.
        let _ = self.0.try_send(());
    }
}

/// Returns the host and the port by which programs on this machine reach a server that listens on `address`.
fn local_host(address: SocketAddr) -> String {
    match address.ip() {
        // Not every system takes `localhost` for `::1`.
        ip if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST => format!("localhost:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Returns the first TCP address.
fn tcp_address(addresses: &[ListenAddress]) -> Option<SocketAddr> {
    addresses.iter().find_map(|address| match address {
        ListenAddress::Tcp(address) => Some(*address),
        _ => None,
    })
}

/// Logs the server's addresses.
fn announce(settings: &Settings, addresses: &[ListenAddress], redirects: &[ListenAddress]) {
    for address in addresses {
        log::info!("serving on {address}");
    }
    let host = tcp_address(addresses).map(local_host);
    // Programs that connect to a Unix socket need no name for it.
    let at = |scheme: &str| host.as_ref().map_or(String::new(), |host| format!("{scheme}://{host}"));
    #[cfg(feature = "tls")]
    let has_tls = settings.tls.is_some();
    #[cfg(not(feature = "tls"))]
    let has_tls = false;
    let (http, ws) = if has_tls { (at("https"), at("wss")) } else { (at("http"), at("ws")) };
    for address in redirects {
        log::info!("redirecting clients from {address} to {http}");
    }
    let page = match settings.static_files {
        Some(_) => format!(", the page is at {http}/"),
        None => String::new(),
    };
    if settings.single_page && settings.static_files.is_none() {
        log::warn!("there are no static files, so there is no page for unknown paths (`--spa`)");
    }
    #[cfg(feature = "built-in")]
    if settings.playground.as_ref().is_some_and(crate::settings::Playground::is_public) {
        log::info!("the playground is at {http}/_/");
    }
    log::info!("guests, clients and requests may take {} MiB of memory", settings.total_memory >> 20);
    match settings.room_ids {
        RoomIds::Implicit => log::info!("rooms are at {ws}/ws and {ws}/ws/<room>{page}"),
        RoomIds::Explicit => {
            log::info!("POST {http}/ws/<room> makes a room, which is then at {ws}/ws/<room>{page}");
        }
        RoomIds::Generated(_) => {
            log::info!("POST {http}/new_room makes a room, which is then at {ws}/ws/<its id>{page}");
        }
    }
}

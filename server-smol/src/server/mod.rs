#[cfg(feature = "wasm")]
mod guests;
mod handle;
mod signals;

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
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
    control::Control,
    error::ServeError,
    http::{self, Shared},
    journal::{DataDirectory, DataError, JournalThread},
    operator::Operator,
    reactor::{Clock, ClockSource, Listener, Reactor, VirtualClock},
    requests::Downloads,
    room::RoomCounts,
    settings::{Durability, Recordings, RoomIds, Settings, ShutdownPolicy, Subprotocol, Upgrade},
    worker::{Worker, Workers},
};

pub use handle::{RenewedRooms, Replacement, RoomInfo, ServerHandle, Stats};
use signals::Signals;

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

    /// Listens on the address of the settings.
    ///
    /// # Errors
    /// [`ServeError::Bind`], with what to do about it, or [`ServeError::Settings`].
    pub fn bind(&self) -> Result<TcpListener, ServeError> {
        self.settings.check().map_err(ServeError::Settings)?;
        let address = SocketAddr::new(self.settings.ip, self.settings.port);
        TcpListener::bind(address).map_err(|source| ServeError::Bind { address, source })
    }

    /// Serves rooms until the process is told to end with SIGTERM or SIGINT. Clients then get a close frame,
    /// and this returns within two seconds. The process does not end by itself at these signals any more: this is for programs
    /// that end when it returns.
    ///
    /// # Errors
    /// The settings are [contradictory](Settings::check), the address cannot be listened on, or the system does not let the
    /// server handle signals or start threads.
    pub fn serve<F: EngineFactory>(self, factory: F) -> Result<(), ServeError> {
        // Before anyone can know that the server runs, and tell it to end.
        let signals = Signals::of_end().map_err(ServeError::System)?;
        let listener = self.bind()?;
        let reactor = Reactor::new().map_err(ServeError::System)?;
        reactor.block_on(self.run(factory, listener, end(&signals)))
    }

    /// Serves rooms on `listener` until `shutdown` is ready. Clients then get a close frame, and this returns
    /// within two seconds.
    ///
    /// This future only waits: connections and rooms have threads of their own. It does not use `ip` and `port` of
    /// the settings. If the future is dropped before its end, the server ends by itself soon afterwards, and nothing
    /// waits for that. To wait, or to use the port again, make `shutdown` ready and await this.
    ///
    /// # Errors
    /// The settings are [contradictory](Settings::check), the system does not let the server start threads, the
    /// [operator's address](Settings::admin) cannot be listened on, or a thread has [panicked](ServeError::Panicked).
    pub async fn run<F: EngineFactory>(
        self,
        factory: F,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let server = self.start(factory, listener)?;
        // A thread that ends earlier takes its rooms with it. The other threads end, too, and the program that
        // supervises the server starts it anew.
        or(shutdown, server.failed()).await;
        server.shutdown().await
    }

    /// Begins to serve rooms on `listener`, as a part of a program that does other things, too. `ip` and `port` of the settings
    /// are not used.
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
        listener: TcpListener,
    ) -> Result<ServerHandle, ServeError> {
        let settings = Arc::new(self.settings.settled().map_err(ServeError::Settings)?);
        let factory = Arc::new(factory);
        let room_counts = Arc::new(RoomCounts::default());
        listener.set_nonblocking(true).map_err(ServeError::System)?;
        let address = listener.local_addr().map_err(ServeError::System)?;
        #[cfg(target_os = "linux")]
        reserve_descriptors(&listener, settings.open_files());

        let journal = self.open_journal(&settings, factory.is_durable())?;
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..settings.threads).map(|_| channel::unbounded()).unzip();
        let workers = Workers::new(senders, journal.as_ref().map(JournalThread::kept_rooms));
        let permits = Permits::new(&settings);
        let downloads = Downloads::new(settings.max_downloads);
        let control = Control {
            workers: workers.clone(),
            started: Instant::now(),
            address,
            #[cfg(feature = "built-in")]
            playground: settings.playground.clone(),
            #[cfg(feature = "wasm")]
            deployment: self.deployment.clone(),
        };
        let shared = Shared { settings, control, permits, downloads };
        let (running, ended) = channel::bounded::<()>(1);
        // Dropped on the way out, it ends the threads that have begun.
        let mut server = ServerHandle {
            address,
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
            let (operator, thread) = Operator::start(address, shared.control.clone(), running)?;
            server.operator = Some(operator);
            server.threads.push(thread);
        }
        announce(&shared.settings, address);
        server.operator.iter().for_each(Operator::announce);
        for (number, commands) in receivers.into_iter().enumerate() {
            let (factory, room_counts) = (Arc::clone(&factory), Arc::clone(&room_counts));
            let (shared, running) = (shared.clone(), Running(running.clone()));
            let listener = listener.try_clone().map_err(ServeError::System)?;
            let reactor = Reactor::new().map_err(ServeError::System)?;
            let journal = journal.as_ref().map(|journal| journal.handle(number));
            let work = move || {
                let settings = Arc::clone(&shared.settings);
                let clock = Rc::new(Clock::new(settings.clock.clone()));
                let poller = reactor.enter(&clock);
                let workers = shared.control.workers.clone();
                let worker = Worker::new(factory, settings, clock, room_counts, workers, number);
                journal.into_iter().for_each(|journal| worker.thread().set_journal(journal()));
                let served = Listener::new(listener).map(|listener| {
                    worker.run(&poller, commands, http::serve(listener, shared, &worker, number));
                });
                drop((worker, poller, running));
                served.map_err(ServeError::System)
            };
            let thread = thread::Builder::new().name(format!("rooms-{}", number + 1)).stack_size(STACK);
            server.threads.push(thread.spawn(work).map_err(ServeError::System)?);
        }
        server.journal = journal;
        Ok(server)
    }

    /// Opens the journal, if rooms are to be kept.
    fn open_journal(
        &self,
        settings: &Settings,
        is_durable: bool,
    ) -> Result<Option<JournalThread>, ServeError> {
        let Some(path) = &settings.data else { return Ok(None) };
        let delay = match settings.durability {
            Durability::On => Duration::ZERO,
            Durability::Lazy => settings.sync_delay,
            Durability::Off => return Ok(None),
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
        let journal = JournalThread::start(directory, settings.journal_size, delay, settings.threads)
            .map_err(data_error)?;
        #[cfg(feature = "rooms")]
        if let Some(modules) = self.deployment.as_ref().and_then(|deployment| deployment.kept_modules()) {
            begin_cleaning(journal.kept_rooms(), modules.clone());
        }
        Ok(Some(journal))
    }
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

/// Waits for a signal to end.
async fn end(signals: &Signals) {
    if let Err(error) = signals.next().await {
        log::error!("cannot wait for signals, and ends: {error}");
    }
    log::info!("shutting down");
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

/// Logs the server's addresses.
fn announce(settings: &Settings, address: SocketAddr) {
    let host = local_host(address);
    let page = match settings.static_files {
        Some(_) => format!(", the page is at http://{host}/"),
        None => String::new(),
    };
    log::info!("serving on {address}");
    if settings.single_page && settings.static_files.is_none() {
        log::warn!("there are no static files, so there is no page for unknown paths (`--spa`)");
    }
    #[cfg(feature = "built-in")]
    if settings.playground.as_ref().is_some_and(crate::settings::Playground::is_public) {
        log::info!("the playground is at http://{host}/_/");
    }
    log::info!("guests, clients and requests may take {} MiB of memory", settings.total_memory >> 20);
    match settings.room_ids {
        RoomIds::Implicit => log::info!("rooms are at ws://{host}/ws and ws://{host}/ws/<room>{page}"),
        RoomIds::Explicit => {
            log::info!(
                "POST http://{host}/ws/<room> makes a room, which is then at ws://{host}/ws/<room>{page}"
            );
        }
        RoomIds::Generated(_) => {
            log::info!(
                "POST http://{host}/new_room makes a room, which is then at ws://{host}/ws/<its id>{page}"
            );
        }
    }
}

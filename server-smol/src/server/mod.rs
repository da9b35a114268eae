mod announcement;
mod builder;
#[cfg(feature = "wasm")]
mod guests;
mod handle;
mod signals;
mod supervisor;

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
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
    admission::Permits,
    close::CloseReason,
    control::Control,
    error::ServeError,
    http::{self, Shared},
    journal::{DataDirectory, DataError, JournalThread},
    listen::{ListenAddress, Listener, Listeners, Wanted},
    operator::Operator,
    reactor::{Clock, Reactor},
    requests::Downloads,
    room::RoomCounts,
    settings::{Durability, Settings},
    worker::{NewJournal, Worker, Workers},
};

use announcement::{announce, tcp_address};
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
            #[cfg(all(feature = "metrics", feature = "tls"))]
            tls: settings.tls.clone(),
            #[cfg(feature = "rooms")]
            token: settings.admin_token.clone(),
            #[cfg(feature = "rooms")]
            wrong_tokens: crate::control::WrongTokens::default(),
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

use std::{
    future::Future,
    hash::RandomState,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    thread,
    time::{Duration, Instant},
};

use async_io::{Async, block_on};
use async_signal::{Signal, Signals};
use smol::{
    channel::{self, Sender},
    future::or,
    stream::StreamExt as _,
};
use stateroom_sdk_core::engine::EngineFactory;

use crate::{
    error::ServeError,
    http::{Http, Places, Shared},
    reactor::{Listener, Reactor},
    settings::{RoomIds, Settings, ShutdownPolicy},
    worker::{Command, Worker},
};

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
}

impl Server {
    /// A server with default [`Settings`].
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

    /// Sets how long a room has no event before it is folded; zero folds none.
    pub fn with_fold_after(mut self, delay: Duration) -> Self {
        self.settings.fold_after = delay;
        self
    }

    /// Sets how much memory the rooms may have together that are not folded, in bytes.
    pub fn with_unfolded_memory(mut self, bytes: usize) -> Self {
        self.settings.unfolded_memory = bytes;
        self
    }

    /// Sets how many connections there may be at a time.
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.settings.max_connections = connections;
        self
    }

    /// Sets how many rooms there may be at a time.
    pub fn with_max_rooms(mut self, rooms: usize) -> Self {
        self.settings.max_rooms = rooms;
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

    /// Lets rooms see one more header of their clients' requests.
    pub fn with_client_header(mut self, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if !self.settings.client_headers.contains(&name) {
            self.settings.client_headers.push(name);
        }
        self
    }

    /// Sets how many threads run rooms; at least one does.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.max(1);
        self
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Listens on the address of the settings.
    ///
    /// # Errors
    /// [`ServeError::Bind`], with what to do about it.
    pub fn bind(&self) -> Result<Async<TcpListener>, ServeError> {
        let address = SocketAddr::new(self.settings.ip, self.settings.port);
        Async::<TcpListener>::bind(address).map_err(|source| ServeError::Bind { address, source })
    }

    /// Serves rooms until the process is told to end with SIGTERM or SIGINT. Clients then get a close frame,
    /// and this returns.
    ///
    /// # Errors
    /// The address cannot be listened on, or the system does not let the server handle signals or start
    /// threads.
    pub fn serve<F: EngineFactory>(self, factory: F) -> Result<(), ServeError> {
        // Before anyone can know that the server runs, and tell it to end.
        let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(ServeError::System)?;
        let listener = self.bind()?;
        let shutdown = async move {
            signals.next().await;
            log::info!("saying goodbye");
        };
        block_on(self.run(factory, listener, shutdown))
    }

    /// Serves rooms on `listener` until `shutdown` is ready. Clients then get a close frame, and this returns
    /// within two seconds, unless a native service keeps its thread longer.
    ///
    /// This future waits, and that is all: connections and rooms have threads of their own. `ip` and `port` of the
    /// settings are not used. Where the future is dropped before its end, the server ends by itself soon afterwards, and
    /// nobody waits for it: whoever needs that, or the port again, makes `shutdown` ready and awaits this.
    ///
    /// # Errors
    /// The system does not let the server start threads, or one of them has [panicked](ServeError::Panicked).
    pub async fn run<F: EngineFactory>(
        self,
        factory: F,
        listener: Async<TcpListener>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let settings = Arc::new(self.settings);
        let factory = Arc::new(factory);
        let room_count = Arc::new(AtomicUsize::new(0));
        announce(&settings, &listener);
        let listener = listener.into_inner().map_err(ServeError::System)?;

        let (workers, commands): (Vec<_>, Vec<_>) =
            (0..settings.threads).map(|_| channel::unbounded()).unzip();
        let places = Places::default();
        let shared =
            Shared { settings, workers, places, started: Instant::now(), hasher: RandomState::new() };
        let workers = Workers(shared.workers.clone());
        let mut threads = Vec::new();
        // That all senders are gone tells that all threads are at their end.
        let (running, ended) = channel::bounded::<()>(1);
        for (number, commands) in commands.into_iter().enumerate() {
            let (factory, room_count) = (Arc::clone(&factory), Arc::clone(&room_count));
            let (shared, running) = (shared.clone(), Running(running.clone()));
            let listener = listener.try_clone().map_err(ServeError::System)?;
            let reactor = Reactor::new().map_err(ServeError::System)?;
            let work = move || {
                let worker = Worker::new(factory, Arc::clone(&shared.settings), room_count);
                let serve = async {
                    let http = Http::new(Listener::new(listener)?, shared, &worker, number);
                    worker.run(commands, http).await;
                    Ok(())
                };
                let served = reactor.block_on(serve, || worker.end_round());
                drop((worker, running));
                served.map_err(ServeError::System)
            };
            let thread =
                thread::Builder::new().name(format!("rooms-{}", number + 1)).stack_size(STACK).spawn(work);
            threads.push(thread.map_err(ServeError::System)?);
        }
        drop((running, listener));

        // A thread that ends before takes its rooms with it. The others end, too, and whoever watches over the server
        // starts it anew.
        or(shutdown, async { _ = ended.recv().await }).await;
        drop(workers);
        while ended.recv().await.is_ok() {}
        let joined: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
        joined.into_iter().try_for_each(|served| served.unwrap_or(Err(ServeError::Panicked)))
    }
}

/// Tells that a thread is at its end when it is dropped.
struct Running(Sender<()>);

impl Drop for Running {
    fn drop(&mut self) {
        // It is enough to hear of one.
        let _ = self.0.try_send(());
    }
}

/// Tells the workers to end when it is dropped, however that comes about.
struct Workers(Vec<Sender<Command>>);

impl Drop for Workers {
    fn drop(&mut self) {
        // Fails only where one has ended already.
        self.0.iter().for_each(|worker| _ = worker.try_send(Command::End));
    }
}

/// Says in the log where the server is.
fn announce(settings: &Settings, listener: &Async<TcpListener>) {
    let Ok(address) = listener.get_ref().local_addr() else {
        return;
    };
    let host = match address.ip().is_unspecified() {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    };
    let page = match settings.static_files {
        Some(_) => format!(", the page is at http://{host}/"),
        None => String::new(),
    };
    log::info!("serving on {address}");
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

//! Answers the operator, at an address and on a thread of its own: so it answers even if the threads of the rooms are busy.

mod listener;
mod newcomers;

use std::{
    cell::Cell,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use async_executor::LocalExecutor;
use hyper::{
    Request,
    body::{self, Body as _},
};
use smol::{
    channel::{Receiver, Sender, bounded},
    future::{FutureExt as _, or},
    lock::{Semaphore, SemaphoreGuardArc},
};

use crate::{
    admin_address::AdminAddress,
    control::{Control, Reach},
    error::ServeError,
    listen::{ListenAddress, Listener},
    memory::Ledger,
    reactor::{self, Reactor, Stream, Timer},
    requests::{Peer, Protocol, Socket, serve},
    settings::OPERATOR_REQUESTS,
    wire::Buffers,
    worker::Workers,
};

use listener::bind;
use newcomers::{Newcomer, Newcomers};

/// The time that a connection may take until its answer begins. It is for one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time for which a client may take nothing of its answer. A stream of events has a heartbeat.
const SILENCE: Duration = Duration::from_secs(30);

/// The time to wait if the system has no file descriptor for a connection.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The time between two looks whether the threads of rooms still answer, when the server ends.
const LOOK: Duration = Duration::from_millis(20);

/// The head is as small as the library lets it be.
const PROTOCOL: Protocol = Protocol { head_size: 8 << 10, keep_alive: false };

/// Whoever is at the other end of a connection of the operator. Its memory is not counted, as there are few.
#[derive(Debug)]
struct Uncounted {
    /// Its place among the connections whose request has not begun to be answered.
    newcomer: Newcomer,
    /// The time at which it last took something.
    alive: Cell<Instant>,
    /// True from its request on, which is the only one, unless that has content, or a stream answers it.
    is_owed_answer: Cell<bool>,
}

impl Uncounted {
    /// Returns whether it has taken nothing for so long.
    fn is_silent_for(&self, time: Duration) -> bool {
        self.alive.get().elapsed() >= time
    }
}

impl Peer for Uncounted {
    fn note_request(&self, request: &Request<body::Incoming>) {
        self.is_owed_answer.set(request.body().is_end_stream());
    }

    fn poll_answered(&self, _: &Context<'_>) -> Poll<()> {
        // The connection ends with the answer.
        if self.is_owed_answer.get() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn note_alive(&self) {
        self.alive.set(Instant::now());
    }
}

/// The state from which requests of the operator are answered.
struct Site {
    control: Control,
    reach: Reach,
}

/// The listener at work. It ends with this.
#[derive(Debug)]
pub(crate) struct Operator {
    address: AdminAddress,
    /// True if it has the playground, and the public address has not.
    #[cfg(feature = "built-in")]
    has_playground: bool,
    end: Sender<()>,
}

impl Operator {
    /// Begins to listen, on a thread that is the second of the results. At the end it waits so long for the threads of rooms.
    ///
    /// # Errors
    /// The address cannot be listened on, or there is no thread.
    pub(crate) fn start(
        address: &AdminAddress,
        control: Control,
        running: impl Send + 'static,
        patience: Duration,
    ) -> Result<(Self, JoinHandle<Result<(), ServeError>>), ServeError> {
        let refused = |source| ServeError::Admin { address: address.clone(), source };
        let listener = bind(address, control.needs_token()).map_err(refused)?;
        let address = match listener.address().map_err(refused)? {
            ListenAddress::Tcp(address) => AdminAddress::Tcp(address),
            _ => address.clone(),
        };
        let reach = match &address {
            #[cfg(feature = "rooms")]
            AdminAddress::Tcp(_) if control.needs_token() => Reach::WithToken,
            AdminAddress::Tcp(_) => Reach::Loopback,
            AdminAddress::Unix(_) => Reach::Socket,
        };
        #[cfg(feature = "built-in")]
        let has_playground = control.playground.as_ref().is_some_and(|playground| !playground.is_public());
        let workers = control.workers.clone();
        let site = Site { control, reach };
        let (end, ended) = bounded(1);
        let reactor = Reactor::new().map_err(ServeError::System)?;
        let work = move || {
            let served = reactor.block_on(run(&listener, site, (&workers, patience), &ended));
            drop((listener, running));
            served.map_err(ServeError::System)
        };
        let thread = thread::Builder::new().name("operator".to_owned()).spawn(work);
        let operator = Self {
            address,
            #[cfg(feature = "built-in")]
            has_playground,
            end,
        };
        Ok((operator, thread.map_err(ServeError::System)?))
    }

    /// Returns the address that it listens on.
    pub(crate) fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// Returns the port of the playground, if it has the playground at one.
    pub(crate) fn playground_port(&self) -> Option<u16> {
        #[cfg(feature = "built-in")]
        if let (AdminAddress::Tcp(address), true) = (&self.address, self.has_playground) {
            return Some(address.port());
        }
        None
    }

    /// Logs the address.
    pub(crate) fn announce(&self) {
        if let AdminAddress::Tcp(address) = &self.address
            && !address.ip().is_loopback()
        {
            log::warn!(
                "others may reach the operator's address {address}, which does not speak TLS: whoever sees the traffic sees the token"
            );
        }
        #[cfg(feature = "built-in")]
        if self.has_playground {
            match &self.address {
                AdminAddress::Tcp(address) => log::info!("the playground is at http://{address}/_/"),
                AdminAddress::Unix(path) => {
                    log::info!("the playground is at the Unix socket {}, below /_/", path.display());
                }
            }
        }
        match &self.address {
            AdminAddress::Tcp(address) => log::info!(
                "the operator's status is at http://{address}/status, the rooms are at http://{address}/rooms"
            ),
            AdminAddress::Unix(path) => {
                log::info!("the operator's /status and /rooms are at the Unix socket {}", path.display());
            }
        }
    }

    /// Stops it as soon as the threads of rooms answer nothing more, and does not wait for that.
    pub(crate) fn end(&self) {
        self.end.close();
    }
}

/// Serves the operator until the end.
async fn run(
    listener: &Listener,
    site: Site,
    (workers, patience): (&Workers, Duration),
    ended: &Receiver<()>,
) -> io::Result<()> {
    let incoming = reactor::Listener::new(listener.try_clone()?)?;
    let executor = LocalExecutor::new();
    let end = async {
        // Nothing is ever sent.
        _ = ended.recv().await;
        let begun = Instant::now();
        while !workers.are_silent() && begun.elapsed() < patience {
            Timer::after(LOOK).await;
        }
    };
    executor.run(or(end, accept(&incoming, Rc::new(site), &executor))).await;
    Ok(())
}

/// Accepts connections until it is dropped.
async fn accept(incoming: &reactor::Listener, site: Rc<Site>, executor: &LocalExecutor<'_>) {
    let newcomers = Rc::<Newcomers>::default();
    let places = Arc::new(Semaphore::new(OPERATOR_REQUESTS));
    let buffers = Rc::new(Buffers::new(Ledger::new(usize::MAX)));
    // Each time that it begins to fail, it says so once.
    let mut is_failing = false;
    loop {
        let accepted = incoming.accept().await;
        match accepted.and_then(|accepted| Ok((Stream::new(accepted.transport)?, accepted.spare))) {
            Ok((stream, spare)) => {
                is_failing = false;
                let site = Rc::clone(&site);
                let (newcomer, eviction) = Newcomers::add(&newcomers);
                let alive = Cell::new(Instant::now());
                let peer = Rc::new(Uncounted { newcomer, alive, is_owed_answer: Cell::default() });
                let socket =
                    Socket { stream, buffers: Rc::clone(&buffers), peer: Rc::<Uncounted>::clone(&peer) };
                let places = Arc::clone(&places);
                let served = async move {
                    let progress = Progress::default();
                    let patience = async {
                        timeout().await;
                        while progress.is_answered.get() && !peer.is_silent_for(SILENCE) {
                            timeout().await;
                        }
                    };
                    let answering = answer(socket, &peer, &site, (&places, &progress));
                    or(answering, or(patience, eviction)).await;
                    // The operator is let in even if there are no other descriptors.
                    drop(spare);
                };
                executor.spawn(served.boxed_local()).detach();
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    log::warn!("no new connections of the operator for now: {error}");
                }
                Timer::after(BACK_OFF).await;
            }
        }
    }
}

/// The progress of a connection.
#[derive(Default)]
struct Progress {
    /// True from the beginning of the answer on. Then the connection goes on for as long as the client takes something.
    is_answered: Cell<bool>,
    /// The place of its request among those that are answered at the same time.
    place: Cell<Option<SemaphoreGuardArc>>,
}

/// Answers one request. If that takes as long as the client listens, it gives its place back.
async fn answer(
    socket: Socket,
    peer: &Uncounted,
    site: &Site,
    (places, progress): (&Arc<Semaphore>, &Progress),
) {
    let answer = async |request: Request<body::Incoming>| {
        progress.place.set(Some(places.acquire_arc().await));
        peer.newcomer.become_request();
        let response = site.control.answer(request, site.reach).await;
        if response.body().stream_size().is_some() {
            // The number of these has a limit of its own.
            progress.place.take();
            peer.is_owed_answer.set(false);
        }
        peer.note_alive();
        progress.is_answered.set(true);
        response
    };
    match serve(socket, PROTOCOL, answer).await {
        // Nobody is left to tell where this fails.
        Ok((socket, _)) => _ = socket.stream.end_writing(),
        Err(error) => log::debug!("a connection of the operator has failed: {error}"),
    }
}

async fn timeout() {
    Timer::after(TIMEOUT).await;
}

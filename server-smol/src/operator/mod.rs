//! Answers the operator, at an address and on a thread of its own: so it answers even if the threads of the rooms are busy.

mod answers;
mod listener;
mod origin;
#[cfg(unix)]
mod unix_socket;

use std::{
    io,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use async_executor::LocalExecutor;
use async_io::{Timer, block_on};
use hyper::{server::conn::http1, service::service_fn};
use smol::{
    channel::{Receiver, Sender, bounded},
    future::or,
    lock::Semaphore,
};
use smol_hyper::rt::FuturesIo;

use crate::{admin_address::AdminAddress, error::ServeError, worker::Workers};

use answers::Site;
use listener::Listener;

/// How many connections there may be at a time. Others wait until one has ended.
const CONNECTIONS: usize = 16;

/// How long a connection may take, which is for one request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait where the system has no file descriptor for a connection.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The largest head of a request, in bytes, and the least that the library takes.
const HEAD_SIZE: usize = 8 << 10;

/// The listener at work. It ends with this.
#[derive(Debug)]
pub(crate) struct Operator {
    address: AdminAddress,
    end: Sender<()>,
}

impl Operator {
    /// Begins to listen, on a thread that is the second of the results.
    ///
    /// # Errors
    /// The address cannot be listened on, or there is no thread.
    pub(crate) fn start(
        address: &AdminAddress,
        workers: Workers,
        started: Instant,
        running: impl Send + 'static,
    ) -> Result<(Self, JoinHandle<Result<(), ServeError>>), ServeError> {
        let refused = |source| ServeError::Admin { address: address.clone(), source };
        let listener = Listener::bind(address).map_err(refused)?;
        let address = listener.address().map_err(refused)?;
        match &address {
            AdminAddress::Tcp(address) => log::info!(
                "the operator's status is at http://{address}/status, the rooms are at http://{address}/rooms"
            ),
            AdminAddress::Unix(path) => {
                log::info!("the operator's /status and /rooms are at the Unix socket {}", path.display());
            }
        }
        let site = Site { workers, started, is_tcp: matches!(address, AdminAddress::Tcp(_)) };
        let (end, ended) = bounded(1);
        let work = move || {
            run(&listener, Rc::new(site), &ended);
            drop((listener, running));
            Ok(())
        };
        let thread = thread::Builder::new().name("operator".to_owned()).spawn(work);
        Ok((Self { address, end }, thread.map_err(ServeError::System)?))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &AdminAddress {
        &self.address
    }

    /// Has it end, and does not wait for that.
    pub(crate) fn end(&self) {
        self.end.close();
    }
}

fn run(listener: &Listener, site: Rc<Site>, ended: &Receiver<()>) {
    let executor = LocalExecutor::new();
    let end = async {
        // Nothing is ever sent.
        _ = ended.recv().await;
    };
    block_on(executor.run(or(end, accept(listener, site, &executor))));
}

/// Accepts connections until it is dropped.
async fn accept(listener: &Listener, site: Rc<Site>, executor: &LocalExecutor<'_>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = connections.acquire_arc().await;
        match listener.accept().await {
            Ok(stream) => {
                let site = Rc::clone(&site);
                let served = async move {
                    or(serve(FuturesIo::new(stream), &site), timeout()).await;
                    drop(place);
                };
                executor.spawn(served).detach();
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::warn!("no new connections of the operator for now: {error}");
                Timer::after(BACK_OFF).await;
            }
        }
    }
}

/// Answers one request.
async fn serve<S>(stream: FuturesIo<S>, site: &Site)
where
    FuturesIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let answer = service_fn(|request| async move { Ok::<_, io::Error>(site.answer(&request).await) });
    let served = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(stream, answer);
    if let Err(error) = served.await {
        log::debug!("a connection of the operator has failed: {error}");
    }
}

async fn timeout() {
    Timer::after(PATIENCE).await;
}

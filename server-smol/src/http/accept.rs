use std::{
    cell::Cell,
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use smol::future::{or, poll_once, yield_now};
use stateroom_core::engine::EngineFactory;

use crate::reactor::{Listener, Timer};

use super::Site;

/// The time to wait before the next attempt, if there is no space for a connection, or no file descriptor. An
/// immediate attempt would fail at once, and keep everything else from running.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The number of connections that are accepted before other work runs.
const BATCH: usize = 8;

/// Accepts connections until it is dropped.
pub(super) async fn accept<F: EngineFactory>(listener: Listener, site: Rc<Site<F>>) -> Infallible {
    accept_until_replaced(&listener, &site).await;
    // Those that wait in a socket that others have, too, wait for them.
    drop(listener);
    pending().await
}

/// Accepts connections until the server ends and another process takes its place.
async fn accept_until_replaced<F: EngineFactory>(listener: &Listener, site: &Rc<Site<F>>) {
    let log = &site.here.0.thread().log;
    // Each time that it begins to fail, it says so once.
    let is_failing = Cell::new(false);
    let warn = |reason: &str| {
        if !is_failing.replace(true) {
            log.event(log::Level::Warn, || format!("no new connections for now: {reason}"));
        }
    };
    let mut accepted = 0;
    loop {
        let permits = &site.shared.permits;
        let place = async {
            poll_fn(|cx| permits.poll_place(cx)).await;
            true
        };
        if !or(place, backed_off()).await {
            warn("there are as many as there may be");
            continue;
        }
        let accepted_one = async { Some(listener.accept().await) };
        let Some(accepted_one) = or(site.replaced(listener), accepted_one).await else { break };
        match accepted_one.and_then(|(transport, peer)| site.serve(transport, peer, listener.leads_to_tls()))
        {
            Ok(()) => {
                permits.set_lacks_files(false);
                is_failing.set(false);
                accepted += 1;
                if accepted % BATCH == 0 {
                    yield_now().await;
                }
            }
            // The client gave up while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                let line = format!("{error}; raise the limit of open files, with `ulimit -n`");
                warn(&line);
                permits.set_lacks_files(true);
                // A connection that has asked for nothing is closed to make space.
                if permits.evict() {
                    let evicted = async {
                        poll_fn(|cx| permits.poll_evicted(cx)).await;
                        true
                    };
                    or(evicted, backed_off()).await;
                } else {
                    backed_off().await;
                }
            }
        }
    }
    // The socket is this process's alone, but for its port: nobody else accepts what waits in it.
    while site.shared.settings.reuse_port
        && let Some(Ok((transport, peer))) = poll_once(listener.accept()).await
    {
        let _ = site.serve(transport, peer, listener.leads_to_tls());
    }
}

impl<F: EngineFactory> Site<F> {
    /// Ready when the server ends and another process takes over this listener.
    async fn replaced<T>(&self, listener: &Listener) -> Option<T> {
        poll_fn(|_| match self.here.0.is_ending() && listener.is_shared() {
            true => Poll::Ready(None),
            false => Poll::Pending,
        })
        .await
    }
}

async fn backed_off() -> bool {
    Timer::after(BACK_OFF).await;
    false
}

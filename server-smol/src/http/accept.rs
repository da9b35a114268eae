use std::{
    cell::Cell,
    convert::Infallible,
    future::{pending, poll_fn},
    io,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use smol::future::{or, poll_once, yield_now};
use stateroom_core::engine::EngineFactory;

use crate::{
    admission::Permits,
    log_line::About,
    reactor::{Accepted, Listener, Timer},
};

use super::Site;

/// The time to wait before the next attempt, if there is no space for a connection, or no file descriptor. An
/// immediate attempt would fail at once, and keep everything else from running.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The time for which it is not said again that there are no new connections.
const SILENCE: Duration = Duration::from_secs(60);

/// The mend for an operator of a server with too many open files.
const MEND: &str = "raise the limit of open files, with `ulimit -n`";

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
    let clock = &site.here.0.thread().clock;
    let warned = Cell::new(None::<Instant>);
    let warn = |reason: &str| {
        let now = clock.now();
        if warned.get().is_none_or(|last| now.saturating_duration_since(last) >= SILENCE) {
            warned.set(Some(now));
            log.event(log::Level::Warn, About::default(), || format!("no new connections for now: {reason}"));
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
        let served = match accepted_one {
            Ok(Accepted { transport, address, spare: Some(spare) }) => {
                warn(&format!("too many open files; {MEND}"));
                permits.set_lacks_files(true);
                if evict(permits).await {
                    drop(spare);
                    site.serve(transport, address, listener.leads_to_tls())
                } else {
                    site.refuse_for_files(transport, address, listener.leads_to_tls(), spare)
                }
            }
            Ok(Accepted { transport, address, spare: None }) => {
                permits.set_lacks_files(false);
                site.serve(transport, address, listener.leads_to_tls())
            }
            Err(error) => Err(error),
        };
        match served {
            Ok(()) => {
                accepted += 1;
                if accepted % BATCH == 0 {
                    yield_now().await;
                }
            }
            // The client gave up while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn(&format!("{error}; {MEND}"));
                permits.set_lacks_files(true);
                if !evict(permits).await {
                    backed_off().await;
                }
            }
        }
    }
    // The socket is this process's alone, but for its port: nobody else accepts what waits in it.
    while site.shared.settings.reuse_port
        && let Some(Ok(Accepted { transport, address, .. })) = poll_once(listener.accept()).await
    {
        let _ = site.serve(transport, address, listener.leads_to_tls());
    }
}

/// Closes a connection that has asked for nothing, to make space, and waits until it is gone, but not for long. Returns false if there
/// is none.
async fn evict(permits: &Permits) -> bool {
    if !permits.evict() {
        return false;
    }
    let evicted = async {
        poll_fn(|cx| permits.poll_evicted(cx)).await;
        true
    };
    or(evicted, backed_off()).await;
    true
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

use std::{io, net::TcpListener, rc::Rc, time::Duration};

use async_io::{Async, Timer};

use super::Site;

/// How long to wait before trying again when there is no place for a connection, or the system has no file
/// descriptor. Trying at once would fail at once, and keep everything else from running.
const BACK_OFF: Duration = Duration::from_millis(100);

/// So many connections more than there may be clients are accepted, for a moment each: so that who is one too many
/// can be told, and `/status` asked.
const SPARE: usize = 64;

/// Accepts connections until it is dropped.
pub(super) async fn accept(listener: Async<TcpListener>, site: Rc<Site>) {
    let mut failing = false;
    loop {
        if site.places.taken() >= site.settings.max_connections.saturating_add(SPARE) {
            if !failing {
                log::warn!("no new connections for now: there are as many as there may be");
            }
            failing = true;
            Timer::after(BACK_OFF).await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                failing = false;
                // Messages are small and must not wait for one another's acknowledgement.
                if let Err(error) = stream.get_ref().set_nodelay(true) {
                    log::debug!("{peer} has gone before it was served: {error}");
                    continue;
                }
                site.serve(stream, peer);
            }
            // The client gave up while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !failing {
                    log::warn!(
                        "no new connections for now: {error}; raise the limit of open files, with `ulimit -n`"
                    );
                }
                failing = true;
                Timer::after(BACK_OFF).await;
            }
        }
    }
}

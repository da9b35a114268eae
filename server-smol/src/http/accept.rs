use std::{io, rc::Rc, time::Duration};

use stateroom_core::engine::EngineFactory;

use crate::reactor::{Listener, Timer};

use super::Site;

/// How long to wait before trying again when there is no place for a connection, or the system has no file
/// descriptor. Trying at once would fail at once, and keep everything else from running.
const BACK_OFF: Duration = Duration::from_millis(100);

/// So many connections more than there may be clients are accepted, for a moment each: so that who is one too many
/// can be told, and `/status` asked.
const SPARE: usize = 64;

/// Accepts connections until it is dropped.
pub(super) async fn accept<F: EngineFactory>(listener: Listener, site: Rc<Site<F>>) {
    let mut failing = false;
    loop {
        let most = site.shared.settings.max_connections.saturating_add(SPARE);
        if site.shared.permits.taken() >= most {
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

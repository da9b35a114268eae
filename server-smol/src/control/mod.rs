//! Answers requests about the server and its rooms, for those who may know of all of them: the operator, and the playground.

mod answers;
#[cfg(feature = "rooms")]
mod kept;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "wasm")]
mod modules;
#[cfg(feature = "metrics")]
mod open_metrics;
mod origin;
#[cfg(feature = "built-in")]
mod playground;
mod ready;

use std::time::{Duration, Instant};

use hyper::{Request, Response, StatusCode, body::Incoming};
use smol::future::or;

#[cfg(feature = "built-in")]
use self::playground::playground_path;
use crate::{
    listen::ListenAddress,
    reactor::Timer,
    requests::{Body, has_one_host, text},
    worker::Workers,
};

#[cfg(feature = "rooms")]
use crate::{requests::ending, worker::Ending};

#[cfg(feature = "wasm")]
pub(crate) use modules::reload;
pub(crate) use origin::Reach;
pub(crate) use ready::{READY, ready};

/// The time that the threads of rooms have to answer. A native service that does not return keeps its thread for
/// longer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The time for the import of a room: its file is read, and its events run again. A connection may take a little longer.
#[cfg(feature = "rooms")]
const IMPORT_TIMEOUT: Duration = Duration::from_secs(9);

type Answer = Response<Body>;

/// The state from which requests about the server are answered.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) workers: Workers,
    pub(crate) started: Instant,
    /// The first public address.
    pub(crate) address: Option<ListenAddress>,
    #[cfg(feature = "built-in")]
    pub(crate) playground: Option<crate::settings::Playground>,
    /// The program of the rooms, if they run guests.
    #[cfg(feature = "wasm")]
    pub(crate) deployment: Option<std::sync::Arc<crate::guests::Deployment>>,
}

impl Control {
    /// Answers a request of the operator, whose content may have been taken out of it.
    pub(crate) async fn answer<B>(
        &self,
        request: &Request<B>,
        content: Option<Incoming>,
        reach: Reach,
    ) -> Answer {
        if let Err(reason) = origin::check(request, reach) {
            return text(StatusCode::FORBIDDEN, reason);
        }
        if !has_one_host(request) {
            return text(StatusCode::BAD_REQUEST, "a request has one `Host`");
        }
        let path = request.uri().path();
        #[cfg(feature = "built-in")]
        if let Some(playground) = &self.playground
            && let Some(path) = playground_path(playground, path)
        {
            return in_time(self.answer_playground(playground, path, request)).await;
        }
        match (path, content) {
            #[cfg(feature = "rooms")]
            ("/rooms", Some(content)) if *request.method() == hyper::Method::POST => {
                let import = async { self.import(request, content).await.unwrap_or_else(|Ending| ending()) };
                or(import, late(IMPORT_TIMEOUT, "the import takes long, and may go on; look whether the room is there before you try again")).await
            }
            _ => in_time(self.answer_path(path, request)).await,
        }
    }
}

#[cfg(feature = "built-in")]
impl Control {
    /// Answers a request to the public address. Returns nothing if it is not for the playground, or that is not public.
    pub(crate) async fn answer_public<B>(&self, request: &Request<B>) -> Option<Answer> {
        let playground = self.playground.as_ref().filter(|playground| playground.is_public())?;
        playground_path(playground, request.uri().path())?;
        Some(self.answer(request, None, Reach::Public(self.ip())).await)
    }

    /// Returns the address that the public reaches. Only programs on this machine reach a Unix socket.
    fn ip(&self) -> std::net::IpAddr {
        match &self.address {
            Some(ListenAddress::Tcp(address)) => address.ip(),
            _ => std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Returns whether the playground is at the public address.
    pub(crate) fn has_public_playground(&self) -> bool {
        self.playground.as_ref().is_some_and(crate::settings::Playground::is_public)
    }
}

/// Waits for an answer, but not for long.
async fn in_time(answer: impl Future<Output = Answer>) -> Answer {
    or(answer, late(TIMEOUT, "a room keeps its thread busy; what was asked for goes on")).await
}

/// Answers after a time, in place of those who have not.
async fn late(time: Duration, words: &str) -> Answer {
    Timer::after(time).await;
    text(StatusCode::GATEWAY_TIMEOUT, words)
}

//! Answers requests about the server and its rooms, for those who may know of all of them: the operator, and the playground.

#[cfg(feature = "rooms")]
mod actions;
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
#[cfg(feature = "rooms")]
mod wrong_tokens;

use std::time::{Duration, Instant};

use hyper::{Request, Response, StatusCode, body::Incoming};
use smol::future::or;

#[cfg(feature = "built-in")]
use self::playground::{page_file, playground_path};
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
#[cfg(feature = "rooms")]
pub(crate) use wrong_tokens::WrongTokens;

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
    #[cfg(all(feature = "metrics", feature = "tls"))]
    pub(crate) tls: Option<crate::tls::Tls>,
    #[cfg(feature = "built-in")]
    pub(crate) playground: Option<crate::settings::Playground>,
    /// The token that requests of the operator need, if they need one.
    #[cfg(feature = "rooms")]
    pub(crate) token: Option<crate::admin_token::AdminToken>,
    #[cfg(feature = "rooms")]
    pub(crate) wrong_tokens: WrongTokens,
    /// The program of the rooms, if they run guests.
    #[cfg(feature = "wasm")]
    pub(crate) deployment: Option<std::sync::Arc<crate::guests::Deployment>>,
}

impl Control {
    /// Answers a request of the operator.
    pub(crate) async fn answer(&self, request: Request<Incoming>, reach: Reach) -> Answer {
        // It says nothing secret, and programs that check the server send neither a token nor always a host.
        if request.uri().path() == READY {
            return ready(self.workers.phase(), request.method());
        }
        if let Err(reason) = origin::check(&request, reach) {
            return text(StatusCode::FORBIDDEN, reason);
        }
        if !has_one_host(&request) {
            return text(StatusCode::BAD_REQUEST, "a request has one `Host`");
        }
        let (head, content) = request.into_parts();
        let request = &Request::from_parts(head, ());
        let path = request.uri().path();
        #[cfg(feature = "built-in")]
        let below_page = self.playground.as_ref().and_then(|page| Some((page, playground_path(page, path)?)));
        // A browser loads the page without the token, which is entered there.
        #[cfg(feature = "built-in")]
        if let Some((playground, path)) = below_page
            && let Some(file) = page_file(playground, path, request)
        {
            return file;
        }
        #[cfg(feature = "rooms")]
        if let Some(refusal) = self.refuse_without_token(request, reach) {
            return refusal;
        }
        #[cfg(feature = "built-in")]
        let path = match below_page {
            Some((playground, "/events")) => return self.answer_events(playground, request),
            Some((_, path)) => path,
            None => path,
        };
        #[cfg(feature = "rooms")]
        if *request.method() == hyper::Method::POST {
            if path == "/rooms" {
                return self.import(request, content).await.unwrap_or_else(|Ending| ending());
            }
            if let Some(id) = path.strip_prefix("/rooms/").and_then(|path| path.strip_suffix("/messages")) {
                return in_time(self.answer_message(id, request, content)).await;
            }
        }
        #[cfg(not(feature = "rooms"))]
        drop(content);
        in_time(self.answer_path(path, request)).await
    }

    /// Returns whether requests of the operator need a token.
    pub(crate) fn needs_token(&self) -> bool {
        #[cfg(feature = "rooms")]
        return self.token.is_some();
        #[cfg(not(feature = "rooms"))]
        false
    }
}

#[cfg(feature = "built-in")]
impl Control {
    /// Answers a request to the public address. Returns it if it is not for the playground, or that is not public.
    pub(crate) async fn answer_public(
        &self,
        request: Request<Incoming>,
    ) -> Result<Answer, Request<Incoming>> {
        let playground = self.playground.as_ref().filter(|playground| playground.is_public());
        if playground.and_then(|playground| playground_path(playground, request.uri().path())).is_none() {
            return Err(request);
        }
        Ok(self.answer(request, Reach::Public(self.ip())).await)
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

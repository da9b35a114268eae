//! Lets clients in, or not, before their room learns of them.

use std::{borrow::Cow, time::Duration};

use hyper::{
    Method, Request, Response, StatusCode,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use smol::future::or;
use stateroom_core::engine::EngineFactory;

use crate::{
    access::{Access, Claims, Denial, EntryRequest, Refused, token_of},
    close::CloseReason,
    log_line::{About, debug_about},
    memory::{Charge, Purpose},
    reactor::Timer,
    requests::{Body, later, parameters, text},
    room::RoomId,
};

use super::{Site, peer::Peer};

/// The name in the log for clients that may not enter.
const NOT_LET_IN: &str = "they may not enter the room (`--auth-key`, `--auth-url`)";

/// The same, if too many wait to be let in.
const TOO_MANY: &str = "there are as many that wait for an answer of `--auth-url` as there may be";

/// The time to find out who may enter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which to try again if it cannot be found out, in seconds.
const LATER: u64 = 2;

/// The facts that are known about a client that enters.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    pub(super) claims: Claims,
    /// The query, without a token.
    pub(super) query: Option<Cow<'a, str>>,
    /// The charge for the query.
    _memory: Charge,
}

impl<F: EngineFactory> Site<F> {
    /// Returns what is known of a client that enters or creates a room. Returns `None` if everybody may.
    ///
    /// # Errors
    /// The answer to a client that may not.
    pub(super) async fn admit<'a, B>(
        &self,
        request: &'a Request<B>,
        room: &'a RoomId,
        peer: &Peer,
    ) -> Result<Option<Box<Admission<'a>>>, Box<Response<Body>>> {
        let Some(access) = &self.shared.settings.access else { return Ok(None) };
        let thread = self.here.0.thread();
        // Whatever is copied of the request is not more than the request.
        let Ok(memory) = thread.memory.charge(peer.request_size(), Purpose::New) else {
            return Err(Box::new(no_memory()));
        };
        if access.tokens().is_none() {
            peer.wait_for_others();
        }
        let request = entry(access, request, room, peer);
        let late = async {
            Timer::after(TIMEOUT).await;
            let words = "it takes too long to find out whether you may enter";
            Err(Refused::Denied(Denial::Unavailable(words.to_owned())))
        };
        // It is large, and connections that go on do not need it any more.
        match Box::pin(or(access.check(&request), late)).await {
            Ok(claims) => Ok(Some(Box::new(Admission { claims, query: request.query, _memory: memory }))),
            Err(refused) => {
                debug_about!(
                    peer.about().of_room(room.as_str()),
                    "{} is not let into room {room}: {refused:?}",
                    peer.address()
                );
                let has_token = request.token.is_some();
                Err(Box::new(self.refused(refused, has_token)))
            }
        }
    }

    /// Returns the answer to a client that does not enter.
    fn refused(&self, refused: Refused, has_token: bool) -> Response<Body> {
        let thread = self.here.0.thread();
        let unavailable = |words| later(StatusCode::SERVICE_UNAVAILABLE, words, LATER);
        thread.refuse("not_let_in", if matches!(refused, Refused::TooMany) { TOO_MANY } else { NOT_LET_IN });
        match refused {
            Refused::Denied(denial) => answer(denial, has_token),
            Refused::Unknown { reason, is_new } => {
                let level = if is_new { log::Level::Warn } else { log::Level::Debug };
                let line = || format!("the URL of `--auth-url` does not say who may enter: {reason}");
                thread.log.event(level, About::default(), line);
                unavailable("it cannot be found out now whether you may enter")
            }
            Refused::TooMany => unavailable("too many wait to find out whether they may enter"),
        }
    }
}

/// Returns the request of a client, with as little of it copied as possible.
fn entry<'a, B>(access: &Access, request: &'a Request<B>, room: &'a RoomId, peer: &Peer) -> EntryRequest<'a> {
    let query = request.uri().query();
    let headers = request.headers();
    let parameter = access.query().zip(query);
    let in_query = || parameter.and_then(|(name, query)| parameters(query).find(|(other, _)| other == name));
    let token = token_of(headers, access.cookie()).map(Cow::Borrowed);
    EntryRequest {
        room: room.as_str(),
        address: peer.ip().to_canonical(),
        creates: request.method() == Method::POST,
        token: token.or_else(|| in_query().map(|(_, token)| token)),
        query: match parameter {
            Some((name, query)) => without(query, name).map(Cow::Owned),
            None => query.map(Cow::Borrowed),
        },
        headers,
    }
}

/// Returns a query without a parameter. Returns `None` if nothing is left.
fn without(query: &str, name: &str) -> Option<String> {
    let is_other = |pair: &&str| parameters(pair).all(|(other, _)| other != name);
    let pairs: Vec<_> = query.split('&').filter(is_other).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn no_memory() -> Response<Body> {
    later(StatusCode::SERVICE_UNAVAILABLE, CloseReason::OutOfMemory.words(), LATER)
}

fn answer(denial: Denial, has_token: bool) -> Response<Body> {
    match denial {
        Denial::Unauthenticated(reason) => {
            let mut response = text(StatusCode::UNAUTHORIZED, &reason);
            // RFC 6750, section 3.
            let challenge = if has_token { r#"Bearer error="invalid_token""# } else { "Bearer" };
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            response
        }
        Denial::Forbidden(reason) => text(StatusCode::FORBIDDEN, &reason),
        Denial::Unavailable(reason) => later(StatusCode::SERVICE_UNAVAILABLE, &reason, LATER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_no_token_any_more() {
        for (query, left) in [
            ("token=a", None),
            ("a=1&token=x&b=2&%74oken=y", Some("a=1&b=2")),
            ("tokens=a&x=token", Some("tokens=a&x=token")),
            ("a=%ff&token", Some("a=%ff")),
        ] {
            assert_eq!(without(query, "token").as_deref(), left, "{query}");
        }
    }
}

//! Lets clients in, or not, before their room learns of them.

use std::time::Duration;

use hyper::{
    Method, Request, Response, StatusCode,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use smol::future::or;
use stateroom_core::engine::EngineFactory;

use crate::{
    access::{Access, Claims, Denial, Entry, token_of},
    log_line::debug_about,
    reactor::Timer,
    requests::{Body, later, parameters, text},
    room::RoomId,
};

use super::{Site, peer::Peer};

/// How those are refused who may not enter, as the log names it.
const NOT_LET_IN: &str = "they may not enter the room (`--auth-key`, `--auth-url`)";

/// The time to find out who may enter.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which to try again if it cannot be found out, in seconds.
const LATER: u64 = 2;

/// What is known of a client that enters.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) claims: Claims,
    /// The query, without a token.
    pub(super) query: Option<String>,
}

impl<F: EngineFactory> Site<F> {
    /// Returns what is known of a client that enters or creates a room. Returns `None` if everybody may.
    ///
    /// # Errors
    /// The answer to a client that may not.
    pub(super) async fn admit<B>(
        &self,
        request: &Request<B>,
        room: &RoomId,
        peer: &Peer,
    ) -> Result<Option<Box<Admission>>, Box<Response<Body>>> {
        let Some(access) = &self.shared.settings.access else { return Ok(None) };
        let entry = entry(access, request, room, peer);
        let (query, has_token) = (entry.query.clone(), entry.token.is_some());
        let late = async {
            Timer::after(TIMEOUT).await;
            Err(Denial::Unavailable("it takes too long to find out whether you may enter".to_owned()))
        };
        match or(access.check(entry), late).await {
            Ok(claims) => Ok(Some(Box::new(Admission { claims, query }))),
            Err(denial) => {
                debug_about!(
                    peer.about().of_room(room.as_str()),
                    "{} is not let into room {room}: {denial:?}",
                    peer.address()
                );
                self.here.0.thread().refuse("not_let_in", NOT_LET_IN);
                Err(Box::new(answer(denial, has_token)))
            }
        }
    }
}

fn entry<B>(access: &Access, request: &Request<B>, room: &RoomId, peer: &Peer) -> Entry {
    let query = request.uri().query();
    let headers = request.headers();
    let parameter = access.query().zip(query);
    let in_query = || parameter.and_then(|(name, query)| parameters(query).find(|(other, _)| other == name));
    let token = token_of(headers, access.cookie()).map(str::to_owned);
    Entry {
        room: room.as_str().to_owned(),
        address: peer.ip().to_canonical(),
        creates: request.method() == Method::POST,
        token: token.or_else(|| in_query().map(|(_, token)| token.into_owned())),
        query: match parameter {
            Some((name, query)) => without(query, name),
            None => query.map(str::to_owned),
        },
        headers: headers.clone(),
    }
}

/// Returns a query without a parameter. Returns `None` if nothing is left.
fn without(query: &str, name: &str) -> Option<String> {
    let is_other = |pair: &&str| parameters(pair).all(|(other, _)| other != name);
    let pairs: Vec<_> = query.split('&').filter(is_other).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
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

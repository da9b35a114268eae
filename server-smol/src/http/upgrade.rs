use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{
        AsHeaderName, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "compression")]
use crate::websocket::Agreement;
#[cfg(feature = "compression")]
use hyper::header::SEC_WEBSOCKET_EXTENSIONS;

use crate::{
    admission::TooFast,
    requests::{Body, ending, later, text},
    room::{ClientInfo, Header, RoomId, SESSION_PROTOCOL, SessionRequest},
    settings::Subprotocol,
    worker::Ending,
};

#[cfg(feature = "auth")]
use crate::access::TOKEN_PROTOCOL;

use super::{
    Site,
    handshake::shake_hands,
    peer::{Peer, Visit},
    refusal::CONNECTIONS,
};

/// The limit on requests for WebSockets, as the log names it.
const JOINS: &str = "rooms were asked for too fast from one address (`--join-rate`)";

impl<F: EngineFactory> Site<F> {
    /// `GET /ws/{room}`: becomes a WebSocket (RFC 6455, section 4.2), once the answer has been written.
    pub(super) async fn upgrade(
        &self,
        request: &Request<Incoming>,
        room: RoomId,
        peer: &Peer,
    ) -> Response<Body> {
        if let Err(error) = peer.join() {
            return self.too_many_joins(error, peer);
        }
        let handshake = shake_hands(request);
        #[cfg(feature = "auth")]
        let admission = match self.admit(request, &room, peer).await {
            Ok(admission) => admission,
            Err(refusal) => return *refusal,
        };
        // A page sees no answer to a WebSocket, but it can send a plain request to learn why it got none.
        if let Some(refusal) = self.refuse_entry(&room, peer).await {
            return refusal;
        }
        let mut response = match handshake {
            Ok(response) => response,
            Err(lack) => return not_a_handshake(lack),
        };
        if !request.body().is_end_stream() {
            // It would be taken for frames.
            return text(StatusCode::BAD_REQUEST, "a request for a WebSocket has no content");
        }
        let offered = offered_subprotocols(request.headers());
        #[cfg_attr(not(feature = "auth"), allow(unused_mut))]
        let (mut session, is_subprotocol) = match wanted_session(request, &offered) {
            Ok(wanted) => wanted,
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        let known = &self.shared.settings.subprotocols;
        let Ok(subprotocol) = Subprotocol::choose(known, &offered) else {
            // Their names stay out of the log: one of them may be a token.
            log::debug!("{} offers only unknown subprotocols", peer.address());
            return no_such_subprotocol(known);
        };
        // Only one can be selected, and the room still learns of the other one.
        let selected =
            if is_subprotocol { Some(SESSION_PROTOCOL) } else { subprotocol.map(Subprotocol::as_str) };
        if let Some(selected) = selected.and_then(|name| HeaderValue::from_str(name).ok()) {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, selected);
        }
        let headers = chosen_headers(request.headers(), &self.client_headers);
        let subprotocol = subprotocol.map(Subprotocol::as_str);
        let query = request.uri().query();
        #[cfg(feature = "auth")]
        let query = match &admission {
            None => query,
            Some(admission) => {
                session.iter_mut().for_each(|session| session.bind(&admission.claims.identity()));
                // Browsers close a connection on which none of the offered subprotocols is selected.
                if !response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) && offers_token(&offered) {
                    let selected = HeaderValue::from_static(TOKEN_PROTOCOL);
                    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, selected);
                }
                admission.query.as_deref()
            }
        };
        let info = ClientInfo::new(peer.ip(), query, headers, subprotocol);
        #[cfg(feature = "auth")]
        let info = info.with_claims(admission.map(|admission| admission.claims));
        #[cfg(feature = "proxy")]
        if let Some(refusal) = self.count_client(peer) {
            return refusal;
        }
        peer.visit.replace(Some(Visit {
            room,
            info: Box::new(info),
            session: session.map(Box::new),
            #[cfg(feature = "compression")]
            compression: self.agree(request.headers(), response.headers_mut()),
        }));
        response
    }

    fn too_many_joins(&self, error: TooFast, peer: &Peer) -> Response<Body> {
        log::debug!("{} asks for rooms too fast", peer.address());
        self.here.0.thread().refuse("joins", JOINS);
        let words = "rooms are asked for too fast from your address; come again later";
        later(StatusCode::TOO_MANY_REQUESTS, words, error.seconds())
    }

    /// Returns the answer to a client that cannot enter a room.
    async fn refuse_entry(&self, room: &RoomId, peer: &Peer) -> Option<Response<Body>> {
        if self.is_full() {
            log::debug!("{} would be one client too many", peer.address());
            self.here.0.thread().refuse(CONNECTIONS.label, CONNECTIONS.limit);
            return Some(full_up());
        }
        if self.shared.settings.room_ids.implicit() {
            return None;
        }
        match self.shared.control.workers.exists(room).await {
            Ok(true) => None,
            Ok(false) => {
                log::debug!("a client asks for room {room}, which does not exist");
                Some(text(StatusCode::NOT_FOUND, "the room does not exist"))
            }
            Err(Ending) => Some(ending()),
        }
    }
}

#[cfg(feature = "compression")]
impl<F: EngineFactory> Site<F> {
    /// Agrees with a client about compressed messages, if they are on and it offers that.
    fn agree(&self, offered: &HeaderMap, answer: &mut HeaderMap) -> Option<Agreement> {
        self.shared.settings.compress_from?;
        let agreement = Agreement::accept(&joined(offered, SEC_WEBSOCKET_EXTENSIONS)?)?;
        let value = HeaderValue::try_from(agreement.to_string()).ok()?;
        answer.insert(SEC_WEBSOCKET_EXTENSIONS, value);
        Some(agreement)
    }
}

/// Returns the subprotocols that a client offers, separated by commas.
fn offered_subprotocols(headers: &HeaderMap) -> String {
    // Most clients have none.
    let offers = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    offers.then(|| joined(headers, SEC_WEBSOCKET_PROTOCOL)).flatten().unwrap_or_default()
}

fn no_such_subprotocol(known: &[Subprotocol]) -> Response<Body> {
    let known: Vec<_> = known.iter().map(Subprotocol::as_str).collect();
    let words = format!("none of the offered subprotocols is known here; known are: {}", known.join(", "));
    text(StatusCode::BAD_REQUEST, &words)
}

/// Returns the session that a client asks for, if it does, and whether it asks with a subprotocol.
///
/// # Errors
/// Says in a sentence for the client what is wrong with it.
fn wanted_session(
    request: &Request<Incoming>,
    offered: &str,
) -> Result<(Option<SessionRequest>, bool), &'static str> {
    if let Some(session) = SessionRequest::from_protocols(offered)? {
        return Ok((Some(session), true));
    }
    let query = request.uri().query().unwrap_or_default();
    Ok((SessionRequest::from_query(query)?, false))
}

/// Returns whether a client offers the subprotocol that is selected beside its token.
#[cfg(feature = "auth")]
fn offers_token(offered: &str) -> bool {
    offered.split(',').any(|offer| offer.trim() == TOKEN_PROTOCOL)
}

/// Returns the headers of a request that rooms may ask for.
fn chosen_headers(sent: &HeaderMap, chosen: &[HeaderName]) -> Box<[Header]> {
    let header = |name: &HeaderName| {
        let value = joined(sent, name)?;
        Some((name.as_str().into(), value.into()))
    };
    chosen.iter().filter_map(header).collect()
}

/// Returns the value of a header, if there is one.
fn joined(sent: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    // What is not UTF-8 is left out by itself, or a client could hide with it what a proxy has added.
    let lines = sent.get_all(name).iter();
    let lines: Vec<_> = lines.filter_map(|line| str::from_utf8(line.as_bytes()).ok()).collect();
    // RFC 9110, section 5.3: lines of the same name are one list.
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn full_up() -> Response<Body> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "the server has no space for another client");
    // So that the connection makes space, too.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn not_a_handshake(lack: &str) -> Response<Body> {
    log::debug!("no handshake: {lack}");
    let mut response = text(StatusCode::UPGRADE_REQUIRED, "this address is for WebSockets");
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    // RFC 6455, section 4.4.
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_headers_are_there_and_others_are_not() {
        let sent: [(_, &[u8]); 8] = [
            ("origin", b"https://example.com"),
            ("cookie", b"secret"),
            ("x-user", b"mallory"),
            ("x-user", b"ada"),
            ("x-name", "Zoë".as_bytes()),
            ("x-latin", b"Zo\xeb"),
            ("x-mixed", b"Zo\xeb"),
            ("x-mixed", b"ada"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let chosen = ["origin", "x-user", "x-name", "x-latin", "x-mixed", "x-absent"];
        let chosen = chosen_headers(&headers, &chosen.map(HeaderName::from_static));
        let info = ClientInfo::new([10, 1, 2, 3].into(), None, chosen, None);
        for (key, value) in [
            ("header:origin", Some("https://example.com")),
            ("header:x-user", Some("mallory, ada")),
            ("header:x-name", Some("Zoë")),
            ("header:x-latin", None),
            ("header:x-mixed", Some("ada")),
            ("header:x-absent", None),
            ("header:cookie", None),
            ("header:X-User", None),
            ("origin", None),
        ] {
            assert_eq!(info.get(key).as_deref(), value, "{key}");
        }
    }
}

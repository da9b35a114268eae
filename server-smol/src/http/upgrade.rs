use async_tungstenite::tungstenite::{error::Error, handshake::server::create_response_with_body};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{
        AsHeaderName, CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use stateroom_core::engine::EngineFactory;

use crate::{
    requests::{Body, ending, text},
    room::{ClientInfo, Header, RoomId, SESSION_PROTOCOL, SessionRequest},
    worker::Ending,
};

#[cfg(feature = "auth")]
use super::entry::Admission;
#[cfg(feature = "auth")]
use crate::access::TOKEN_PROTOCOL;

use super::{
    CONNECTIONS, Site,
    peer::{Peer, Visit},
};

impl<F: EngineFactory> Site<F> {
    /// `GET /ws/{room}`: becomes a WebSocket (RFC 6455, section 4.2), once the answer has been written.
    pub(super) async fn upgrade(
        &self,
        request: &Request<Incoming>,
        room: RoomId,
        peer: &Peer,
    ) -> Response<Body> {
        let handshake = create_response_with_body(request, || Bytes::new().into());
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
            Err(error) => return not_a_handshake(&error),
        };
        if !request.body().is_end_stream() {
            // It would be taken for frames.
            return text(StatusCode::BAD_REQUEST, "a request for a WebSocket has no content");
        }
        #[cfg_attr(not(feature = "auth"), allow(unused_mut))]
        let (mut session, is_subprotocol) = match wanted_session(request) {
            Ok(wanted) => wanted,
            Err(reason) => return text(StatusCode::BAD_REQUEST, reason),
        };
        if is_subprotocol {
            let selected = HeaderValue::from_static(SESSION_PROTOCOL);
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, selected);
        }
        let headers = chosen_headers(request.headers(), &self.client_headers);
        #[cfg(not(feature = "auth"))]
        let info = ClientInfo::new(peer.address.ip(), request.uri().query(), headers);
        #[cfg(feature = "auth")]
        let info = match admission {
            None => ClientInfo::new(peer.address.ip(), request.uri().query(), headers),
            Some(admission) => {
                let Admission { claims, query } = *admission;
                if let (Some(session), Some(subject)) = (&mut session, claims.subject()) {
                    session.bind(subject);
                }
                // Browsers close a connection on which none of the offered subprotocols is selected.
                if !response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL)
                    && offers_token_protocol(request.headers())
                {
                    let selected = HeaderValue::from_static(TOKEN_PROTOCOL);
                    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, selected);
                }
                ClientInfo::new(peer.address.ip(), query.as_deref(), headers).with_claims(Some(claims))
            }
        };
        peer.visit.replace(Some(Visit { room, info: Box::new(info), session: session.map(Box::new) }));
        response
    }

    /// Returns the answer to a client that cannot enter a room.
    async fn refuse_entry(&self, room: &RoomId, peer: &Peer) -> Option<Response<Body>> {
        if self.is_full() {
            log::debug!("{} would be one client too many", peer.address);
            self.here.0.thread().log.refused(CONNECTIONS);
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

/// Returns the session that a client asks for, if it does, and whether it asks with a subprotocol.
///
/// # Errors
/// Says in a sentence for the client what is wrong with it.
fn wanted_session(request: &Request<Incoming>) -> Result<(Option<SessionRequest>, bool), &'static str> {
    let headers = request.headers();
    // Most clients have none.
    if headers.contains_key(SEC_WEBSOCKET_PROTOCOL)
        && let Some(offered) = joined(headers, SEC_WEBSOCKET_PROTOCOL)
        && let Some(session) = SessionRequest::from_protocols(&offered)?
    {
        return Ok((Some(session), true));
    }
    let query = request.uri().query().unwrap_or_default();
    Ok((SessionRequest::from_query(query)?, false))
}

/// Returns whether a client offers the subprotocol that is selected beside its token.
#[cfg(feature = "auth")]
fn offers_token_protocol(headers: &HeaderMap) -> bool {
    let offered = joined(headers, SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
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

fn not_a_handshake(error: &Error) -> Response<Body> {
    log::debug!("no handshake: {error}");
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
        let info = ClientInfo::new([10, 1, 2, 3].into(), None, chosen);
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

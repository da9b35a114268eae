use async_tungstenite::tungstenite::{error::Error, handshake::server::create_response_with_body};
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use stateroom_core::engine::EngineFactory;

use crate::{
    requests::{Body, ending, text},
    room::{ClientInfo, RoomId},
    worker::Ending,
};

use super::{Site, peer::Peer};

impl<F: EngineFactory> Site<F> {
    /// `GET /ws/{room}`: becomes a WebSocket (RFC 6455, section 4.2), once the answer has been written.
    pub(super) async fn upgrade(
        &self,
        request: &Request<Incoming>,
        room: RoomId,
        peer: &Peer,
    ) -> Response<Body> {
        let response = match create_response_with_body(request, || Bytes::new().into()) {
            Ok(response) => response,
            Err(error) => return not_a_handshake(&error),
        };
        if !request.body().is_end_stream() {
            // It would be taken for frames.
            return text(StatusCode::BAD_REQUEST, "a request for a WebSocket has no content");
        }
        if self.is_full() {
            log::debug!("{} would be one client too many", peer.address);
            return full_up();
        }
        if !self.shared.settings.room_ids.implicit() {
            match self.shared.workers.exists(&room).await {
                Ok(true) => {}
                Ok(false) => {
                    log::debug!("a client asks for room {room}, which does not exist");
                    return text(StatusCode::NOT_FOUND, "the room does not exist");
                }
                Err(Ending) => return ending(),
            }
        }
        let info = ClientInfo::new(request, peer.address, &self.shared.settings.client_headers);
        peer.visit.replace(Some((room, Box::new(info))));
        response
    }
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

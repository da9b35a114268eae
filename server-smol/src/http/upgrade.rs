use std::{net::TcpStream, rc::Rc};

use async_io::Async;
use async_tungstenite::tungstenite::{error::Error, handshake::server::create_response_with_body};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use smol_hyper::rt::FuturesIo;

use crate::{
    client_info::ClientInfo,
    room_id::RoomId,
    worker::{Arrival, Command},
};

use super::{
    Peer, Site,
    body::{Body, full, text},
    ending,
};

impl Site {
    /// `GET /ws/{room}`: becomes a WebSocket (RFC 6455, section 4.2).
    pub(super) async fn upgrade(
        self: &Rc<Self>,
        mut request: Request<Incoming>,
        room: RoomId,
        peer: &Peer,
    ) -> Response<Body> {
        let response = match create_response_with_body(&request, || full(Bytes::new())) {
            Ok(response) => response,
            Err(error) => return not_a_handshake(&error),
        };
        if self.is_full() {
            log::debug!("{} would be one client too many", peer.address);
            return full_up();
        }
        let worker = self.worker(&room).clone();
        if !self.settings.room_ids.implicit() {
            match Self::ask(&worker, |answer| Command::Exists(room.clone(), answer)).await {
                Some(true) => {}
                Some(false) => {
                    log::debug!("a client asks for room {room}, which does not exist");
                    return text(StatusCode::NOT_FOUND, "the room does not exist");
                }
                None => return ending(),
            }
        }
        // It comes along with the connection; a second request on the same one does not get this far.
        let Some(place) = peer.place.take() else {
            return ending();
        };
        let info = Box::new(ClientInfo::new(&request, peer.address, &self.settings.client_headers));
        let upgrade = hyper::upgrade::on(&mut request);
        let take_over = async move {
            let parts = match upgrade.await.map(|upgraded| upgraded.downcast()) {
                Ok(Ok(parts)) => parts,
                Ok(Err(_)) => return log::error!("an upgraded connection is not the one that came in"),
                Err(error) => return log::debug!("a client left during its handshake: {error}"),
            };
            let io: FuturesIo<Async<TcpStream>> = parts.io;
            // From here on it belongs to the worker's thread.
            let stream = match io.into_inner().into_inner() {
                Ok(stream) => stream,
                Err(error) => return log::debug!("a client left during its handshake: {error}"),
            };
            let read_ahead = parts.read_buf.to_vec();
            // Where the worker is ending, so is the connection.
            let _ = worker.send(Command::Connect(room, Arrival { stream, read_ahead, info, place })).await;
        };
        self.spawn(take_over);
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

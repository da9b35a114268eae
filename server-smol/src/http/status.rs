use std::net::SocketAddr;

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::json;

use crate::worker::{Command, RoomStatus};

use super::{
    Site,
    body::{Body, text, typed},
    ending, not_allowed,
};

impl Site {
    /// `GET /status`: `ok`; with `?verbose`, what there is, as JSON.
    ///
    /// Whoever knows a room's id can join it, so ids are shown only to requests from this machine.
    pub(super) async fn status(&self, request: &Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET");
        }
        let verbose = |pair: &str| pair.split('=').next() == Some("verbose");
        if !request.uri().query().is_some_and(|query| query.split('&').any(verbose)) {
            return text(StatusCode::OK, "ok");
        }
        let mut rooms = Vec::new();
        for worker in &self.workers {
            match Self::ask(worker, Command::Status).await {
                Some(status) => rooms.extend(status),
                None => return ending(),
            }
        }
        let clients: usize = rooms.iter().map(|room| room.clients.len()).sum();
        let mut status = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "room_count": rooms.len(),
            "client_count": clients,
        });
        if peer.ip().to_canonical().is_loopback() {
            rooms.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
            status["rooms"] = rooms
                .iter()
                .map(|RoomStatus { id, clients }| json!({ "id": id.as_str(), "clients": clients }))
                .collect();
        }
        typed(StatusCode::OK, "application/json", status.to_string())
    }
}

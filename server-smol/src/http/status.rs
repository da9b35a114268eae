use std::net::{IpAddr, SocketAddr};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{HOST, HeaderName},
};
use serde_json::json;
use stateroom_sdk_core::engine::EngineFactory;

use crate::worker::{Command, Counts, RoomStatus};

use super::{
    Site,
    body::{Body, text, typed},
    ending, not_allowed,
};

impl<F: EngineFactory> Site<F> {
    /// `GET /status`: `ok`; with `?verbose`, what there is, as JSON.
    ///
    /// Whoever knows a room's id can join it, so ids are shown only to requests from this machine.
    /// A proxy has to say that it is one, as all do.
    pub(super) async fn status(&self, request: &Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET");
        }
        let verbose = |pair: &str| pair.split('=').next() == Some("verbose");
        if !request.uri().query().is_some_and(|query| query.split('&').any(verbose)) {
            return text(StatusCode::OK, "ok");
        }
        let mut counts = Counts::default();
        for worker in &self.shared.workers {
            let Some(Counts { rooms, folded_rooms, unfolded_memory, clients }) =
                Self::ask(worker, Command::Count).await
            else {
                return ending();
            };
            counts.rooms += rooms;
            counts.folded_rooms += folded_rooms;
            counts.unfolded_memory += unfolded_memory;
            counts.clients += clients;
        }
        let mut status = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.shared.started.elapsed().as_secs(),
            "room_count": counts.rooms,
            "folded_room_count": counts.folded_rooms,
            "unfolded_memory": counts.unfolded_memory,
            "client_count": counts.clients,
        });
        if is_local(request, peer) {
            let mut rooms = Vec::new();
            for worker in &self.shared.workers {
                match Self::ask(worker, Command::List).await {
                    Some(list) => rooms.extend(list),
                    None => return ending(),
                }
            }
            rooms.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
            status["rooms"] = rooms
                .iter()
                .map(|RoomStatus { id, clients, folded }| json!({ "id": id.as_str(), "clients": clients, "folded": folded }))
                .collect();
        }
        typed(StatusCode::OK, "application/json", status.to_string())
    }
}

/// Whether a request comes from this machine, and not only through a proxy on it or a page in its browser.
fn is_local(request: &Request<Incoming>, peer: SocketAddr) -> bool {
    let headers = request.headers();
    let forwarded = |name: &HeaderName| {
        let name = name.as_str();
        name == "forwarded" || name == "via" || name.starts_with("x-forwarded-") || name == "x-real-ip"
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    // Without the port; an IPv6 address has brackets.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    peer.ip().to_canonical().is_loopback()
        && !headers.keys().any(forwarded)
        && (name == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback()))
}

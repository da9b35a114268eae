use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::json;
use stateroom_core::engine::EngineFactory;

use crate::{
    requests::{Body, ending, not_allowed, text, typed},
    worker::Ending,
};

use super::Site;

impl<F: EngineFactory> Site<F> {
    /// `GET /status`: `ok`; with `?verbose`, how much there is, as JSON.
    pub(super) async fn status(&self, request: &Request<Incoming>) -> Response<Body> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET");
        }
        let verbose = |pair: &str| pair.split('=').next() == Some("verbose");
        if !request.uri().query().is_some_and(|query| query.split('&').any(verbose)) {
            return text(StatusCode::OK, "ok");
        }
        let counts = match self.shared.workers.counts().await {
            Ok(counts) => counts,
            Err(Ending) => return ending(),
        };
        let status = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.shared.started.elapsed().as_secs(),
            "room_count": counts.rooms,
            "hibernating_room_count": counts.hibernating_rooms,
            "awake_memory": counts.awake_memory,
            "memory": counts.memory,
            "client_count": counts.clients,
        });
        typed(StatusCode::OK, "application/json", status.to_string())
    }
}

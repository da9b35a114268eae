use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use stateroom_core::engine::EngineFactory;

use crate::{
    requests::{Body, ending, json, not_allowed, text},
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
        let counts = match self.shared.control.workers.counts().await {
            Ok(counts) => counts,
            Err(Ending) => return ending(),
        };
        json(vec![
            ("status", "ok".into()),
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("uptime_seconds", self.shared.control.started.elapsed().as_secs().into()),
            ("room_count", counts.rooms.into()),
            ("hibernating_room_count", counts.hibernating_rooms.into()),
            ("awake_memory", counts.awake_memory.into()),
            ("memory", counts.memory.into()),
            ("client_count", counts.clients.into()),
        ])
    }
}

use hyper::{Method, Response, StatusCode};

use crate::{
    requests::{Body, ending, later, not_allowed, text},
    worker::Phase,
};

/// The path at which programs ask whether the server is ready.
pub(crate) const READY: &str = "/ready";

/// The time after which to ask again while the server starts, in seconds.
const SOON: u64 = 1;

/// Answers a request of a program that watches the server, such as a load balancer: 200 if the server takes clients, or else 503.
pub(crate) fn ready(phase: Phase, method: &Method) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return not_allowed("GET");
    }
    match phase {
        Phase::Starting => {
            later(StatusCode::SERVICE_UNAVAILABLE, "the server is reading the rooms on disk", SOON)
        }
        Phase::Stalled => {
            later(StatusCode::SERVICE_UNAVAILABLE, "all rooms wait for space on the disk", SOON)
        }
        Phase::Ready => text(StatusCode::OK, "ready"),
        Phase::Ending => ending(),
    }
}

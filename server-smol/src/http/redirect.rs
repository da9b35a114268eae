use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::HOST, http::uri::Authority};
use stateroom_core::engine::EngineFactory;

use crate::requests::{Body, has_one_host, redirect, text};

use super::{Site, peer::Peer};

/// The files with which a program proves to an authority that it may have a certificate (RFC 8555, section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// The port that URLs with `https://` do not name.
const HTTPS: u16 = 443;

impl<F: EngineFactory> Site<F> {
    /// Answers a request on the port without TLS.
    pub(super) async fn lead_to_tls(&self, request: &Request<Incoming>, peer: &Peer) -> Response<Body> {
        if request.uri().path().starts_with(CHALLENGES)
            && matches!(*request.method(), Method::GET | Method::HEAD)
        {
            return self.static_file(request, peer).await;
        }
        // `OPTIONS *` is about no path.
        if !has_one_host(request) || !request.uri().path().starts_with('/') {
            return text(StatusCode::BAD_REQUEST, "a request has one `Host`, and a path");
        }
        let host = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let Some(host) = request.uri().authority().or(host.as_ref()) else {
            return text(
                StatusCode::BAD_REQUEST,
                "this port leads to https://, and the request has no `Host`",
            );
        };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let port = match self.shared.tls_port {
            None | Some(HTTPS) => String::new(),
            Some(port) => format!(":{port}"),
        };
        redirect(StatusCode::PERMANENT_REDIRECT, &format!("https://{}{port}{path}", host.host()))
    }
}

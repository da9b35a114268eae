//! The pages that may use the rooms, and what browsers let these pages read (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use hyper::{
    Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST,
        HeaderMap, HeaderValue, ORIGIN, VARY,
    },
};
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "auth")]
use hyper::header::ACCESS_CONTROL_ALLOW_CREDENTIALS;

use crate::{
    log_line::debug_about,
    requests::{Body, text},
    settings::AllowedOrigin,
    thread::Cut,
};

use super::{Site, peer::Peer};

/// The name in the log for pages of other origins.
const OTHER_ORIGIN: &str = "their pages are of another origin (`--allow-origin`)";

/// The headers of answers that pages of other origins could not read otherwise.
pub(super) const EXPOSED: &str = "Location, Retry-After, WWW-Authenticate";

/// The page that has sent a request may not use the rooms.
#[derive(Debug)]
pub(super) struct OtherOrigin;

/// The page that has sent a request, and may read the answer.
#[derive(Debug)]
pub(super) struct Page {
    /// `None` if there is no page, as for programs.
    origin: Option<HeaderValue>,
}

impl<F: EngineFactory> Site<F> {
    /// Returns the page that has sent a request.
    ///
    /// # Errors
    /// It may not use the rooms.
    pub(super) fn page<B>(&self, request: &Request<B>, peer: &Peer) -> Result<Page, OtherOrigin> {
        let headers = request.headers();
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(Page { origin: None }) };
        // The address in the first line is the one that counts.
        let host = request.uri().authority().map(|authority| authority.as_str());
        let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
        #[cfg(feature = "tls")]
        let is_secure = peer.is_secure.get();
        #[cfg(not(feature = "tls"))]
        let is_secure = false;
        let allowed = &self.shared.settings.allowed_origins;
        let is_allowed = |origin: &str| {
            allowed.iter().any(|rule| rule.allows(origin, host, is_secure)) || self.is_of_playground(origin)
        };
        if origins.next().is_none() && origin.to_str().is_ok_and(is_allowed) {
            let is_any = allowed.contains(&AllowedOrigin::ANY);
            let origin = if is_any { HeaderValue::from_static("*") } else { origin.clone() };
            return Ok(Page { origin: Some(origin) });
        }
        let shown = String::from_utf8_lossy(origin.as_bytes());
        debug_about!(peer.about(), "{} sends a request of a page of {:?}", peer.address(), Cut::new(&shown));
        self.here.0.thread().refuse("other_origin", OTHER_ORIGIN);
        Err(OtherOrigin)
    }

    /// Returns whether a page is the operator's playground, whose clients come to the public address.
    fn is_of_playground(&self, origin: &str) -> bool {
        let Some(port) = self.shared.playground_port else { return false };
        let host = origin.strip_prefix("http://").and_then(|host| host.strip_suffix(&*format!(":{port}")));
        host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host))
    }

    /// Lets a page read an answer.
    pub(super) fn share(&self, page: Page, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        self.vary(headers);
        if let Some(origin) = page.origin {
            #[cfg(feature = "auth")]
            if self.shared.settings.access.as_ref().is_some_and(|access| access.cookie().is_some())
                && !origin.to_str().is_ok_and(|origin| self.is_of_playground(origin))
            {
                // No page sends cookies otherwise. The settings are checked: the origin is one that was chosen.
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// Answers a page that may not use the rooms.
    pub(super) fn refuse_page(&self, _: OtherOrigin) -> Response<Body> {
        let mut refusal = text(
            StatusCode::FORBIDDEN,
            "pages of this origin may not use the rooms here; the operator can allow it (`--allow-origin`)",
        );
        self.vary(refusal.headers_mut());
        refusal
    }

    /// Tells caches that the answer is another one for other pages.
    fn vary(&self, headers: &mut HeaderMap) {
        if !self.shared.settings.allowed_origins.contains(&AllowedOrigin::ANY) {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
    }
}

/// Answers a browser that asks whether a page may send a request, if it does.
pub(super) fn preflight<B>(request: &Request<B>, methods: &'static str) -> Option<Response<Body>> {
    if *request.method() != Method::OPTIONS || !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    {
        return None;
    }
    let mut response = text(StatusCode::OK, "");
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type"));
    // For longer, the operator could not change it.
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}

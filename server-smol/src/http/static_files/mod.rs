//! Sends the files of a directory (RFC 9110).

mod found;
mod path;

use std::{io, path::PathBuf, rc::Rc};

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{
        ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, VARY,
    },
};
use smol::unblock;
use stateroom_core::engine::EngineFactory;

#[cfg(feature = "built-in")]
use super::Shared;
use crate::{
    close::CloseReason,
    file_limit,
    requests::{Body, Download, Part, later, names_type, not_allowed, redirect, text, wanted_part, weights},
    thread::Cut,
};

use super::{Site, peer::Peer, refusal::FILES};

use found::{INDEX, find};
use path::{below, may_be_page};

/// The time after which to try again if there is no space for a download, in seconds.
const LATER: u64 = 5;

impl<F: EngineFactory> Site<F> {
    /// `GET /…`: a file that is built in, or one of the static directory.
    pub(super) async fn static_file(&self, request: &Request<Incoming>, peer: &Peer) -> Response<Body> {
        #[cfg(feature = "built-in")]
        if let Some(response) = crate::requests::built_in(self.shared.settings.built_in, request) {
            return response;
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return not_allowed("GET");
        }
        let url_path = request.uri().path();
        let settings = &self.shared.settings;
        let root = settings.static_files.as_deref();
        let mut sent = match root.and_then(|root| below(root, url_path)) {
            Some(path) => self.send(path, request, peer).await,
            None => Err(io::ErrorKind::NotFound.into()),
        };
        // What there is depends on what the client takes, as far as an application may have a page there.
        let varies = settings.single_page && is_missing(&sent) && may_be_page(url_path);
        if varies
            && names_type(request.headers(), "text/html")
            && let Some(root) = root
        {
            sent = self.send(root.join(INDEX), request, peer).await;
        }
        let mut response = self.response(sent, url_path, peer);
        if varies {
            response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
        }
        response
    }

    /// Returns the response, or the one that says what is wrong.
    fn response(&self, sent: io::Result<Response<Body>>, url_path: &str, peer: &Peer) -> Response<Body> {
        match sent {
            Ok(response) => response,
            Err(_) if is_missing(&sent) => {
                let line =
                    || format!("{} asks for {:?}: there is nothing", peer.address(), Cut::new(url_path));
                self.here.0.thread().log.event(log::Level::Debug, peer.about(), line);
                text(StatusCode::NOT_FOUND, "there is nothing here; rooms are WebSockets at /ws/{room}")
            }
            Err(error) => match error.kind() {
                _ if file_limit::is_reached(&error) => {
                    self.here.0.thread().refuse(FILES.label, FILES.limit);
                    later(StatusCode::SERVICE_UNAVAILABLE, "the server has too many open files", LATER)
                }
                io::ErrorKind::OutOfMemory => {
                    later(StatusCode::SERVICE_UNAVAILABLE, CloseReason::OutOfMemory.words(), LATER)
                }
                _ => {
                    let line = || format!("{:?} cannot be served: {error}", Cut::new(url_path));
                    self.here.0.thread().log.event(log::Level::Warn, peer.about(), line);
                    text(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "the file cannot be read; the server's log says why",
                    )
                }
            },
        }
    }

    /// Answers a request for the playground, if it is public, or returns it. Without a page of its own, the playground is the page.
    #[cfg(feature = "built-in")]
    pub(super) async fn playground(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Request<Incoming>> {
        let Shared { control, settings, .. } = &self.shared;
        if request.uri().path() == "/" && settings.static_files.is_none() && control.has_public_playground() {
            return Ok(redirect(StatusCode::FOUND, "/_/"));
        }
        control.answer_public(request).await
    }

    async fn send(
        &self,
        path: PathBuf,
        request: &Request<Incoming>,
        peer: &Peer,
    ) -> io::Result<Response<Body>> {
        let (asked, url_path) = (request.headers(), request.uri().path());
        let (as_directory, weights) = (url_path.ends_with('/'), weights(asked));
        let Some(found) = unblock(move || find(path, as_directory, weights)).await? else {
            return Ok(to_directory(request));
        };
        let size = found.metadata.len();
        let mut response = Response::new(Body::from(Bytes::new()));
        let headers = response.headers_mut();
        found.validators.set(headers);
        if found.varies {
            headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        if let Some(status) = found.validators.check(asked) {
            *response.status_mut() = status;
            return Ok(response);
        }
        let is_get = *request.method() == Method::GET;
        let part =
            if is_get && found.validators.go_with(asked) { wanted_part(asked, size) } else { Part::Whole };
        let bytes = match part {
            Part::Whole => 0..size,
            Part::Bytes(bytes) => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let place = format!("bytes {}-{}/{}", bytes.start, bytes.end.saturating_sub(1), size);
                if let Ok(place) = HeaderValue::try_from(place) {
                    response.headers_mut().insert(CONTENT_RANGE, place);
                }
                bytes
            }
            Part::Beyond => return Ok(beyond(size)),
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, bytes.end.saturating_sub(bytes.start).into());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(found.media_type));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(coding) = found.coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        if is_get {
            let thread = self.here.0.thread();
            let Some(permit) = self.shared.downloads.take(thread.clock.now()) else {
                thread.refuse("downloads", "there are as many downloads as there may be (`--max-downloads`)");
                return Ok(later(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "there are as many downloads as there may be",
                    LATER,
                ));
            };
            let permit = Rc::new(permit);
            peer.set_download(&permit);
            let file = (found.path, found.metadata);
            *response.body_mut() = Download::open(file, bytes, &thread.memory, permit).await?.into();
        }
        Ok(response)
    }
}

/// Returns whether there is no such file, and can be none.
fn is_missing(sent: &io::Result<Response<Body>>) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    let kind = sent.as_ref().err().map(io::Error::kind);
    matches!(kind, Some(NotFound | NotADirectory | InvalidInput | InvalidFilename))
}

/// Leads to the path of a directory, so that relative links in its page lead where they should.
fn to_directory(request: &Request<Incoming>) -> Response<Body> {
    // A path that begins with `//` would lead to another host.
    let mut to = format!("/{}/", request.uri().path().trim_matches('/'));
    if let Some(query) = request.uri().query() {
        to.push('?');
        to += query;
    }
    redirect(StatusCode::MOVED_PERMANENTLY, &to)
}

/// Says that the file does not have the bytes that are asked for, and how many it has (RFC 9110, section 15.5.17).
fn beyond(size: u64) -> Response<Body> {
    let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, &format!("the file has {size} bytes"));
    if let Ok(size) = HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(CONTENT_RANGE, size);
    }
    response
}

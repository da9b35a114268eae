use std::{
    any::Any,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use hyper::{
    Response, StatusCode,
    body::{self, Buf, Bytes, Frame, SizeHint},
    header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER},
};

use serde_json::{Map, Value};

use crate::memory::Charge;

use super::Download;
#[cfg(feature = "built-in")]
use super::event_stream::EventStream;

/// The content of a response: something short, a file piece by piece, or events without an end.
#[derive(Debug)]
pub(crate) struct Body {
    content: Content,
    /// The request that it answers.
    request: Option<Rc<dyn Any>>,
}

#[derive(Debug)]
enum Content {
    Short(Bytes),
    File(Download),
    #[cfg(feature = "built-in")]
    Events(Box<EventStream>),
}

/// A piece of what a response carries, until it has been written.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    /// The charge for its memory, if that is worth it.
    _charge: Option<Charge>,
    _request: Option<Rc<dyn Any>>,
}

impl Body {
    /// Holds on to the request that this answers, until all of it has been written.
    pub(crate) fn hold(&mut self, request: Rc<dyn Any>) {
        self.request = Some(request);
    }

    /// Returns the size of what waits in it at most, in bytes, if it goes on as long as the client listens.
    pub(crate) fn stream_size(&self) -> Option<usize> {
        match &self.content {
            Content::Short(_) | Content::File(_) => None,
            #[cfg(feature = "built-in")]
            Content::Events(_) => Some(super::event_stream::WAITING),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { content: Content::Short(bytes), request: None }
    }
}

impl From<Download> for Body {
    fn from(download: Download) -> Self {
        Self { content: Content::File(download), request: None }
    }
}

#[cfg(feature = "built-in")]
impl From<EventStream> for Body {
    fn from(events: EventStream) -> Self {
        Self { content: Content::Events(Box::new(events)), request: None }
    }
}

impl body::Body for Body {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Piece>>>> {
        let this = &mut *self;
        let request = &this.request;
        let piece = |bytes, charge| Frame::data(Piece { bytes, _charge: charge, _request: request.clone() });
        match &mut this.content {
            Content::Short(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Short(bytes) => Poll::Ready(Some(Ok(piece(bytes.split_to(bytes.len()), None)))),
            Content::File(download) => download
                .poll_piece(cx)
                .map(|read| read.map(|read| read.map(|(bytes, charge)| piece(bytes.into(), Some(charge))))),
            #[cfg(feature = "built-in")]
            Content::Events(events) => {
                events.poll_event(cx).map(|event| event.map(|event| Ok(piece(event, None))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Short(bytes) => bytes.is_empty(),
            Content::File(download) => download.left() == 0,
            #[cfg(feature = "built-in")]
            Content::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.content {
            Content::Short(bytes) => bytes.len() as u64,
            Content::File(download) => download.left(),
            #[cfg(feature = "built-in")]
            Content::Events(_) => return SizeHint::default(),
        })
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Returns a response of one line for a person to read.
pub(crate) fn text(status: StatusCode, line: &str) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", line.to_owned())
}

pub(crate) fn typed(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(content.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns a response that leads elsewhere: for good, or for now.
pub(crate) fn redirect(status: StatusCode, to: &str) -> Response<Body> {
    let mut response = text(status, to);
    if let Ok(to) = HeaderValue::try_from(to) {
        response.headers_mut().insert(LOCATION, to);
    }
    response
}

pub(crate) fn not_allowed(allowed: &'static str) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &format!("this takes {allowed}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The time after which another server, or the next process, may be there, in seconds.
const RETURN: u64 = 5;

/// Returns the response of a server that ends.
pub(crate) fn ending() -> Response<Body> {
    later(StatusCode::SERVICE_UNAVAILABLE, "the server is ending", RETURN)
}

/// Returns a response of one JSON object.
pub(crate) fn json(fields: Vec<(&str, Value)>) -> Response<Body> {
    typed(StatusCode::OK, "application/json", object(fields).to_string())
}

/// Returns a JSON object. It is made here alone, as what `json!` makes of each field takes much more space in the
/// binary; so does the sort of `collect`.
pub(crate) fn object(fields: Vec<(&str, Value)>) -> Value {
    let mut object = Map::new();
    object.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
    object.into()
}

/// Returns a response that asks to come again in so many seconds.
pub(crate) fn later(status: StatusCode, line: &str, seconds: u64) -> Response<Body> {
    let mut response = text(status, line);
    response.headers_mut().insert(RETRY_AFTER, seconds.into());
    response
}

use std::{io, pin::Pin};

use http_body_util::{Either, Full, StreamBody};
use hyper::{
    Response, StatusCode,
    body::{Bytes, Frame},
    header::{CONTENT_TYPE, HeaderValue},
};
use smol::stream::Stream;

/// What a response carries: something short, or a file piece by piece.
pub(super) type Body = Either<Full<Bytes>, StreamBody<Pieces>>;

/// A file, piece by piece.
pub(super) type Pieces = Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>>>>;

pub(super) fn full(content: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(content.into()))
}

/// A response of one line for a person to read.
pub(super) fn text(status: StatusCode, line: &str) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", line.to_owned())
}

pub(super) fn typed(
    status: StatusCode,
    content_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(full(content));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

use hyper::{Request, Version, header::HOST};

/// Returns whether a request names one host. A server must refuse another one (RFC 9112, section 3.2): a proxy may mean another one
/// of several. Before HTTP/1.1 a request need not name any.
pub(crate) fn has_one_host<B>(request: &Request<B>) -> bool {
    match request.headers().get_all(HOST).iter().count() {
        0 => request.version() < Version::HTTP_11,
        count => count == 1,
    }
}

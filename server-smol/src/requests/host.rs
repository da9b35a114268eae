use hyper::{Request, header::HOST};

/// Returns true if a request names more than one host. A server must refuse it (RFC 9112, section 3.2): a proxy may mean
/// another one of them.
pub(crate) fn has_several_hosts<B>(request: &Request<B>) -> bool {
    request.headers().get_all(HOST).iter().nth(1).is_some()
}

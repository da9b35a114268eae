/// The answer for those who speak HTTP without TLS. Browsers show it.
pub(super) const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 59\r\nConnection: close\r\n\r\nthis port is for TLS: begin the URL with https:// or wss://"
    .as_slice();

/// Returns true if bytes are the beginning of a request without TLS: the first letter of a method.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

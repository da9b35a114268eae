use async_tungstenite::tungstenite::handshake::derive_accept_key;
use hyper::{
    Request, Response, StatusCode, Version,
    body::Bytes,
    header::{
        CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

use crate::requests::{Body, lists};

/// Returns the answer to a `GET` request with which a connection becomes a WebSocket (RFC 6455, section 4.2).
///
/// # Errors
/// Says what the request lacks.
pub(super) fn shake_hands<T>(request: &Request<T>) -> Result<Response<Body>, &'static str> {
    let headers = request.headers();
    let has = |name, element| lists(headers, &name, element);
    if request.version() < Version::HTTP_11 {
        return Err("it is older than HTTP/1.1");
    }
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        return Err("it does not ask for an upgrade to a WebSocket");
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err("its version of WebSockets is not 13");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_key(key) {
        return Err("its key is not 16 bytes in Base64");
    }
    let accepted = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| "its key has no answer")?;
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
    Ok(response)
}

/// Returns whether a key is 16 bytes in Base64: 22 digits, the last of which has two bits, and two signs to fill up.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    match key.strip_suffix(b"==") {
        Some([digits @ .., b'A' | b'Q' | b'g' | b'w']) => digits.len() == 21 && digits.iter().all(is_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes() {
        for key in ["dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+w=="] {
            assert!(is_key(key.as_bytes()), "{key}");
        }
        for key in [
            "",
            "==",
            "AAAAAAAAAAAAAAAAAAAAAB==",
            "AAAAAAAAAAAAAAAAAAAAAAA=",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAA-A==",
            "AAAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert!(!is_key(key.as_bytes()), "{key}");
        }
    }
}

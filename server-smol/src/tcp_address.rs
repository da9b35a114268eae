use std::net::{Ipv4Addr, SocketAddr};

/// Reads an IP address and a port: `127.0.0.1:80`, `[::1]:80` or `localhost:80`.
pub(crate) fn tcp_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

use std::net::{SocketAddr, ToSocketAddrs as _};

use anyhow::{Context as _, Result, bail, ensure};

/// The address of the rooms: `ws://host:port/path`, with the room's number for `{room}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    authority: String,
    path: String,
}

const ROOM: &str = "{room}";

impl Target {
    /// Reads an address.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix("ws://") else {
            if text.starts_with("wss://") {
                bail!("TLS is not supported: measure the server behind the proxy, at ws://…");
            }
            bail!("is not a WebSocket address, such as ws://127.0.0.1:8080/ws/{ROOM}");
        };
        // The address must not contain characters that end a request.
        ensure!(
            text.bytes().all(|byte| byte.is_ascii_graphic()),
            "has characters that are not for addresses"
        );
        ensure!(!text.contains('#'), "has a fragment, which WebSocket addresses have not");
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        ensure!(!authority.is_empty(), "has no host");
        ensure!(!authority.contains(['@', '{']), "has more than a host and a port before the path");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { authority: authority.to_owned(), path })
    }

    /// Returns the address as it was given.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}{}", self.authority, self.path)
    }

    /// Checks that this number of rooms have different addresses.
    pub(crate) fn expect_rooms(&self, rooms: usize) -> Result<()> {
        ensure!(
            rooms == 1 || self.path.contains(ROOM),
            "{rooms} rooms need {ROOM} in the address, such as ws://{}/ws/{ROOM}",
            self.authority
        );
        Ok(())
    }

    /// Resolves the host's address.
    pub(crate) fn resolve(&self) -> Result<SocketAddr> {
        // A colon within brackets is a part of the host.
        let port = self.authority.rfind(':').filter(|colon| !self.authority[*colon..].contains(']'));
        let found = match port {
            Some(_) => self.authority.to_socket_addrs(),
            None => format!("{}:80", self.authority).to_socket_addrs(),
        };
        let mut found = found.with_context(|| format!("cannot find `{}`", self.authority))?;
        found.next().with_context(|| format!("`{}` has no address", self.authority))
    }

    /// Returns the request that opens a WebSocket to a room.
    ///
    /// The key is the one in RFC 6455, section 1.3. It should be different each time, because of caches
    /// between a browser and its server. There are no caches here, and with a fixed key the answer is known.
    pub(crate) fn request(&self, room: usize) -> String {
        let path = self.path.replace(ROOM, &room.to_string());
        format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            self.authority
        )
    }
}

/// The `Sec-WebSocket-Accept` that a server must answer to [`Target::request`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_host_port_and_path() {
        for (text, host, path) in [
            ("ws://127.0.0.1:8080/ws/{room}", "127.0.0.1:8080", "/ws/7"),
            ("ws://example.org", "example.org", "/"),
            ("ws://[::1]:80/a/{room}?b={room}", "[::1]:80", "/a/7?b=7"),
            ("ws://here?room={room}", "here", "/?room=7"),
        ] {
            let request = Target::read(text).unwrap().request(7);
            assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n")), "{request}");
        }
    }

    #[test]
    fn hosts_are_found_with_and_without_a_port() {
        for (text, address) in [
            ("ws://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("ws://127.0.0.1", "127.0.0.1:80"),
            ("ws://[::1]", "[::1]:80"),
            ("ws://[::1]:81", "[::1]:81"),
        ] {
            assert_eq!(Target::read(text).unwrap().resolve().unwrap(), address.parse().unwrap());
        }
        assert!(Target::read("ws://127.0.0.1:port").unwrap().resolve().is_err());
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for text in [
            "",
            "http://here",
            "wss://here",
            "ws://",
            "ws:///path",
            "ws://here/a b",
            "ws://here/\r\nX: y",
            "ws://a@here",
            "ws://here/#a",
            "ws://{room}/",
        ] {
            assert!(Target::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn several_rooms_need_addresses_of_their_own() {
        let one = Target::read("ws://here/ws").unwrap();
        assert!(one.expect_rooms(1).is_ok());
        assert!(one.expect_rooms(2).unwrap_err().to_string().contains("{room}"));
        assert!(Target::read("ws://here/{room}").unwrap().expect_rooms(2).is_ok());
    }
}

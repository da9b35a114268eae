//! Asks a server with HTTP, once on a connection.

use std::io::{Read, Write};

use anyhow::{Context as _, Result};

/// A connection to a server.
pub(crate) trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

/// The answer of a server.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines before the content.
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns the first line.
    #[cfg(feature = "dev")]
    pub(crate) fn status_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Returns the path of the next page, if there is one.
    #[cfg(feature = "rooms")]
    pub(crate) fn next_page(&self) -> Option<&str> {
        let link = |line: &'_ str| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("link:"));
        let line = self.head.lines().find(|line| link(line))?;
        Some(line.split_once('<')?.1.split_once('>')?.0)
    }
}

/// Sends a request, and returns the answer. It `accepts` an answer of this type.
pub(crate) fn ask(
    connection: &mut dyn Connection,
    method: &str,
    host: &str,
    path: &str,
    accepts: &str,
    content: &[u8],
) -> Result<Answer> {
    // With HTTP/1.0 the end of the connection is the end of the answer.
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAccept: {accepts}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    // A server that refuses the content may answer before it has all of it.
    let sent = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(content));
    let mut answer = Vec::new();
    let received = connection.read_to_end(&mut answer);
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        sent?;
        received?;
        anyhow::bail!("it does not answer");
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_off(end + 4);
    received?;
    Ok(Answer { status: status.context("this is no HTTP server")?, head, body })
}

/// Returns a room's id as a part of a path.
pub(crate) fn encoded(room: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    room.bytes().map(encode).collect()
}

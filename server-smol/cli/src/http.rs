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
    /// Returns the size of the whole content, if the server says it.
    fn content_length(&self) -> Option<usize> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let (_, size) = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
        size.trim().parse().ok()
    }

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

/// A request. With HTTP/1.0 the end of the connection is the end of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// The type of the answer.
    pub(crate) accepts: &'a str,
    /// More headers, as whole lines.
    pub(crate) headers: &'a str,
    pub(crate) content: &'a [u8],
}

impl Request<'_> {
    /// Returns what comes before the content.
    pub(crate) fn head(&self) -> String {
        let Self { method, host, path, accepts, headers, content } = self;
        format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAccept: {accepts}\r\n{headers}Content-Length: {}\r\n\r\n",
            content.len()
        )
    }
}

/// Sends a request, and returns the answer.
pub(crate) fn ask(connection: &mut dyn Connection, request: Request<'_>) -> Result<Answer> {
    let (head, content) = (request.head(), request.content);
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
    let answer = Answer { status: status.context("this is no HTTP server")?, head, body };
    let came = answer.body.len();
    match answer.content_length() {
        Some(size) if came < size => {
            anyhow::bail!("the answer has {size} bytes, and the connection ended after {came} of them")
        }
        _ => Ok(answer),
    }
}

/// Returns a room's id as a part of a path.
pub(crate) fn encoded(room: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    room.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A connection on which this answer comes.
    struct Canned(Cursor<&'static [u8]>);

    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn answer(text: &'static str) -> Result<Answer> {
        let request = Request {
            method: "GET",
            host: "localhost",
            path: "/",
            accepts: "*/*",
            headers: "",
            content: &[],
        };
        ask(&mut Canned(Cursor::new(text.as_bytes())), request)
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        let whole = answer("HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nroom").unwrap();
        assert_eq!((whole.status, &whole.body[..]), (200, &b"room"[..]));
        let error = answer("HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nroo").err().unwrap();
        assert_eq!(error.to_string(), "the answer has 4 bytes, and the connection ended after 3 of them");
        assert!(answer("HTTP/1.0 200 OK\r\n\r\nroo").is_ok());
    }
}

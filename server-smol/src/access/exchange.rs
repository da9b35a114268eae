//! Asks a server with HTTP/1.1, once on a connection, on a thread that may wait. A client of hyper would be compiled for its own type of connection
//! and take more space than this does (`docs/decisions/0057-access.md`).

use std::{
    io::{self, Read, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

/// The time for the whole exchange.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer, in bytes.
const MOST: u64 = 16 << 10;

/// The answer of a server.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Vec<u8>,
}

/// Sends a request, and returns the answer.
///
/// # Errors
/// The server does not answer in time, or it answers with something else, or with too much.
pub(super) fn exchange(host: &str, port: u16, request: &[u8]) -> io::Result<Answer> {
    let end = Instant::now() + TIMEOUT;
    let left = || match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut connected = Err(io::Error::from(io::ErrorKind::NotFound));
    for address in (host, port).to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, left()?);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(request)?;
    let mut received = Vec::new();
    loop {
        if let Some(answer) = read(&received, false)? {
            return Ok(answer);
        }
        if received.len() as u64 >= MOST {
            return Err(io::Error::other("the answer is too long"));
        }
        stream.set_read_timeout(Some(left()?))?;
        // By pieces, so that a server that answers one byte at a time has no more time than others.
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => return read(&received, true)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => received.extend(&piece[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads an answer. Returns `None` if it is not whole. Only the content of a good one (2xx) is read, as others may have a long page.
fn read(mut received: &[u8], is_end: bool) -> io::Result<Option<Answer>> {
    let broken = || io::Error::other("the answer is not HTTP");
    let mut headers;
    let (head, status) = loop {
        headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(size) = head.parse(received).map_err(|_| broken())? else {
            return Ok(None);
        };
        received = &received[size..];
        match head.code.ok_or_else(broken)? {
            // The answer comes behind these (RFC 9110, section 15.2). A server does not change the protocol by itself.
            100 | 102..=199 => {}
            status => break (head, status),
        }
    };
    let content = received;
    let header = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value)
    };
    let whole = match (header("transfer-encoding"), header("content-length")) {
        _ if status == 204 || !(200..300).contains(&status) => Some(Vec::new()),
        (Some(encoding), _) if encoding.eq_ignore_ascii_case(b"chunked") => {
            unchunk(content).map_err(|()| broken())?
        }
        (Some(_), _) => return Err(broken()),
        (None, Some(length)) => {
            let length = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            let length: usize = length.ok_or_else(broken)?;
            content.get(..length).map(<[u8]>::to_vec)
        }
        (None, None) => is_end.then(|| content.to_vec()),
    };
    Ok(whole.map(|content| Answer { status, content }))
}

/// Returns the content of chunks, if all of them are there.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, ()> {
    let mut content = Vec::new();
    loop {
        let httparse::Status::Complete((begin, size)) = httparse::parse_chunk_size(rest).map_err(|_| ())?
        else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(content));
        }
        let Some(end) = usize::try_from(size).ok().and_then(|size| begin.checked_add(size)) else {
            return Err(());
        };
        let Some(chunk) = rest.get(begin..end) else { return Ok(None) };
        content.extend(chunk);
        rest = match rest.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => &rest[end + 2..],
            Some(_) => return Err(()),
            None => return Ok(None),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(received: &str, is_end: bool) -> Option<(u16, String)> {
        let answer = read(received.as_bytes(), is_end).unwrap()?;
        Some((answer.status, String::from_utf8(answer.content).unwrap()))
    }

    #[test]
    fn an_answer_is_whole_at_its_end_and_not_before() {
        for (received, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", "{}"),
            ("HTTP/1.0 200 OK\r\n\r\n{}", "{}"),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 20000\r\n\r\n", ""),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                "{}",
            ),
        ] {
            assert_eq!(content(received, true).unwrap().1, expected, "{received}");
            let shorter = &received[..received.len() - 3];
            assert_eq!(content(shorter, false), None, "{shorter}");
        }
        assert_eq!(content("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", true), None);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for received in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ] {
            assert!(read(received.as_bytes(), false).is_err(), "{received}");
        }
    }
}

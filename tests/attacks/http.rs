use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use stateroom_tests::dial;

/// A response, as far as an attacker is interested.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Returns the request that opens a WebSocket in a room.
pub(crate) fn upgrade(room: &str) -> String {
    format!(
        "GET /ws/{room} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// Returns a request without content.
pub(crate) fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
}

/// Returns a request after whose answer the server ends the connection.
pub(crate) fn last_request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Sends a request from an address of this machine, and waits for the answer for so long.
pub(crate) fn ask(
    to: SocketAddr,
    from: Ipv4Addr,
    method: &str,
    path: &str,
    patience: Duration,
) -> io::Result<Answer> {
    let deadline = Instant::now() + patience;
    let mut socket = connect(to, from, deadline)?;
    socket.write_all(last_request(method, path).as_bytes())?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        wait(&socket, PollFlags::IN, deadline)?;
        match socket.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.ok_or(io::ErrorKind::InvalidData)?, body: body.to_owned() })
}

/// Opens a WebSocket in a room within so long. What comes behind the answer is returned, too.
pub(crate) fn join(
    to: SocketAddr,
    from: Ipv4Addr,
    room: &str,
    patience: Duration,
) -> io::Result<(TcpStream, Vec<u8>)> {
    let deadline = Instant::now() + patience;
    let mut socket = connect(to, from, deadline)?;
    socket.write_all(upgrade(room).as_bytes())?;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        wait(&socket, PollFlags::IN, deadline)?;
        match socket.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes.extend(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if !bytes.starts_with(b"HTTP/1.1 101 ") {
            let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
            return Err(io::Error::other(line));
        }
        return Ok((socket, bytes.split_off(end + 4)));
    }
}

fn connect(to: SocketAddr, from: Ipv4Addr, deadline: Instant) -> io::Result<TcpStream> {
    let socket = dial(to, from, None)?;
    wait(&socket, PollFlags::OUT, deadline)?;
    socket.take_error()?.map_or(Ok(socket), Err)
}

/// Waits until a socket is ready; an error where it is not before `deadline`.
fn wait(socket: &TcpStream, what: PollFlags, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, what)], Some(&left))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

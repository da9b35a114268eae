use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::Instant,
};

use anyhow::{Context as _, Error, Result, anyhow, bail};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with},
};

use crate::{
    connection::Connection,
    poller::{Interest, Poller, is_not_ready},
    target::{ACCEPT, Target},
};

/// A connection that is being made: TCP, then HTTP, then it is a WebSocket.
#[derive(Debug)]
pub(crate) struct Opening {
    socket: TcpStream,
    token: usize,
    request: Vec<u8>,
    sent: usize,
    answer: Vec<u8>,
    began: Instant,
}

/// The state of the opening.
#[derive(Debug)]
pub(crate) enum OpeningState {
    Opening(Opening),
    Open(Connection),
}

/// An address has some 28,000 ports for connections to the same server. With this machine there are other
/// addresses to go on with, and so it is done long before the last port is taken: when half of them are,
/// Linux looks at thousands for each connection that it makes.
const PER_ADDRESS: usize = 10_000;
/// The maximum size of the answer before a connection is a WebSocket.
const MOST_ANSWER: usize = 64 << 10;

impl Opening {
    /// Begins the connection with this number, to a room.
    pub(crate) fn begin(
        target: &Target,
        address: SocketAddr,
        number: usize,
        room: usize,
        poller: &Poller,
        token: usize,
    ) -> Result<Self> {
        let began = Instant::now();
        let socket = begin(address, number).map_err(|error| explained(&error, address))?;
        poller.add(&socket, token, Interest::Write)?;
        let request = target.request(room).into_bytes();
        Ok(Self { socket, token, request, sent: 0, answer: Vec::new(), began })
    }

    /// Returns the time at which it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Continues when the socket is ready.
    pub(crate) fn advance(mut self, address: SocketAddr, poller: &Poller) -> Result<OpeningState> {
        let step = |error: io::Error| explained(&error, address);
        if let Some(error) = self.socket.take_error()? {
            return Err(step(error));
        }
        if self.sent < self.request.len() {
            match self.socket.write(&self.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if is_not_ready(&error) => {}
                Err(error) => return Err(step(error)),
            }
            if self.sent == self.request.len() {
                poller.change(&self.socket, self.token, Interest::Read)?;
            }
            return Ok(OpeningState::Opening(self));
        }
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) if self.answer.is_empty() => bail!("{address} takes the connection and closes it"),
            Ok(0) => bail!("{address} is no WebSocket server: it answered {}", first_line(&self.answer)),
            Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
            Err(error) if is_not_ready(&error) => {}
            Err(error) => return Err(step(error)),
        }
        let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            let begin = &self.answer[..self.answer.len().min(5)];
            if !b"HTTP/".starts_with(begin) || self.answer.len() > MOST_ANSWER {
                bail!("{address} does not speak HTTP: it answered {}", first_line(&self.answer));
            }
            return Ok(OpeningState::Opening(self));
        };
        check(&self.answer[..end], address)?;
        // The bytes after the answer belong to the connection.
        self.answer.drain(..end + 4);
        Ok(OpeningState::Open(Connection::new(self.socket, self.token, self.answer)))
    }
}

fn begin(address: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if let (IpAddr::V4(ip), place @ 1..) = (address.ip(), number / PER_ADDRESS % 250)
        && ip.is_loopback()
    {
        bind(&socket, &SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + place as u8), 0)))?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = TcpStream::from(socket);
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Returns an error with the system's message and with advice.
fn explained(error: &io::Error, address: SocketAddr) -> Error {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => anyhow!("nothing listens at {address} (connection refused)"),
        Some(Errno::MFILE) => anyhow!("too many open files: raise the limit with `ulimit -n`"),
        Some(Errno::NFILE) => anyhow!("too many open files in the whole system: raise `sysctl fs.file-max`"),
        Some(Errno::ADDRNOTAVAIL) => anyhow!(
            "all ports for connections to {address} are taken: wait a minute, or widen `sysctl net.ipv4.ip_local_port_range`"
        ),
        Some(Errno::CONNRESET) => anyhow!("{address} has reset the connection before it was a WebSocket"),
        Some(Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH) => {
            anyhow!("{address} does not answer")
        }
        _ => anyhow!("cannot connect to {address}: {error}"),
    }
}

/// Checks that an answer accepts the upgrade.
fn check(head: &[u8], address: SocketAddr) -> Result<()> {
    let head = str::from_utf8(head).with_context(|| format!("{address} does not answer in HTTP"))?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        let hint = match status.split(' ').nth(1) {
            Some("404") => "; is the path right?",
            Some("503") => "; it may have as many connections as it takes",
            Some("301" | "302" | "307" | "308") => "; is the address right?",
            _ => "",
        };
        bail!("{address} does not open a WebSocket: it answered `{status}`{hint}");
    }
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    let accept = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-accept"));
    if accept.map(|(_, value)| value.trim()) != Some(ACCEPT) {
        bail!("{address} does not open a WebSocket: it answered `{status}` without the key's hash");
    }
    Ok(())
}

/// Returns the beginning of an answer, for an error message.
fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(100)]);
    format!("`{}`", line.trim_end())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn connections_beyond_the_ports_of_an_address_come_from_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        for (number, last) in [(0, 1), (PER_ADDRESS - 1, 1), (PER_ADDRESS, 2), (PER_ADDRESS * 249, 250)] {
            let _socket = begin(address, number).unwrap();
            assert_eq!(listener.accept().unwrap().1.ip(), IpAddr::from([127, 0, 0, last]));
        }
    }

    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

    #[test]
    fn an_upgrade_has_the_hash_of_the_key() {
        let good = format!("HTTP/1.1 101 Whatever\r\nUpgrade: websocket\r\nsec-webSocket-ACCEPT:  {ACCEPT}");
        assert!(check(good.as_bytes(), HERE).is_ok());
        for (answer, part) in [
            ("HTTP/1.1 101 Switching Protocols", "without the key's hash"),
            ("HTTP/1.1 101 a\r\nSec-WebSocket-Accept: x", "without the key's hash"),
            ("HTTP/1.1 404 Not Found\r\na: b", "`HTTP/1.1 404 Not Found`; is the path right?"),
            ("HTTP/1.1 503 Service Unavailable", "as many connections"),
            ("HTTP/1.1", "`HTTP/1.1`"),
        ] {
            let error = check(answer.as_bytes(), HERE).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

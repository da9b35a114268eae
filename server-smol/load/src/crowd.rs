use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    connection::{Close, Connection, Filled},
    opening::{Opening, OpeningState},
    poller::Poller,
    target::Target,
};

/// The number of connections that are opened at a time: fewer than wait in a server's queue.
const AT_A_TIME: usize = 100;

/// Open connections, and what they are waited for with.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) connections: Vec<Connection>,
    pub(crate) poller: Poller,
    /// The buffer that all of them read into.
    pub(crate) buffer: Vec<u8>,
    /// The connections that are ready. The list is used again.
    ready: Vec<usize>,
}

impl Crowd {
    /// Opens `count` connections, each to the room that `room` returns. Connections that are open answer
    /// pings meanwhile, and ignore all other messages.
    pub(crate) fn open(
        target: &Target,
        count: usize,
        patience: Duration,
        room: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let address = target.resolve()?;
        let mut crowd = Self {
            connections: Vec::with_capacity(count),
            poller: Poller::new()?,
            buffer: Vec::new(),
            ready: Vec::new(),
        };
        let mut opening = Vec::new();
        opening.resize_with(count, || None);
        let mut open = Vec::new();
        open.resize_with(count, || None);
        let (mut begun, mut done, mut failed) = (0, 0, 0);
        let mut error = None;
        let mut deadline = Instant::now() + patience;
        while done < count {
            while error.is_none() && begun < count && begun - done < AT_A_TIME {
                let next = Opening::begin(target, address, begun, room(begun), &crowd.poller, begun);
                opening[begun] = Some(next.with_context(|| reached(done, count))?);
                begun += 1;
            }
            // The connections that have begun are finished, so that the error can tell how many were
            // accepted.
            if begun == done + failed
                && let Some(error) = error
            {
                return Err(error).with_context(|| reached(done, count));
            }
            crowd.poller.wait(deadline, &mut crowd.ready)?;
            let mut is_going_on = false;
            for &token in &crowd.ready {
                let Some(one) = opening[token].take() else {
                    // Opening them all may take longer than a server waits for an answer to its pings.
                    let Some(connection) = &mut open[token] else { continue };
                    if let Err(first) = attend(connection, token, &mut crowd.buffer, &crowd.poller) {
                        open[token] = None;
                        done -= 1;
                        failed += 1;
                        error.get_or_insert(first);
                    }
                    continue;
                };
                is_going_on = true;
                let progress = one.advance(address, &crowd.poller).and_then(|mut progress| {
                    if let OpeningState::Open(connection) = &mut progress {
                        let close = connection.hear_rest()?;
                        go_on(connection, token, close, &crowd.poller)?;
                    }
                    Ok(progress)
                });
                match progress {
                    Ok(OpeningState::Opening(one)) => opening[token] = Some(one),
                    Ok(OpeningState::Open(connection)) => {
                        open[token] = Some(connection);
                        done += 1;
                        deadline = Instant::now() + patience;
                    }
                    Err(first) => {
                        failed += 1;
                        error.get_or_insert(first);
                    }
                }
            }
            if !is_going_on && Instant::now() >= deadline {
                let error = Err(error.unwrap_or_else(|| unanswered(address, patience)));
                return error.with_context(|| reached(done, count));
            }
        }
        crowd.connections.extend(open.into_iter().flatten());
        Ok(crowd)
    }

    /// Waits until connections are ready or `deadline` is over. Returns the ready ones. The caller must
    /// return the list.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Result<Vec<usize>> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poller.wait(deadline, &mut ready)?;
        Ok(ready)
    }

    /// Takes the list of [`wait`](Self::wait) back.
    pub(crate) fn keep(&mut self, ready: Vec<usize>) {
        self.ready = ready;
    }

    /// Answers pings until `deadline`, and ignores everything else. A connection that ends is an error.
    pub(crate) fn hold(&mut self, deadline: Instant) -> Result<()> {
        while Instant::now() < deadline {
            let ready = self.wait(deadline)?;
            for &token in &ready {
                attend(&mut self.connections[token], token, &mut self.buffer, &self.poller)?;
            }
            self.keep(ready);
        }
        Ok(())
    }

    /// Closes all connections. Hands out what the server still sends until they have ended or `deadline` is
    /// over. It does not matter any more how they end.
    pub(crate) fn leave(&mut self, deadline: Instant, mut message: impl FnMut(usize, &[u8])) -> Result<()> {
        let mut left = 0;
        for connection in &mut self.connections {
            connection.queue_close();
            let _ = connection.flush(&self.poller);
        }
        let mut gone = vec![false; self.connections.len()];
        while left < gone.len() && Instant::now() < deadline {
            let ready = self.wait(deadline)?;
            for &token in &ready {
                let connection = &mut self.connections[token];
                let has_ended = match connection.fill(&mut self.buffer) {
                    Filled::Nothing => connection.flush(&self.poller).is_err(),
                    Filled::End => true,
                    Filled::Bytes(count) => connection
                        .hear(&self.buffer[..count], |bytes| message(token, bytes))
                        .is_ok_and(|close| close.is_some()),
                };
                if has_ended && !gone[token] {
                    gone[token] = true;
                    left += 1;
                    // Otherwise the poller would report it again and again.
                    self.poller.remove(connection.socket())?;
                    connection.hang_up();
                }
            }
            self.keep(ready);
        }
        Ok(())
    }
}

/// Reads a connection once and answers pings. Other messages are ignored. If the connection has ended, this
/// is an error.
fn attend(connection: &mut Connection, token: usize, buffer: &mut Vec<u8>, poller: &Poller) -> Result<()> {
    let close = match connection.fill(buffer) {
        Filled::Nothing => None,
        Filled::End => Some(Close::ABNORMAL),
        Filled::Bytes(count) => connection.hear(&buffer[..count], |_| {})?,
    };
    go_on(connection, token, close, poller)
}

/// Answers the received pings, if the server has not closed the connection.
fn go_on(connection: &mut Connection, token: usize, close: Option<Close>, poller: &Poller) -> Result<()> {
    match close {
        Some(close) => bail!("the server has closed connection {token} ({close})"),
        None => Ok(connection.flush(poller)?),
    }
}

/// Returns a text that says how many connections were open when something went wrong.
fn reached(done: usize, count: usize) -> String {
    match (done, count) {
        (0, _) => "cannot connect".to_owned(),
        _ => format!("{done} of {count} connections are open, and no more"),
    }
}

/// Returns the error for a server that does not answer.
pub(crate) fn unanswered(address: SocketAddr, patience: Duration) -> anyhow::Error {
    anyhow::anyhow!(
        "{address} has not answered for {} s; it may not let in more, or have no open files left (`ulimit -n`)",
        patience.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::{TcpListener, TcpStream},
        thread,
    };

    use super::*;
    use crate::target::ACCEPT;

    /// Opens two connections to a server that does this with the first before it answers the second.
    fn open_two(meanwhile: fn(&mut TcpStream)) -> Result<Crowd> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::read(&format!("ws://{}/", listener.local_addr().unwrap())).unwrap();
        let server = thread::spawn(move || {
            let accept = || {
                let mut socket = listener.accept().unwrap().0;
                let (mut request, mut byte) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") {
                    socket.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                write!(socket, "HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n").unwrap();
                socket
            };
            let mut first = accept();
            meanwhile(&mut first);
            (first, accept())
        });
        let crowd = Crowd::open(&target, 2, Duration::from_secs(5), |_| 0)?;
        server.join().unwrap();
        Ok(crowd)
    }

    #[test]
    fn pings_are_answered_while_others_are_opened() {
        let crowd = open_two(|first| {
            // The first ping comes with the answer, or not.
            for content in [b'p', b'q'] {
                first.write_all(&[b"\x81\x02hi\x89\x01", &[content][..]].concat()).unwrap();
                let mut pong = [0; 7];
                first.read_exact(&mut pong).unwrap();
                assert_eq!((&pong[..2], pong[6] ^ pong[2]), (&[0x8a, 0x81][..], content));
            }
        });
        assert_eq!(crowd.unwrap().connections.len(), 2);
    }

    #[test]
    fn a_connection_that_ends_while_others_are_opened_is_an_error() {
        let error = open_two(|first| first.write_all(b"\x88\x02\x03\xe9").unwrap()).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("the server has closed connection 0 (code 1001)"), "{error}");
        assert!(error.starts_with("1 of 2 connections are open"), "{error}");
    }
}

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    rc::Rc,
    time::Duration,
};

use smol::future::or;

use crate::{
    close::CloseReason,
    reactor::{Stream, Timer},
    wire::Buffers,
};

/// The maximum number of connections of a thread that are being refused at a time. Others are closed without an
/// answer.
const MOST: usize = 32;

/// The time that a connection has to ask for something, and to take the answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum number of bytes of its request that are read before it is closed.
const LONGEST: usize = 64 << 10;

/// The time after which a client that is refused may try again, in seconds.
pub(super) const LATER: u64 = 5;

/// Why a connection is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Why {
    /// The status of the answer, with its words.
    status: &'static str,
    /// A sentence for the client.
    pub(super) words: &'static str,
    /// Its name in the metrics.
    pub(super) label: &'static str,
    /// The limit, as the log names it.
    pub(super) limit: &'static str,
}

const UNAVAILABLE: &str = "503 Service Unavailable";

pub(super) const OF_ADDRESS: Why = Why {
    status: "429 Too Many Requests",
    words: "there are as many connections from your address as there may be",
    label: "connections_of_address",
    limit: "there are as many connections from one address as there may be (`--max-connections-per-address`)",
};

pub(super) const CONNECTIONS: Why = Why {
    status: UNAVAILABLE,
    words: "the server has no space for another client",
    label: "connections",
    limit: "there are as many connections as there may be (`--max-connections`)",
};

pub(super) const FILES: Why = Why {
    label: "open_files",
    limit: "the process has as many open files as it may have (`ulimit -n`)",
    ..CONNECTIONS
};

impl Why {
    /// Returns that there is no memory.
    pub(super) fn out_of_memory() -> Self {
        let reason = CloseReason::OutOfMemory;
        let limit = reason.limit().unwrap_or_default();
        let words = "the server is out of memory; come again later";
        Self { status: UNAVAILABLE, words, label: reason.label(), limit }
    }
}

/// The refusals of a thread that are going on: each holds a clone.
#[derive(Debug, Default)]
pub(super) struct Refusals(Rc<()>);

impl Refusals {
    /// Answers a connection that there is no space for, whatever it asks, without looking at the request and
    /// without taking memory. Returns nothing if too many others are being answered: then the connection is closed.
    pub(super) fn refuse(
        &self,
        stream: Stream,
        buffers: Rc<Buffers>,
        why: Why,
    ) -> Option<impl Future<Output = ()> + 'static> {
        let going_on = Rc::clone(&self.0);
        (Rc::strong_count(&self.0) <= MOST + 1).then_some(async move {
            let patience = async {
                Timer::after(TIMEOUT).await;
                Ok(())
            };
            // It is gone then, or has been told.
            _ = or(answer(&stream, &buffers, why), patience).await;
            drop(going_on);
        })
    }
}

async fn answer(stream: &Stream, buffers: &Buffers, why: Why) -> io::Result<()> {
    let mut read = discard(stream, buffers).await?;
    let Why { status, words, .. } = why;
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Retry-After: {LATER}\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Retry-After\r\n\
         Connection: close\r\n\r\n{words}",
        words.len()
    );
    // A new connection takes as much as that at once.
    stream.try_write(&[IoSlice::new(answer.as_bytes())])?;
    stream.flush()?;
    stream.end_writing()?;
    // Closing a socket with unread bytes resets the connection, and then the client may never see the answer.
    while read < LONGEST {
        match discard(stream, buffers).await? {
            0 => break,
            more => read += more,
        }
    }
    Ok(())
}

async fn discard(stream: &Stream, buffers: &Buffers) -> io::Result<usize> {
    let read = || stream.try_read(&mut buffers.input());
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poll_fn(|cx| stream.poll_readable(cx)).await;
            }
            read => return read,
        }
    }
}

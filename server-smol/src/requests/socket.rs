use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::{
    Request,
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
};

use crate::{reactor::Stream, wire::Buffers};

/// Hears what happens to a connection: whoever counts what the peer sends and takes.
pub(crate) trait Peer {
    /// Charges the connection for bytes that have come of a request.
    ///
    /// # Errors
    /// There is no memory for them ([`io::ErrorKind::OutOfMemory`]).
    fn charge_read(&self, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    /// Notes a request that has come whole, but for its content.
    fn note_request(&self, _request: &Request<Incoming>) {}

    /// Notes that the library is about to read. While it has a request without content, it does so only if it has nothing left of
    /// what it has read beyond that.
    fn note_reading(&self) {}

    /// Ready unless the peer waits for an answer and need not write any more to get it.
    fn poll_answered(&self, _cx: &Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Notes whether the system has not taken what was written last.
    fn set_blocked(&self, _is_blocked: bool) {}

    /// Notes that the peer has been given something.
    fn note_alive(&self) {}

    /// Returns whether the peer has taken nothing for long.
    fn is_overdue(&self) -> bool {
        false
    }
}

/// A connection as the HTTP library wants it.
pub(crate) struct Socket {
    pub(crate) stream: Stream,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) peer: Rc<dyn Peer>,
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.peer.note_reading();
        let mut input = self.buffers.input();
        let size = buffer.remaining().min(input.len());
        loop {
            match self.stream.try_read(&mut input[..size]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_readable(cx));
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(size) => {
                    // The peer may have closed its half of the connection, and still read. The library would take that for the end
                    // of both.
                    if size == 0 {
                        ready!(self.peer.poll_answered(cx));
                    }
                    self.peer.charge_read(size)?;
                    buffer.put_slice(&input[..size]);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Returns true: the library passes its pieces on as they are, and does not copy them into a buffer of its own.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // There are news only when a third of what the system keeps for a connection is free again, which may be a
        // megabyte, and takes a slow client longer than anybody waits for it.
        if self.peer.is_overdue() {
            self.stream.assume_writable();
        }
        loop {
            match self.stream.try_write(pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.peer.set_blocked(true);
                    ready!(self.stream.poll_writable(cx));
                }
                written => {
                    self.peer.set_blocked(false);
                    self.peer.note_alive();
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flushed(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flushed(cx))?;
        Poll::Ready(self.stream.end_writing())
    }
}

impl Socket {
    /// Ready when the system has taken all that was written.
    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.peer.set_blocked(true);
                    ready!(self.stream.poll_writable(cx));
                }
                flushed => {
                    self.peer.set_blocked(false);
                    return Poll::Ready(flushed);
                }
            }
        }
    }
}

// The peer's own would be in each binary, whether anything prints it or not: it is called through a table.
impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("stream", &self.stream).finish_non_exhaustive()
    }
}

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::{reactor::Stream, wire::Buffers};

use super::peer::Peer;

/// A connection as the HTTP library wants it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Stream,
    pub(super) buffers: Rc<Buffers>,
    pub(super) peer: Rc<Peer>,
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut input = self.buffers.input();
        let size = buffer.remaining().min(input.len());
        loop {
            match self.stream.try_read(&mut input[..size]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_readable(cx));
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(size) => {
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

    /// The library keeps what it writes in pieces then, as they are, and copies none of them into a buffer of its own.
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

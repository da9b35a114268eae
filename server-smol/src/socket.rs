use std::{
    io,
    net::Shutdown,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use smol::io::{AsyncRead, AsyncWrite};

use crate::{reactor::Stream, turns::Turns};

/// After so many reads in a row others have their turn, however much there is to read.
///
/// It is counted here and not where messages are handled, because not everything that a client sends becomes a
/// message: pongs, empty fragments, what comes after a close frame.
const BURST: u32 = 16;

/// A client's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// How many reads are left before others have their turn.
    burst: u32,
    turns: Rc<Turns>,
}

impl Socket {
    pub(crate) fn new(stream: Stream, turns: Rc<Turns>) -> Self {
        Self { stream, burst: BURST, turns }
    }

    /// Says to the client that nothing more is going to come.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.stream.get_ref().shutdown(Shutdown::Write)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.burst == 0 {
            self.burst = BURST;
            self.turns.wake_later(cx);
            return Poll::Pending;
        }
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, bytes) else {
            self.burst = BURST;
            return Poll::Pending;
        };
        self.burst -= 1;
        Poll::Ready(read)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

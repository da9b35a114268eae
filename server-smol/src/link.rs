use std::{
    cell::Cell,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use smol::future::or;

use crate::{
    io::Io,
    outbox::Outbox,
    reactor::{Stream, Timer},
    turns::Turns,
    websocket::Close,
};

/// How long a client has to take its last messages and to answer the close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// A WebSocket: a client's stream, and what waits to be written to it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: Rc<Stream>,
    pub(crate) io: Rc<Io>,
    pub(crate) turns: Rc<Turns>,
    pub(crate) outbox: Rc<Outbox>,
    /// Whether others go first: the last read brought as much as it could, or what it brought takes longer than a turn.
    pub(crate) greedy: Cell<bool>,
}

/// What a client is told at the end.
#[derive(Debug)]
pub(crate) enum Farewell {
    /// Nothing: there is nobody who would hear it.
    None,
    /// A close frame, perhaps with a code.
    Close(Option<Close>),
}

impl From<Close> for Farewell {
    fn from(close: Close) -> Self {
        Self::Close(Some(close))
    }
}

impl Link {
    pub(crate) fn new(stream: Stream, io: Rc<Io>, turns: Rc<Turns>, outbox_size: usize) -> Self {
        let stream = Rc::new(stream);
        let outbox = Outbox::new(Rc::clone(&stream), Rc::clone(&io), outbox_size);
        Self { stream, io, turns, outbox, greedy: Cell::new(false) }
    }

    /// Reads what there is, at most so much.
    pub(crate) fn try_read(&self, input: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.try_read(input);
        self.greedy.set(matches!(read, Ok(size) if size == input.len()));
        read
    }

    /// Lets others go first, if it is their turn.
    pub(crate) fn poll_turn(&self, cx: &Context<'_>) -> Poll<()> {
        if self.greedy.take() {
            self.turns.wake_later(cx);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Ends the connection: writes what waits and the close frame, and waits for the client's, but not for
    /// long.
    pub(crate) async fn part(&self, farewell: Farewell) {
        let goodbye = async {
            if let Farewell::Close(close) = farewell {
                self.outbox.push_close(close.as_ref());
            }
            // A client that says nothing more may still listen.
            poll_fn(|cx| self.outbox.poll_written(cx)).await.ok()?;
            // Closing a socket with unread bytes resets the connection, and then the client may never see the
            // close frame.
            self.stream.end_writing().ok()?;
            while poll_fn(|cx| self.poll_read(cx)).await.ok()? > 0 {}
            Some(())
        };
        let patience = async {
            Timer::after(FAREWELL).await;
            None
        };
        // In this order: a client that talks on does not put its end off.
        or(patience, goodbye).await;
    }

    /// Reads, and throws away what it has read.
    fn poll_read(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        loop {
            match self.try_read(&mut self.io.input()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_readable(cx));
                }
                read => return Poll::Ready(read),
            }
        }
    }
}

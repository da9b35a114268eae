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
    close::CloseReason,
    log_line::{About, ConnectionId, debug_about},
    reactor::{Stream, Timer},
};

use super::{Buffers, Outbox};

/// The time that a client has to take its last messages and to answer the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A WebSocket: a client's stream, and what waits to be written to it.
#[derive(Debug)]
pub(crate) struct Socket {
    /// The id of the connection in the log.
    pub(crate) connection: ConnectionId,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) outbox: Rc<Outbox>,
    /// True if the last read brought as much as it could.
    was_full: Cell<bool>,
}

impl Socket {
    pub(crate) fn new(
        stream: Stream,
        connection: ConnectionId,
        buffers: Rc<Buffers>,
        outbox_size: usize,
    ) -> Self {
        let outbox = Outbox::new(stream, Rc::clone(&buffers), outbox_size);
        Self { connection, buffers, outbox, was_full: Cell::new(false) }
    }

    /// Returns the client's stream, which is the outbox's.
    pub(crate) fn stream(&self) -> &Stream {
        &self.outbox.stream
    }

    /// Reads what there is, at most so much.
    pub(crate) fn try_read(&self, input: &mut [u8]) -> io::Result<usize> {
        self.stream().try_read(input)
    }

    /// Closes gracefully: writes what waits and, if there is a reason to be told, the close frame, and waits for the
    /// client's, but not for long. The connection is closed then, whoever still holds the outbox.
    pub(crate) async fn close(&self, reason: Option<CloseReason>) {
        self.buffers.metrics.close(reason.as_ref().map_or("gone", CloseReason::label));
        if let Some(reason) = reason {
            self.outbox.push_close(&reason);
        }
        // The client has no part in how long the disk takes.
        poll_fn(|cx| self.outbox.poll_released(cx)).await;
        let goodbye = async {
            // A client that says nothing more may still listen.
            poll_fn(|cx| self.outbox.poll_written(cx)).await.ok()?;
            // Closing a socket with unread bytes resets the connection, and then the client may never see the
            // close frame.
            self.stream().end_writing().ok()?;
            self.stream().remove_listener();
            while poll_fn(|cx| self.poll_discard(cx)).await.ok()? > 0 {}
            Some(())
        };
        let patience = async {
            Timer::after(CLOSE_TIMEOUT).await;
            None
        };
        // In this order: a client that talks on does not put its end off.
        or(patience, goodbye).await;
        self.outbox.hang_up();
        debug_about!(About::connection(self.connection), "the connection has ended");
    }

    /// Reads, and throws away what it has read.
    fn poll_discard(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Others go first where there is a lot to read.
        if self.was_full.take() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let mut input = self.buffers.input();
            match self.try_read(&mut input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream().poll_readable(cx));
                }
                read => {
                    self.was_full.set(matches!(read, Ok(size) if size == input.len()));
                    return Poll::Ready(read);
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
        thread,
    };

    use super::*;
    use crate::{
        memory::Ledger,
        reactor::{Records, block_on},
        websocket::Opcode,
        wire::Frame,
    };

    fn is_written(outbox: &Rc<Outbox>) -> bool {
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        outbox.poll_written(cx).is_ready()
    }

    #[test]
    fn what_the_transport_holds_back_is_written_before_the_end() {
        let (server, mut client) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut fill = server.try_clone().unwrap();
        block_on(async {
            let stream = Stream::new(Box::new(Records::new(server))).unwrap();
            let socket =
                Socket::new(stream, ConnectionId::next(), Rc::new(Buffers::new(Ledger::new(1 << 20))), 1_000);
            while fill.write(&[0; 1_000]).is_ok() {}
            drop(fill);
            socket.outbox.push(&Frame::new(Opcode::Text, b"a"));
            socket.buffers.flush.flush_all();
            assert!(socket.outbox.is_empty(), "the transport has taken it");
            assert!(!is_written(&socket.outbox), "the system has not");
            let mut still_writing = client.try_clone().unwrap();
            let read = thread::spawn(move || {
                let mut bytes = Vec::new();
                client.read_to_end(&mut bytes).map(|_| bytes)
            });
            socket.close(None).await;
            // Elsewhere the descriptor is kept.
            assert!(
                still_writing.write(&[0]).is_err() || cfg!(not(epoll)),
                "it is closed before it is dropped"
            );
            drop(socket);
            let read = read.join().unwrap().unwrap();
            assert_eq!(read[read.len() - 5..], [0, 3, 0x81 ^ 0xa5, 1 ^ 0xa5, b'a' ^ 0xa5]);
        });
    }
}

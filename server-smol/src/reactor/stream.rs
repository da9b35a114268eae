use std::{
    cell::{Cell, RefCell},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use rustix::event::epoll::EventFlags;
use smol::io::{AsyncRead, AsyncWrite};

use super::epoll::Sockets;

/// A TCP connection of this thread.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    source: Rc<Source>,
    sockets: Rc<Sockets>,
}

/// What is known of a socket, and who waits for it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) key: usize,
    /// Whether it is worth trying to read: until a try has told otherwise.
    readable: Cell<bool>,
    /// Whether it is worth trying to write.
    writable: Cell<bool>,
    /// Whether nothing more comes than what has come: there will be no news of that.
    hung_up: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

impl Source {
    pub(super) fn new(key: usize) -> Self {
        Self {
            key,
            readable: Cell::new(true),
            writable: Cell::new(true),
            hung_up: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    /// Wakes whoever waits for what has happened.
    pub(super) fn wake(&self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(ended) {
            self.hung_up.set(true);
        }
        if flags.intersects(ended | EventFlags::IN) {
            self.readable.set(true);
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            self.writable.set(true);
            self.writer.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Stream {
    /// Takes over a connection that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        let sockets = Sockets::current();
        let source = sockets.add(&stream)?;
        Ok(Self { stream, source, sockets })
    }

    pub(crate) fn get_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.sockets.remove(&self.source);
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        let Self { stream, source, .. } = self.get_mut();
        let read = attempt(&source.readable, &source.reader, cx, || stream.read(bytes));
        // Less than there is room for is all that there is. What comes later is news, but for an end that has been
        // told of.
        if let Poll::Ready(Ok(size)) = read
            && size < bytes.len()
            && !source.hung_up.get()
        {
            source.readable.set(false);
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, source, .. } = self.get_mut();
        attempt(&source.writable, &source.writer, cx, || stream.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(std::net::Shutdown::Write))
    }
}

/// Tries something that may have to wait, if that is worth a system call.
fn attempt<T>(
    worth_it: &Cell<bool>,
    waiter: &RefCell<Option<Waker>>,
    cx: &Context<'_>,
    mut operation: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    while worth_it.get() {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => worth_it.set(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return Poll::Ready(result),
        }
    }
    let mut waiter = waiter.borrow_mut();
    if !waiter.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *waiter = Some(cx.waker().clone());
    }
    Poll::Pending
}

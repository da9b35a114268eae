use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, IoSlice},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use rustix::event::epoll::EventFlags;

use super::{AnyTransport, OnReadable, epoll::Sockets};

/// A connection of this thread.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: AnyTransport,
    watch: Watch,
}

/// The watch over a socket, which ends with it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) source: Rc<Source>,
    pub(super) sockets: Rc<Sockets>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.sockets.forget(&self.source);
    }
}

/// The state of a socket, and the tasks that wait for it.
pub(super) struct Source {
    pub(super) key: usize,
    /// True if a read may succeed: from the beginning, or after epoll has reported something, until an attempt finds
    /// nothing.
    readable: Cell<bool>,
    /// True if a write may succeed.
    writable: Cell<bool>,
    /// True if nothing more comes than what has come. Epoll does not report what is left to read then.
    hung_up: Cell<bool>,
    /// The listener that is called first when there is something to read.
    listener: RefCell<Option<Weak<dyn OnReadable>>>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

impl Source {
    pub(super) fn new(key: usize) -> Self {
        Self {
            key,
            readable: Cell::new(false),
            writable: Cell::new(true),
            hung_up: Cell::new(false),
            listener: RefCell::new(None),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    /// Tries to read, or to accept, if that is worth a system call.
    pub(super) fn attempt_read<T>(&self, operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        attempt(&self.readable, operation)
    }

    pub(super) fn wait_for_read(&self, cx: &Context<'_>) {
        wait(&self.reader, cx);
    }

    /// Wakes the tasks that wait for what has happened.
    pub(super) fn tell(&self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(ended) {
            self.hung_up.set(true);
        }
        if flags.intersects(ended | EventFlags::IN) {
            self.readable.set(true);
            let listener = self.listener.borrow().as_ref().and_then(Weak::upgrade);
            match listener {
                Some(listener) => listener.on_readable(),
                None => self.reader.take().into_iter().for_each(Waker::wake),
            }
        }
        if flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            self.writable.set(true);
            self.writer.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Stream {
    /// Takes over a connection that does not block.
    ///
    /// # Errors
    /// The system has no memory to watch it.
    pub(crate) fn new(transport: impl Into<AnyTransport>) -> io::Result<Self> {
        let transport = transport.into();
        let watch = Sockets::current().watch(&transport)?;
        Ok(Self { transport, watch })
    }

    /// Returns the connection, for another thread.
    pub(crate) fn into_inner(self) -> io::Result<AnyTransport> {
        self.watch.sockets.let_go(&self.transport)?;
        Ok(self.transport)
    }

    /// Reads what there is, at most so much.
    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let source = &self.watch.source;
        let read = source.attempt_read(|| self.transport.read(bytes));
        // Less than there is room for is all that a socket has. What comes later is news, but for an end that has been told
        // of. Another transport may have more.
        if matches!(read, Ok(size) if size < bytes.len())
            && !source.hung_up.get()
            && self.transport.other().is_none()
        {
            source.readable.set(false);
        }
        read
    }

    /// Ready when it is worth trying to read.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.watch.source.readable.get() {
            return Poll::Ready(());
        }
        self.watch.source.wait_for_read(cx);
        Poll::Pending
    }

    /// Returns whether there may be more to read than what was read last.
    pub(crate) fn may_have_more(&self) -> bool {
        self.watch.source.readable.get()
    }

    /// Sets the listener that is called whenever there is something to read, in place of a task that
    /// [waits](Self::poll_readable) for that.
    pub(crate) fn set_listener(&self, listener: Weak<dyn OnReadable>) {
        *self.watch.source.listener.borrow_mut() = Some(listener);
    }

    /// Removes the listener. Only tasks that wait are woken from now on.
    pub(crate) fn remove_listener(&self) {
        self.watch.source.listener.take();
    }

    /// Writes what the system takes at once.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        attempt(&self.watch.source.writable, || self.transport.write(pieces))
    }

    /// Writes what the transport [holds back](super::transport::Transport::write), as far as the system takes it at once.
    #[inline]
    pub(crate) fn flush(&self) -> io::Result<()> {
        let Some(transport) = self.transport.other() else { return Ok(()) };
        // There may be nothing to write, and then nothing to wait for.
        self.assume_writable();
        attempt(&self.watch.source.writable, || transport.flush())
    }

    /// Ready when it is worth trying to write.
    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.watch.source.writable.get() {
            return Poll::Ready(());
        }
        wait(&self.watch.source.writer, cx);
        Poll::Pending
    }

    /// Lets the next write try, although epoll has not reported that the socket is writable.
    pub(crate) fn assume_writable(&self) {
        self.watch.source.writable.set(true);
    }

    /// Ends the writing side of the connection.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.transport.end_writing()
    }
}

/// Tries something, if that is worth a system call.
fn attempt<T>(worth_it: &Cell<bool>, mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    while worth_it.get() {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => worth_it.set(false),
            result => return result,
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

fn wait(waiter: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut waiter = waiter.borrow_mut();
    match &mut *waiter {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiter = Some(cx.waker().clone()),
    }
}

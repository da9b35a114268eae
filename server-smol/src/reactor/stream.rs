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
    watch: Watch,
}

/// The registration of a socket. It ends when this is dropped.
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
    /// The transport of a connection, until that is [closed](Stream::close).
    transport: RefCell<Option<AnyTransport>>,
    /// True if the transport may buffer bytes.
    may_buffer: Cell<bool>,
    /// True if a read may succeed. This is so after an event of epoll, until a read finds no data.
    readable: Cell<bool>,
    /// True if a write may succeed.
    writable: Cell<bool>,
    /// True if no more data will arrive. Then epoll does not report the data that is left to read.
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
            transport: RefCell::default(),
            may_buffer: Cell::new(false),
            readable: Cell::new(false),
            writable: Cell::new(true),
            hung_up: Cell::new(false),
            listener: RefCell::new(None),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    /// Tries to read, or to accept, if this may succeed.
    pub(super) fn attempt_read<T>(&self, operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        attempt(&self.readable, operation)
    }

    pub(super) fn wait_for_read(&self, cx: &Context<'_>) {
        wait(&self.reader, cx);
    }

    /// Wakes the tasks that wait for these events.
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
        transport.arrive()?;
        let watch = Sockets::current().watch(&transport)?;
        watch.source.may_buffer.set(transport.other().is_some());
        watch.source.transport.replace(Some(transport));
        Ok(Self { watch })
    }

    /// Returns a connection that is [closed](Self::close).
    #[allow(clippy::unnecessary_wraps, reason = "it fails where it is made of a socket")]
    pub(crate) fn closed() -> io::Result<Self> {
        Ok(Self { watch: Sockets::current().watch_nothing() })
    }

    /// Returns the connection, for another thread.
    pub(crate) fn into_inner(self) -> io::Result<AnyTransport> {
        let transport = self.watch.source.transport.take().ok_or(io::ErrorKind::NotConnected)?;
        self.watch.sockets.let_go(&transport)?;
        transport.depart();
        Ok(transport)
    }

    /// Closes the connection and gives its file descriptor back. Whatever is tried afterwards fails.
    pub(crate) fn close(&self) {
        self.watch.source.transport.take();
    }

    #[inline(always)]
    fn with_transport<T>(&self, operation: impl FnOnce(&AnyTransport) -> io::Result<T>) -> io::Result<T> {
        match &*self.watch.source.transport.borrow() {
            Some(transport) => operation(transport),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Reads the available bytes, at most as many as `bytes` has space for.
    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let source = &self.watch.source;
        let read = source.attempt_read(|| self.with_transport(|transport| transport.read(bytes)));
        // If a socket returns fewer bytes than there is space for, it has no more. Epoll reports data that
        // arrives later, but not after the end of the connection was reported. Other transports may have
        // more.
        if matches!(read, Ok(size) if size < bytes.len())
            && !source.hung_up.get()
            && (!source.may_buffer.get() || self.is_drained())
        {
            source.readable.set(false);
        }
        read
    }

    #[cold]
    fn is_drained(&self) -> bool {
        self.watch.source.transport.borrow().as_ref().is_some_and(AnyTransport::is_drained)
    }

    /// Ready when a read may succeed.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.watch.source.readable.get() {
            return Poll::Ready(());
        }
        self.watch.source.wait_for_read(cx);
        Poll::Pending
    }

    /// Makes the next read try, although epoll has not reported that there is something: the transport may have read it before.
    pub(crate) fn assume_readable(&self) {
        self.watch.source.readable.set(true);
    }

    /// Returns the work of the last read, which returned so many bytes, as a number of bytes.
    #[inline(always)]
    pub(crate) fn work(&self, read: usize) -> usize {
        #[cfg(feature = "tls")]
        if self.watch.source.may_buffer.get() {
            return self
                .watch
                .source
                .transport
                .borrow()
                .as_ref()
                .map_or(read, |transport| transport.work(read));
        }
        read
    }

    /// Returns whether the connection is encrypted.
    #[cfg(feature = "tls")]
    pub(crate) fn is_secure(&self) -> bool {
        self.watch.source.transport.borrow().as_ref().is_some_and(AnyTransport::is_secure)
    }

    /// Returns whether the peer writes no more. It may still read.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.watch.source.hung_up.get()
    }

    /// Returns true if there may be more to read.
    pub(crate) fn may_have_more(&self) -> bool {
        self.watch.source.readable.get()
    }

    /// Sets the listener that is called each time there is something to read. It replaces a task that
    /// [waits](Self::poll_readable) for that.
    pub(crate) fn set_listener(&self, listener: Weak<dyn OnReadable>) {
        *self.watch.source.listener.borrow_mut() = Some(listener);
    }

    /// Removes the listener. Only tasks that wait are woken from now on.
    pub(crate) fn remove_listener(&self) {
        self.watch.source.listener.take();
    }

    /// Writes as many bytes as the system accepts at once.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        attempt(&self.watch.source.writable, || self.with_transport(|transport| transport.write(pieces)))
    }

    /// Writes the bytes that the transport [buffers](super::transport::Transport::write), as many as the
    /// system accepts at once.
    #[inline]
    pub(crate) fn flush(&self) -> io::Result<()> {
        if !self.watch.source.may_buffer.get() {
            return Ok(());
        }
        // If nothing is buffered, there is no event to wait for.
        self.assume_writable();
        attempt(&self.watch.source.writable, || self.with_transport(AnyTransport::flush))
    }

    /// Ready when a write may succeed.
    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.watch.source.writable.get() {
            return Poll::Ready(());
        }
        wait(&self.watch.source.writer, cx);
        Poll::Pending
    }

    /// Makes the next write try, although epoll has not reported that the socket is writable.
    pub(crate) fn assume_writable(&self) {
        self.watch.source.writable.set(true);
    }

    /// Ends the writing side of the connection.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.with_transport(AnyTransport::end_writing)
    }
}

/// Runs an operation if `worth_it` says that it may succeed.
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

use std::{
    cell::{Cell, RefCell},
    fmt,
    io::{self, IoSlice, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    rc::{Rc, Weak},
    task::{Context, Poll, Waker},
};

use rustix::event::epoll::EventFlags;

use super::{Listen, epoll::Sockets};

/// A TCP connection of this thread.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    source: Rc<Source>,
    sockets: Rc<Sockets>,
}

/// What is known of a socket, and who waits for it.
pub(super) struct Source {
    pub(super) key: usize,
    /// Whether it is worth trying to read: until a try has told otherwise.
    readable: Cell<bool>,
    /// Whether it is worth trying to write.
    writable: Cell<bool>,
    /// Whether nothing more comes than what has come: there will be no news of that.
    hung_up: Cell<bool>,
    /// Who is told first that there is something to read.
    listener: RefCell<Option<Weak<dyn Listen>>>,
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
            listener: RefCell::new(None),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    /// Tells whoever waits for what has happened.
    pub(super) fn tell(&self, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(ended) {
            self.hung_up.set(true);
        }
        if flags.intersects(ended | EventFlags::IN) {
            self.readable.set(true);
            let listener = self.listener.borrow().as_ref().and_then(Weak::upgrade);
            if !listener.is_some_and(|listener| listener.listen()) {
                self.listener.take();
                self.reader.take().into_iter().for_each(Waker::wake);
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
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        let sockets = Sockets::current();
        let source = sockets.add(&stream)?;
        Ok(Self { stream, source, sockets })
    }

    /// Reads what there is, at most so much.
    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let Self { stream, source, .. } = self;
        let mut stream: &TcpStream = stream;
        let read = attempt(&source.readable, || stream.read(bytes));
        // Less than there is room for is all that there is. What comes later is news, but for an end that has been told
        // of.
        if matches!(read, Ok(size) if size < bytes.len()) && !source.hung_up.get() {
            source.readable.set(false);
        }
        read
    }

    /// Ready when it is worth trying to read.
    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.source.readable.get() {
            return Poll::Ready(());
        }
        wait(&self.source.reader, cx);
        Poll::Pending
    }

    /// Has `listener` take in what comes from now on. When it stops, whoever waits until the socket is
    /// [readable](Self::poll_readable) is woken, as where nobody listens.
    pub(crate) fn set_listener(&self, listener: Weak<dyn Listen>) {
        *self.source.listener.borrow_mut() = Some(listener);
    }

    /// Writes what the system takes at once.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream: &TcpStream = &self.stream;
        attempt(&self.source.writable, || match pieces {
            [piece] => stream.write(piece),
            pieces => stream.write_vectored(pieces),
        })
    }

    /// Ready when it is worth trying to write.
    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<()> {
        if self.source.writable.get() {
            return Poll::Ready(());
        }
        wait(&self.source.writer, cx);
        Poll::Pending
    }

    /// Has the next write try, without news from the system.
    #[cfg(test)]
    pub(crate) fn assume_writable(&self) {
        self.source.writable.set(true);
    }

    /// Says that nothing more is written.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.sockets.remove(&self.source);
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

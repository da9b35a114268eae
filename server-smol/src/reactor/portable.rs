//! The runtime's reactor, for systems without epoll. It takes more system calls for a message.

#[cfg(unix)]
use std::os::unix::net::UnixListener;
use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    net::{Ipv4Addr, TcpListener},
    rc::{Rc, Weak},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use async_io::Async;
use slab::Slab;
use smol::future::or;

use crate::listen::{self, Socket};

use super::{
    Accepted, AnyTransport, OnReadable,
    clock::Clock,
    timer::{Timers, current_timers},
};

thread_local! {
    /// The sockets of this thread.
    static CURRENT: RefCell<Option<Rc<Sockets>>> = const { RefCell::new(None) };
}

/// The resources that a thread needs to serve sockets, before it begins.
#[derive(Debug)]
pub(crate) struct Reactor(());

/// A reactor at work: it waits for the sockets and timers of this thread.
#[derive(Debug)]
pub(crate) struct Poller {
    sockets: Rc<Sockets>,
    timers: Rc<Timers>,
    notifier: Arc<Notifier>,
}

/// A spare descriptor. There are none here.
pub(crate) type Spare = Box<Infallible>;

/// The number of spare descriptors of a listener.
pub(crate) const SPARES: usize = 0;

/// Wakes a thread that waits, or is about to.
#[derive(Debug, Default)]
struct Notifier {
    woken: AtomicBool,
    /// The waker of the task that waits, if there is one.
    waiting: Mutex<Option<Waker>>,
    /// The sockets that may have something to read, by their keys.
    readable: Mutex<Vec<usize>>,
}

/// The sockets of this thread that have a listener.
#[derive(Default)]
struct Sockets {
    listeners: RefCell<Slab<Option<Weak<dyn OnReadable>>>>,
    notifier: Arc<Notifier>,
}

/// The waker that the runtime wakes when there is something to read.
struct ReadableSocket {
    key: usize,
    notifier: Arc<Notifier>,
}

impl Reactor {
    #[allow(clippy::unnecessary_wraps, reason = "it fails where it is made of file descriptors")]
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(()))
    }

    /// Makes this the reactor of this thread, until the result is dropped.
    pub(crate) fn enter(self, clock: &Rc<Clock>) -> Poller {
        let notifier = Arc::new(Notifier { woken: AtomicBool::new(true), ..Notifier::default() });
        let sockets = Rc::new(Sockets { notifier: Arc::clone(&notifier), ..Sockets::default() });
        CURRENT.set(Some(Rc::clone(&sockets)));
        let timers = current_timers::enter(clock);
        clock.wake_when_moved(Waker::from(Arc::clone(&notifier)));
        Poller { sockets, timers, notifier }
    }
}

impl Poller {
    /// Returns a waker that wakes this thread. [`take_woken`](Self::take_woken) then returns true.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.notifier))
    }

    /// Returns true if the [waker](Self::waker) was used since the last call.
    pub(crate) fn take_woken(&self) -> bool {
        self.is_woken() && self.notifier.woken.swap(false, Ordering::SeqCst)
    }

    /// Returns true if the [waker](Self::waker) was used since the last call of
    /// [`take_woken`](Self::take_woken).
    pub(crate) fn is_woken(&self) -> bool {
        self.notifier.woken.load(Ordering::SeqCst)
    }

    /// Begins a pass: looks at the sockets, and waits for them if there is nothing else to do (`may_wait`).
    /// Calls the listeners of the ready sockets, and wakes the tasks whose timers are due.
    pub(crate) fn wait(&self, may_wait: bool) {
        let clock = self.timers.clock();
        if may_wait && !clock.has_moved() {
            let next = self.timers.next().filter(|_| !clock.is_virtual());
            let alarm = async {
                match next {
                    Some(at) => _ = async_io::Timer::at(at).await,
                    None => std::future::pending().await,
                }
            };
            async_io::block_on(or(poll_fn(|cx| self.notifier.poll_news(cx)), alarm));
        }
        clock.begin_pass();
        let readable = mem::take(&mut *lock(&self.notifier.readable));
        for key in readable {
            let listener =
                self.sockets.listeners.borrow().get(key).and_then(|listener| listener.as_ref()?.upgrade());
            if let Some(listener) = listener {
                listener.on_readable();
            }
        }
        if self.timers.fire() {
            self.waker().wake();
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        CURRENT.set(None);
        current_timers::leave();
    }
}

impl Notifier {
    /// Ready when there is something to do.
    fn poll_news(&self, cx: &Context<'_>) -> Poll<()> {
        // This comes before the check. Otherwise an event between the two would wake no task.
        *lock(&self.waiting) = Some(cx.waker().clone());
        if self.woken.load(Ordering::SeqCst) || !lock(&self.readable).is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn tell(&self) {
        if let Some(waker) = lock(&self.waiting).take() {
            waker.wake();
        }
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.tell();
    }
}

impl Wake for ReadableSocket {
    fn wake(self: Arc<Self>) {
        lock(&self.notifier.readable).push(self.key);
        self.notifier.tell();
    }
}

impl std::fmt::Debug for Sockets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sockets").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A listening socket.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: AsyncSocket,
    /// Removes the file of a Unix socket with the last of its listeners.
    listener: listen::Listener,
}

#[derive(Debug)]
enum AsyncSocket {
    Tcp(Async<TcpListener>),
    #[cfg(unix)]
    Unix(Async<UnixListener>),
}

impl Listener {
    pub(crate) fn new(listener: listen::Listener) -> io::Result<Self> {
        let socket = match &listener.socket {
            Socket::Tcp(listener) => AsyncSocket::Tcp(Async::new_nonblocking(listener.try_clone()?)?),
            #[cfg(unix)]
            Socket::Unix(listener) => AsyncSocket::Unix(Async::new_nonblocking(listener.try_clone()?)?),
        };
        Ok(Self { socket, listener })
    }

    /// Returns true if another process may listen on the same address, too.
    pub(crate) fn is_shared(&self) -> bool {
        self.listener.is_shared
    }

    /// Returns true if it leads clients to the port for TLS, and serves nothing else.
    pub(crate) fn leads_to_tls(&self) -> bool {
        self.listener.leads_to_tls
    }

    /// Waits for a connection.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let (transport, address) = match &self.socket {
            AsyncSocket::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                let stream = stream.into_inner()?;
                // Small messages must not wait for acknowledgements of earlier ones.
                stream.set_nodelay(true)?;
                (stream.into(), address)
            }
            #[cfg(unix)]
            AsyncSocket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                (Box::new(stream.into_inner()?).into(), (Ipv4Addr::LOCALHOST, 0).into())
            }
        };
        Ok(Accepted { transport, address, spare: None })
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    transport: Async<AnyTransport>,
    entry: Entry,
    /// The waker that the runtime wakes.
    waker: Waker,
}

/// The listener of a socket.
#[derive(Debug)]
struct Entry {
    sockets: Rc<Sockets>,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.sockets.listeners.borrow_mut().try_remove(self.key);
    }
}

impl Stream {
    /// Takes over a connection that does not block.
    ///
    /// # Panics
    /// There is no reactor on this thread.
    pub(crate) fn new(transport: impl Into<AnyTransport>) -> io::Result<Self> {
        let transport = transport.into();
        transport.arrive()?;
        let transport = Async::new_nonblocking(transport)?;
        let sockets = CURRENT
            .with_borrow(|current| current.clone())
            .expect("streams are used where a reactor has been entered");
        let key = sockets.listeners.borrow_mut().insert(None);
        let waker = Waker::from(Arc::new(ReadableSocket { key, notifier: Arc::clone(&sockets.notifier) }));
        Ok(Self { transport, entry: Entry { sockets, key }, waker })
    }

    /// Returns a connection whose peer is gone.
    pub(crate) fn closed() -> io::Result<Self> {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Self::new(std::net::TcpStream::connect(nobody.local_addr()?)?)
    }

    /// Returns the connection, for another thread.
    pub(crate) fn into_inner(self) -> io::Result<AnyTransport> {
        let transport = self.transport.into_inner()?;
        transport.depart();
        Ok(transport)
    }

    /// Reads the available bytes, at most as many as `bytes` has space for.
    pub(crate) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.transport.get_ref().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.listens() => {
                    // The listener is called for data that arrives from now on.
                    match self.transport.poll_readable(&mut Context::from_waker(&self.waker)) {
                        Poll::Pending => return Err(error),
                        Poll::Ready(_) => {}
                    }
                }
                result => return result,
            }
        }
    }

    fn listens(&self) -> bool {
        self.listeners().borrow().get(self.entry.key).is_some_and(Option::is_some)
    }

    fn listeners(&self) -> &RefCell<Slab<Option<Weak<dyn OnReadable>>>> {
        &self.entry.sockets.listeners
    }

    /// Ready when a read may succeed.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.transport.poll_readable(cx).map(drop)
    }

    /// Returns whether the peer writes no more, as far as that is known: here it is found out by reading.
    pub(crate) fn has_hung_up(&self) -> bool {
        false
    }

    /// Returns the work of the last read, which returned so many bytes, as a number of bytes.
    #[allow(clippy::unused_self)]
    pub(crate) fn work(&self, read: usize) -> usize {
        #[cfg(feature = "tls")]
        let read = self.transport.get_ref().work(read);
        read
    }

    /// Returns whether the connection is encrypted.
    #[cfg(feature = "tls")]
    pub(crate) fn is_secure(&self) -> bool {
        self.transport.get_ref().is_secure()
    }

    /// Does nothing: each read tries.
    #[allow(clippy::unused_self)]
    pub(crate) fn assume_readable(&self) {}

    /// Returns true if there may be more to read.
    pub(crate) fn may_have_more(&self) -> bool {
        true
    }

    /// Sets the listener that is called whenever there is something to read.
    pub(crate) fn set_listener(&self, listener: Weak<dyn OnReadable>) {
        self.listeners().borrow_mut()[self.entry.key] = Some(listener);
    }

    /// Removes the listener. Only tasks that wait are woken from now on.
    pub(crate) fn remove_listener(&self) {
        self.listeners().borrow_mut()[self.entry.key] = None;
    }

    /// Writes as many bytes as the system accepts at once.
    pub(crate) fn try_write(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        uninterrupted(|| self.transport.get_ref().write(pieces))
    }

    /// Writes the bytes that the transport [buffers](super::transport::Transport::write), as many as the
    /// system accepts at once.
    pub(crate) fn flush(&self) -> io::Result<()> {
        uninterrupted(|| self.transport.get_ref().flush())
    }

    /// Ready when a write may succeed.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.transport.poll_writable(cx).map(drop)
    }

    /// Does nothing: each write is tried here.
    pub(crate) fn assume_writable(&self) {}

    /// Ends the writing side of the connection.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        self.transport.get_ref().end_writing()
    }

    /// Closes the connection as far as that goes here: the system's handle is given back when this is dropped.
    pub(crate) fn close(&self) {
        let _ = self.end_writing();
    }
}

/// Repeats an operation if a signal interrupts it.
fn uninterrupted<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

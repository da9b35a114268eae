//! The sockets, timers and clock of a thread that runs rooms.
//!
//! On Linux this module has its own event loop around epoll. The runtime's reactor serves any thread and any
//! number of readers. For that it arms each socket again before each wait, wakes itself through a
//! notification, and sets a kernel timer. A thread that runs rooms does not share its sockets and needs none
//! of this.
//!
//! On other systems this module uses the runtime's reactor.

mod accepted;
#[cfg(epoll)]
mod alarm;
mod clock;
#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(epoll)]
mod epoll;
#[cfg(epoll)]
mod listener;
#[cfg(epoll)]
mod notifier;
#[cfg(not(epoll))]
mod portable;
#[cfg(all(test, unix))]
mod records;
#[cfg(epoll)]
mod spares;
#[cfg(epoll)]
mod stream;
mod timer;
mod transport;

#[cfg(epoll)]
pub(crate) use self::{
    epoll::{Poller, Reactor},
    listener::Listener,
    spares::{SPARES, Spare},
    stream::Stream,
};
pub(crate) use accepted::Accepted;
pub use clock::VirtualClock;
pub(crate) use clock::{Clock, ClockSource};
#[cfg(target_os = "linux")]
pub(crate) use descriptors::reserve_descriptors;
#[cfg(not(epoll))]
pub(crate) use portable::{Listener, Poller, Reactor, SPARES, Spare, Stream};
#[cfg(all(test, unix))]
pub(crate) use records::Records;
pub(crate) use timer::Timer;
pub(crate) use transport::AnyTransport;
#[cfg(feature = "tls")]
pub(crate) use transport::{Handle, Transport};

use std::{
    future::Future,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

/// A listener that is called when a socket is readable, outside of any task. Most messages are handled
/// without waiting, and a task takes as long as the message itself.
pub(crate) trait OnReadable {
    /// Reads from the socket. There may be nothing to read.
    fn on_readable(self: Rc<Self>);
}

impl Reactor {
    /// Runs a future to its end on this thread, with the system's clock. This is for threads that run no
    /// rooms.
    pub(crate) fn block_on<T>(self, future: impl Future<Output = T>) -> T {
        let poller = self.enter(&Rc::new(Clock::new(ClockSource::System)));
        let waker = poller.waker();
        let mut future = pin!(future);
        loop {
            if poller.take_woken()
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return output;
            }
            poller.wait(true);
        }
    }
}

/// Runs a future to its end on this thread, with its own reactor.
#[cfg(test)]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    Reactor::new().expect("the system has file descriptors").block_on(future)
}

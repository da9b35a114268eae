//! The sockets and timers of a thread that runs rooms.
//!
//! On Linux this is a loop of our own around epoll. The runtime's reactor serves any thread and any number of
//! readers, and for that it arms each socket anew before each wait, wakes itself up through a pipe, and sets a
//! kernel timer: five system calls for a message besides the three that carry it. A thread that runs rooms has
//! its sockets to itself, and needs none of that.
//!
//! Elsewhere it is the runtime's.

#[cfg(epoll)]
mod alarm;
mod clock;
#[cfg(epoll)]
mod epoll;
#[cfg(epoll)]
mod listener;
#[cfg(epoll)]
mod notifier;
#[cfg(not(epoll))]
mod portable;
#[cfg(epoll)]
mod stream;
mod timer;

#[cfg(epoll)]
pub(crate) use self::{
    epoll::{Poller, Reactor},
    listener::Listener,
    stream::Stream,
};
pub use clock::VirtualClock;
pub(crate) use clock::{Clock, ClockSource};
#[cfg(not(epoll))]
pub(crate) use portable::{Listener, Poller, Reactor, Stream};
pub(crate) use timer::Timer;

use std::rc::Rc;

/// Listens to a socket, outside of any task: most messages need nothing that would have to wait, and a task costs as
/// much as the message itself.
pub(crate) trait OnReadable {
    /// There is something to read, or there may be.
    fn on_readable(self: Rc<Self>);
}

/// Runs a future to its end on this thread, with a reactor of its own.
#[cfg(test)]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    use std::{
        pin::pin,
        task::{Context, Poll},
    };
    let poller = Reactor::new()
        .expect("the system has file descriptors")
        .enter(&Rc::new(Clock::new(ClockSource::System)));
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

//! The sockets and timers of a thread that runs rooms.
//!
//! On Linux this is a loop of our own around epoll. The runtime's reactor serves any thread and any number of
//! readers, and for that it arms each socket anew before each wait, wakes itself up through a pipe, and sets a
//! kernel timer: five system calls for a message besides the three that carry it. A thread that runs rooms has
//! its sockets to itself, and needs none of that.
//!
//! Elsewhere it is the runtime's.

#[cfg(target_os = "linux")]
mod alarm;
#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod listener;
#[cfg(target_os = "linux")]
mod notifier;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod stream;
#[cfg(target_os = "linux")]
mod timer;

#[cfg(target_os = "linux")]
pub(crate) use self::{epoll::Reactor, listener::Listener, stream::Stream, timer::Timer};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Listener, Reactor, Stream, Timer};

/// Listens to a socket, outside of any task: most messages need nothing that would have to wait, and a task costs as
/// much as the message itself.
pub(crate) trait Listen {
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "the runtime's reactor wakes tasks only"))]
    /// There may be something to read. Answers whether all of it has been taken in, and the listener listens on.
    fn listen(&self) -> bool;
}

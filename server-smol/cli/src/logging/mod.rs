//! The log: lines of `LEVEL message` on stderr.
//!
//! Rooms, and everything else that logs, put lines into a queue. One thread writes them, so nobody else waits where stderr
//! is read slowly or not at all. What does not fit into the queue, or is more than the log may have in a second, is dropped
//! and counted, and the log says how much that was.

mod budget;
mod escape;
mod fill;
mod line;
mod log;
mod pipe;
mod queue;

#[cfg(feature = "dev")]
pub(crate) use self::escape::escaped;
pub(crate) use self::log::Log;

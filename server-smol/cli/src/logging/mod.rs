//! The log: lines of `LEVEL message` on stderr, or of JSON.
//!
//! Rooms, and all other code that logs, put lines into a queue. One thread writes them. So no other thread
//! waits if stderr is read slowly or not at all. Lines that do not fit into the queue, or exceed the budget
//! of a second, are dropped and counted. The log says how many lines were dropped.

mod budget;
mod escape;
mod fill;
mod filter;
mod format;
#[cfg(feature = "log-json")]
mod json;
mod line;
mod log;
mod pipe;
mod queue;

#[cfg(any(feature = "auth", feature = "dev", feature = "rooms"))]
pub(crate) use self::escape::escaped;
pub(crate) use self::{format::Format, log::Log};

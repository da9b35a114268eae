//! Parts that rooms keep needing: without a heap, in the fixed capacities of [`heapless`], and nothing in the
//! module of a guest that does not use them.
//!
//! - [`Timers`]: several timers with names of their own, on the one timer that a room has.
//! - [`TokenBucket`]: how often a client may do something.
//!
//! Both ask for the time ([`now_ms`](crate::StateroomContext::now_ms)), so a guest that uses them runs on
//! hosts of this project only.
//!
//! What each client of a room has needs no part of its own: that is a [`heapless::LinearMap`] from
//! [`ClientId`](crate::ClientId) to whatever it is, which also says who is here. With the feature `alloc` it
//! may be a `BTreeMap`, with `std` a `HashMap`.

mod timers;
mod token_bucket;

pub use timers::Timers;
pub use token_bucket::TokenBucket;

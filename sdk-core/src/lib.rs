//! Write rooms for Stateroom servers in Rust, and compile them to WebAssembly modules of a few hundred bytes.
//!
//! A room is a value of a type that implements [`StateroomService`] (or the older
//! [`SimpleStateroomService`]); `#[stateroom_wasm]` makes it the room of a WebAssembly module:
//!
//! ```
//! use stateroom_sdk_core::*;
//!
//! #[stateroom_wasm]
//! #[derive(Default)]
//! struct Echo;
//!
//! impl StateroomService for Echo {
//!     fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
//!         ctx.send_message(client, message);
//!     }
//! }
//! ```
//!
//! `stateroom dev` builds and serves it.
//!
//! # Three sizes of guest
//!
//! | features | a guest has | and is |
//! | --- | --- | --- |
//! | `default-features = false` | `core`, [`heapless`] | smallest; needs `#![no_std]` |
//! | `default-features = false`, `alloc` | `String`, `Vec`, `format!` from `alloc`, in an allocator made for small memories | small; needs `#![no_std]` |
//! | `std`, `alloc` (default) | the standard library, with the same allocator | larger, in pages of 64 KiB |
//!
//! With `std` alone a guest has the standard library's own allocator, or one that it brings; one without the
//! standard library says with `heap` that it brings one. Both are in pages of 64 KiB.
//!
//! Without `std` this crate brings the guest's panic handler: a panic is a trap, which ends the room and
//! nothing else.
//!
//! On `wasm32-unknown-unknown`, which guests are built for unless `stateroom.toml` says otherwise, the standard
//! library has no system to talk to. `println!`, `eprintln!` and `dbg!` write to nowhere:
//! [`log`](StateroomContext::log) writes to the host's log. `std::time` and `std::thread` panic:
//! [`now_ms`](StateroomContext::now_ms) is the time. Crates such as `rand` find no random numbers and do not compile:
//! [`random`](StateroomContext::random) has some. On `wasm32-wasip1` all but threads work, with the C library's
//! allocator.
//!
//! # Helpers for rooms
//!
//! They need no heap, have the fixed capacities of [`heapless`], and add nothing to a module that does not use them:
//!
//! - [`Timers`]: several timers, each with its own key, on the one timer that a room has.
//! - [`TokenBucket`]: limits how often a client may do something.
//!
//! Both read the time with [`now_ms`](StateroomContext::now_ms), so a guest that uses them runs only on hosts of this
//! project.
//!
//! State for each client needs no helper: use a [`heapless::LinearMap`] from [`ClientId`] to that state. Its keys are
//! also the list of clients that are in the room. With the feature `alloc` it may be a `BTreeMap`, with `std` a
//! `HashMap`.
//!
//! # Typed messages
//!
//! With the feature `json` or `postcard` beside `alloc` or `std`, a message can be a value of any type that
//! implements serde's traits: `ctx.send_message(client, Json(&reply))` and
//! `message.json::<Request>()`; or `Postcard` and `postcard`.
//!
//! # Off WebAssembly
//!
//! On other targets the attribute only checks its item, so that a guest's tests run with plain `cargo test`, and the
//! traits serve native services. What a server drives instead is in [`engine`]: authors need none of it. The feature `testing` brings the module `testing`: rooms,
//! clients and a clock for those tests.
#![no_std]

#[cfg(any(feature = "heap", all(any(test, feature = "testing"), not(target_family = "wasm"))))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[doc(hidden)]
#[allow(unsafe_code, reason = "the ABI is made of addresses; see the module's documentation")]
pub mod guest;
mod simple;
mod text;
mod timers;
mod token_bucket;
// A guest's tests run on the machine that builds it: nothing of this gets into modules.
#[cfg(all(any(test, feature = "testing"), not(target_family = "wasm")))]
pub mod testing;

pub use embedded_io;
pub use heapless;
pub use simple::{Simple, SimpleStateroomFactory, SimpleStateroomService};
// One by one, and with their documentation: authors need not know of the other crate.
#[doc(inline)]
pub use stateroom_core::{
    ClientId, DefaultStateroomFactory, LogLevel, MessagePayload, MessageRecipient, StateroomContext,
    StateroomService, StateroomServiceFactory, TEXT_CAPACITY, ToPayload, abi, engine,
};
#[cfg(feature = "json")]
#[doc(inline)]
pub use stateroom_core::{JSON_DEPTH, Json, JsonError};
#[cfg(feature = "postcard")]
#[doc(inline)]
pub use stateroom_core::{Postcard, PostcardError};
pub use stateroom_sdk_macro::stateroom_wasm;
pub use timers::Timers;
pub use token_bucket::TokenBucket;
pub use ufmt;

/// The names that services of the 0.2 line import.
pub mod prelude {
    pub use crate::{
        ClientId, MessagePayload, MessageRecipient, SimpleStateroomService, StateroomContext,
        StateroomService, stateroom_wasm,
    };
}

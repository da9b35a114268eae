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
//! With `std` and without `alloc`, a guest uses the standard library's allocator or its own. A guest without
//! the standard library that has its own allocator needs the feature `heap`. Both have memory pages of 64
//! KiB.
//!
//! Without `std`, this crate contains the guest's panic handler. A panic is a trap, which ends only this
//! room.
//!
//! The default target is `wasm32-unknown-unknown`. On it, the standard library has no system below it:
//!
//! - `println!`, `eprintln!` and `dbg!` write nothing. Those of the module `print` write to the host's log, as
//!   [`log`](StateroomContext::log) does.
//! - `std::time` and `std::thread` panic. Use [`now_ms`](StateroomContext::now_ms) for the time.
//! - Crates that need random numbers, such as `rand`, do not compile. Use [`random`](StateroomContext::random).
//!
//! On `wasm32-wasip1` (`target` in `stateroom.toml`), printing, `std::time` and random numbers work. Threads,
//! files and sockets do not. Such guests use the C library's allocator.
//!
//! # Helpers for rooms
//!
//! The helpers need no heap. They have fixed capacities, like [`heapless`]. A module that does not use them
//! does not contain them:
//!
//! - [`Timers`]: several timers, each with its own key, on the one timer that a room has.
//! - [`TokenBucket`]: limits how often a client may do something.
//!
//! Both read the time with [`now_ms`](StateroomContext::now_ms). So a guest that uses them runs only on hosts
//! of this project.
//!
//! For state of each client, use a [`heapless::LinearMap`] from [`ClientId`] to that state. Its keys are also
//! the list of clients in the room. With the feature `alloc` it may be a `BTreeMap`, and with `std` a
//! `HashMap`.
//!
//! # Typed messages
//!
//! With the feature `json` or `postcard`, in addition to `alloc` or `std`, a message can be a value of any
//! type that implements serde's traits: `ctx.send_message(client, Json(&reply))` and
//! `message.json::<Request>()`, or `Postcard` and `postcard`.
//!
//! # New versions
//!
//! A room loses its state when its module is replaced, unless the service [saves](SaveState) it:
//! `#[stateroom_wasm(save)]`, or `#[stateroom_wasm(save = "json")]` for types that implement serde's traits.
//!
//! # Targets other than WebAssembly
//!
//! On other targets the attribute only checks its item. So the tests of a guest run with `cargo test`, and
//! native services can use the same traits. The feature `testing` adds the module `testing` with rooms,
//! clients and a clock for these tests. The module [`engine`] is for servers; authors of rooms do not need
//! it.
#![no_std]

#[cfg(any(feature = "heap", all(any(test, feature = "testing"), not(target_family = "wasm"))))]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[doc(hidden)]
#[allow(unsafe_code, reason = "the ABI is made of addresses; see the module's documentation")]
pub mod guest;
#[cfg(feature = "std")]
pub mod print;
mod simple;
mod text;
mod timers;
mod token_bucket;
// The tests of a guest run on the machine that builds it. No part of this is in modules.
#[cfg(all(any(test, feature = "testing"), not(target_family = "wasm")))]
pub mod testing;

pub use embedded_io;
pub use heapless;
pub use simple::{Simple, SimpleStateroomFactory, SimpleStateroomService};
// Listed one by one and with their documentation, so that authors do not need to know the other crate.
#[cfg(feature = "json")]
#[doc(hidden)]
pub use stateroom_core::load_json;
#[doc(inline)]
pub use stateroom_core::{
    ClientId, DefaultStateroomFactory, LogLevel, MessagePayload, MessageRecipient, SaveState,
    StateroomContext, StateroomService, StateroomServiceFactory, TEXT_CAPACITY, ToPayload, abi, engine,
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

/// The names that services made for Stateroom 0.2 import.
pub mod prelude {
    pub use crate::{
        ClientId, MessagePayload, MessageRecipient, SimpleStateroomService, StateroomContext,
        StateroomService, stateroom_wasm,
    };
}

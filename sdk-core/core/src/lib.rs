//! The traits, types and names that Stateroom's guests, hosts and servers share.
//!
//! To write rooms, depend on `stateroom-sdk-core`, which has all of this under the same names. To write a host or a server,
//! depend on this crate: it builds no macro, and without features it depends on nothing.
//!
//! - Authors implement [`StateroomService`] and call a [`StateroomContext`].
//! - Servers drive an [`Engine`](engine::Engine), and implement an [`EngineContext`](engine::EngineContext): see [`engine`].
//! - Hosts and servers say what is wrong with [`settings`] (feature `heap`).
//! - Guests and hosts agree on the names and numbers in [`abi`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "heap")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod abi;
mod client_id;
mod context;
pub mod engine;
#[cfg(feature = "json")]
mod json;
mod payload;
#[cfg(feature = "postcard")]
mod postcard;
mod recipient;
mod save_state;
mod service;
#[cfg(feature = "heap")]
pub mod settings;
#[cfg(feature = "heapless")]
mod text;

#[cfg(feature = "postcard")]
pub use self::postcard::{Postcard, PostcardError};
pub use client_id::ClientId;
pub use context::{LogLevel, StateroomContext};
#[cfg(feature = "json")]
#[doc(hidden)]
pub use json::load_json;
#[cfg(feature = "json")]
pub use json::{JSON_DEPTH, Json, JsonError};
pub use payload::{MessagePayload, ToPayload};
pub use recipient::MessageRecipient;
pub use save_state::SaveState;
pub use service::{DefaultStateroomFactory, StateroomService, StateroomServiceFactory};
#[cfg(feature = "heapless")]
pub use text::{TEXT_CAPACITY, too_long};

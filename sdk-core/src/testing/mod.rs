//! Tests of a room with plain `cargo test`: clients without sockets, and a clock that moves when told to.
//!
//! A guest names the feature for its tests only, and beside it what its own dependency says of
//! `default-features`, so that its tests run with what it has:
//!
//! ```toml
//! [dependencies]
//! stateroom-sdk-core = { version = "0.1", default-features = false }
//!
//! [dev-dependencies]
//! stateroom-sdk-core = { version = "0.1", default-features = false, features = ["testing"] }
//! ```
//!
//! A [`TestRoom`] runs a service as a server does, and its clients remember what they are sent:
//!
//! ```
//! use stateroom_sdk_core::{testing::*, *};
//!
//! /// Says after four seconds what it was told last.
//! #[derive(Default)]
//! struct Echo(heapless::String<32>);
//!
//! impl StateroomService for Echo {
//!     fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
//!         self.0 = message.text().unwrap_or_default().try_into().unwrap_or_default();
//!         ctx.set_timer(4000);
//!     }
//!
//!     fn timer(&mut self, ctx: &impl StateroomContext) {
//!         ctx.send_message(MessageRecipient::Broadcast, &self.0);
//!     }
//! }
//!
//! let room = TestRoom::new::<Echo>();
//! let (alice, bob) = (room.connect(), room.connect());
//! alice.send("hello");
//! room.advance(Duration::from_millis(3999));
//! assert_eq!(alice.received(), NOTHING);
//! room.advance(Duration::from_millis(1));
//! assert_eq!(alice.received(), ["hello"]);
//! assert_eq!(bob.received(), ["hello"]);
//! ```
//!
//! A guest with `#![no_std]` is without `vec!`, `format!` and `to_string` in its tests, too. The file or module that
//! they are in can ask for them:
//!
//! ```
//! # mod tests {
//! extern crate std;
//!
//! use std::{format, string::ToString, vec};
//! # fn f() -> std::vec::Vec<std::string::String> { vec![1.to_string(), format!("")] }
//! # }
//! ```
//!
//! # The same tests for the module
//!
//! [`TestRoom::of`] takes whatever makes rooms for a server. A `Program` of `stateroom-host-min` does, so the
//! same text tests the module that `stateroom build` has made. It has only to leave open where its room comes
//! from:
//!
//! ```
//! # use stateroom_sdk_core::{testing::*, *};
//! # #[derive(Default)]
//! # struct Quiet;
//! # impl StateroomService for Quiet {}
//! fn room() -> TestRoom {
//!     TestRoom::new::<Quiet>()
//! }
//! # room().connect();
//! ```
//!
//! in the guest, and in another crate, or in its own `tests` directory:
//!
//! ```text
//! fn room() -> TestRoom {
//!     let module = std::fs::read("dist/server.wasm").expect("`stateroom build` makes dist/server.wasm");
//!     TestRoom::of(Program::load(&module, Limits::default()).unwrap())
//! }
//!
//! #[path = "../src/tests.rs"]
//! mod tests;
//! ```
//!
//! It is the module that was built last: after a change, `stateroom build` comes before the tests.
//!
//! # What is as on a server
//!
//! The order of events and of what they cause, the ids of clients, who gets which message, and the timer.
//! What is not: time stands still but for [`advance`](TestRoom::advance) and begins at [`START_MS`]; random
//! numbers are the same in each run; and nothing happens in between, as each call returns when its event is
//! over.
//!
//! A service that fails, or has no room for a message, fails the test with its reason, at the line that
//! caused the event.

mod client;
mod message;
mod room;
mod service;
#[cfg(test)]
mod tests;
mod world;

pub use core::time::Duration;

pub use client::TestClient;
pub use message::{Closed, LogLine, Message, NOTHING};
pub use room::TestRoom;
pub use world::START_MS;

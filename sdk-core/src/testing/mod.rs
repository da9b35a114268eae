//! Tests of a room with `cargo test`. The clients have no sockets, and the test moves the clock.
//!
//! A guest enables the feature `testing` only for its tests. It repeats the `default-features` of its own
//! dependency, so that the tests have the same features as the guest:
//!
//! ```toml
//! [dependencies]
//! stateroom-sdk-core = { version = "0.1", default-features = false }
//!
//! [dev-dependencies]
//! stateroom-sdk-core = { version = "0.1", default-features = false, features = ["testing"] }
//! ```
//!
//! A [`TestRoom`] runs a service as a server does. Its clients keep the messages that they receive:
//!
//! ```
//! use stateroom_sdk_core::{testing::*, *};
//!
//! /// Sends the last message after four seconds.
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
//! In a guest with `#![no_std]`, the tests do not have `vec!`, `format!` and `to_string`. The file or module
//! of the tests can import them:
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
//! [`TestRoom::of`] takes any factory of rooms for a server. A `Program` of `stateroom-host-min` is one. So
//! the same tests can run the module that `stateroom build` has made. For this, the tests get their room from
//! a function:
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
//! This is the function in the guest. In another crate, or in the `tests` directory of the guest, it is:
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
//! This tests the module that was built last. So run `stateroom build` after a change and before the tests.
//!
//! # Differences from a server
//!
//! These are the same as in a server: the order of events and effects, the ids of clients, the recipients of
//! messages, and the timer. These are different:
//!
//! - The time begins at [`START_MS`]. Only [`advance`](TestRoom::advance) moves it. So an event takes no
//!   time, in however many steps it runs. In a server, too, the timer counts from the begin of an event.
//! - Random numbers are the same in each run.
//! - Each call returns when its event is over. There are no events between two calls.
//!
//! If the service fails, or has no space for a message, the test fails with the reason, at the line that
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

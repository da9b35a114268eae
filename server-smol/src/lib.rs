//! Serves Stateroom rooms over WebSocket: a small server on [`smol`] for WebAssembly guests and native
//! services.
//!
//! A [`Server`] takes an [`EngineFactory`](stateroom_core::engine::EngineFactory): a loaded guest
//! (`stateroom_host_min::Program`), or a factory of your own services.
//!
//! ```no_run
//! use stateroom_sdk_core::*;
//! use stateroom_server_smol::Server;
//!
//! #[derive(Default)]
//! struct Echo;
//!
//! impl StateroomService for Echo {
//!     fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
//!         ctx.send_message(client, message);
//!     }
//! }
//!
//! Server::new().with_port(8080).serve(DefaultStateroomFactory::<Echo>::default())?;
//! # Ok::<(), stateroom_server_smol::ServeError>(())
//! ```
//!
//! # What it serves
//!
//! | request | does |
//! | --- | --- |
//! | `GET /ws/{room}` | opens a WebSocket to a room; `GET /ws` to the room `default` |
//! | `POST /ws/{room}` | creates a room: 201, or 409 where it exists |
//! | `POST /new_room` | creates a room and answers with its generated id |
//! | `GET /status` | answers `ok`; `GET /status?verbose` answers with counts as JSON |
//! | `GET /…` | static files, where a directory is set |
//!
//! A room's id is any text of 1 to 512 bytes, percent-encoded in the path.
//!
//! If the server has its maximum number of connections, it closes one that has asked for nothing. If all have asked
//! for something, it answers one more with 503. It also answers 503 to a `POST` for one room too many, and to a
//! download while there are too many. A client that creates rooms too fast gets a 429. Both answers have
//! `Retry-After` if it is known when to try again.
//!
//! # What the operator asks
//!
//! Anybody who knows a room's id can join, so only the operator sees the ids. They are at an address of its own, if
//! [there is one](Settings::admin): a Unix socket, or a loopback address.
//!
//! | request | does |
//! | --- | --- |
//! | `GET /status` | answers with counts as JSON |
//! | `GET /rooms?after={room}&limit={n}` | lists up to n rooms as JSON, 100 if it is not said, 1,000 at most: the first ones, or those behind a room. `next` is where the next page begins, or null |
//! | `POST /rooms/{room}` | creates a room: 201, or 409 where it exists |
//! | `DELETE /rooms/{room}` | ends a room, whose clients are closed with 1001: 200, or 404 where there is none |
//!
//! # How connections end
//!
//! | close code | means |
//! | --- | --- |
//! | 1000, 3000 to 4999 | the room has closed the connection, and says why in its own words |
//! | 1001 | the server goes away, the room has ended, or the client was silent for too long |
//! | 1002, 1007 | the client broke the WebSocket protocol, or sent text that is not UTF-8 |
//! | 1008 | the room does not exist (any more), or the rest of a message did not come in time |
//! | 1009 | a message was larger than the server or the room takes |
//! | 1011 | the room failed; the next connection gets a fresh one |
//! | 1013 | the client did not read what it was sent, the room has run out of client ids, there are as many rooms as there may be, rooms are created too fast from the client's address, or the server is out of memory |
#![forbid(unsafe_code)]

mod admin_address;
mod close;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "wasm")]
mod guests;
mod http;
mod memory;
mod operator;
mod reactor;
mod requests;
mod room;
mod server;
mod session;
mod settings;
mod thread;
mod websocket;
mod wire;
mod worker;

pub use admin_address::AdminAddress;
pub use error::{RoomError, ServeError};
pub use reactor::VirtualClock;
pub use server::{RoomInfo, Server, ServerHandle, Stats};
pub use settings::{GeneratedIds, RoomIds, Settings, ShutdownPolicy};
pub use stateroom_core::settings::{Part, SettingProblem, SettingsError};

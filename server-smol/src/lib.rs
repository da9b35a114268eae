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
//! | `GET /status` | answers `ok`; `GET /status?verbose` answers with counts as JSON, and with the rooms where it comes from this machine |
//! | `GET /…` | static files, where a directory is set |
//!
//! A room's id is any text of 1 to 512 bytes, percent-encoded in the path.
//!
//! Where there are as many connections as there may be, a request for one more is answered with 503; so is a `POST` for
//! one room more.
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
//! | 1013 | the client did not read what it was sent, the room has run out of client ids, there are as many rooms as there may be, or the server is out of memory |
#![forbid(unsafe_code)]

mod close;
mod error;
#[cfg(feature = "wasm")]
mod guests;
mod http;
mod memory;
mod reactor;
mod room;
mod server;
mod session;
mod settings;
mod thread;
mod websocket;
mod wire;
mod worker;

use std::borrow::Cow;

pub use error::{RoomError, ServeError};
pub use reactor::VirtualClock;
pub use server::{RoomInfo, Server, ServerHandle, Stats};
pub use settings::{GeneratedIds, RoomIds, Settings, ShutdownPolicy};
pub use stateroom_core::settings::{Part, SettingProblem, SettingsError};

/// The parameters of a query, decoded. For the fuzz target; not a part of the interface.
#[doc(hidden)]
pub fn query_parameters(query: &str) -> Vec<(String, String)> {
    let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
    room::parameters(query).map(owned).collect()
}

/// The room that the last part of a path names, and that part as this server writes it. For the fuzz target; not a
/// part of the interface.
#[doc(hidden)]
pub fn room_id_of_path(encoded: &str) -> Result<(String, String), &'static str> {
    let id = room::RoomId::from_path(encoded)?;
    Ok((id.as_str().to_owned(), id.to_path().to_string()))
}

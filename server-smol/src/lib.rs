//! Serves Stateroom rooms over WebSocket: a small server on [`smol`] for WebAssembly guests and native
//! services.
//!
//! A [`Server`] needs an [`EngineFactory`](stateroom_core::engine::EngineFactory). This is a loaded guest
//! (`stateroom_host_min::Program`), or a factory for your own services.
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
//! # Features
//!
//! The feature `wasm` is for servers of guests. It adds `Server::serve_guests`, `Server::run_guests`,
//! `Server::start_guests` and `Settings::for_guests`, which adjust the settings to the limits of a `stateroom_host_min::Program`. Without it,
//! the limits and the settings are not compared.
//!
//! The feature `rooms` adds `DataReader` and `DataRooms`, for rooms on disk while no server uses them, and the operator's requests for rooms on disk.
//!
//! The feature `auth` adds `Server::with_access`, which decides who may enter rooms.
//!
//! The feature `built-in` adds `Server::with_built_in`, for files that are a part of the program, and
//! `Server::with_playground`, for a page that shows what happens in rooms.
//!
//! The feature `proxy` adds `Server::with_trusted_proxies` and `Server::with_proxy_protocol`, for proxies that say which clients they
//! speak for.
//!
//! The feature `tls` adds `Server::with_tls`, which serves `https://` and `wss://` with a certificate, and
//! `Server::with_redirect_http`.
//!
//! ```toml
//! stateroom-server-smol = { version = "0.1", features = ["wasm"] }
//! ```
//!
//! # Public requests
//!
//! | request | does |
//! | --- | --- |
//! | `GET /ws/{room}` | opens a WebSocket to a room; `GET /ws` to the room `default`. If the room does not exist and connecting does not create it ([`RoomIds`]): 404. If the client offers only [subprotocols](Settings::subprotocols) that the server does not know: 400 |
//! | `POST /ws/{room}` | creates a room: 201, or 409 if it exists |
//! | `POST /new_room` | creates a room and answers with its generated id |
//! | `GET /status` | answers `ok`; `GET /status?verbose` answers with counts as JSON |
//! | `GET /_/…` | files of the program, if there are any (feature `built-in`) |
//! | `GET /…` | static files, if a directory is set |
//!
//! A room's id is any text of 1 to 512 bytes, percent-encoded in the path.
//!
//! When the limit on connections is reached, the connection that has sent no request for longest is closed.
//! If there is none, the new client gets a 503. These are the refusals:
//!
//! | reason | answer | `Retry-After` |
//! | --- | --- | --- |
//! | a new connection, if there is no memory for it | 503 | yes |
//! | a new connection, or a request for a WebSocket through a proxy, if there are too many from its address | 429 | yes |
//! | a request for a WebSocket, if too many come from its address ([`Settings::join_rate`]) | 429 | yes |
//! | a connection without a request, if it is closed for a new one | 503 | yes |
//! | a request for a WebSocket, if the limit is reached and no connection could be closed for it | 503 | no |
//! | a `POST` for a room, if there is no space for the room | 503 | no |
//! | a `POST` for a room, if the client creates rooms too fast | 429 | yes |
//! | a request of a trusted proxy, if it does not say clearly for whom (feature `proxy`) | 400 | no |
//! | a request of a page of another origin ([`Settings::allowed_origins`]) | 403 | no |
//! | a request of a client that may not enter (feature `auth`) | 401, 403 | no |
//! | the same, if it cannot be found out | 503 | yes |
//! | a download, if there are too many or there is no memory for it | 503 | yes |
//!
//! # Requests of the operator
//!
//! Anybody who knows a room's id can join. So only the operator sees the ids, at a [separate
//! address](Settings::admin): a Unix socket, or a loopback address. With a [token](Settings::admin_token), it can be another one (feature
//! `rooms`).
//!
//! | request | does |
//! | --- | --- |
//! | `GET /status` | answers with counts as JSON |
//! | `GET /rooms?after={room}&limit={n}` | lists up to n rooms as JSON (by default 100, at most 1,000): the first rooms, or those after a room. `next` is the `after` of the next page, or null |
//! | `POST /rooms/{room}` | creates a room: 201, or 409 if it exists |
//! | `DELETE /rooms/{room}` | ends a room and closes its clients with 1001: 200, or 404 if it does not exist |
//! | `GET /rooms/{room}` | answers with what is known of a room as JSON (feature `rooms`, as the next two) |
//! | `GET /rooms/{room}/export` | returns a file of a room that is kept on disk, or recorded in memory: 409 if it is neither |
//! | `POST /rooms?as={room}` | makes a room of such a file, and keeps it on disk: 201, 409 if it exists, or 422 if the file is damaged |
//! | `POST /rooms/{room}/close?code={n}&reason={text}` | closes all clients of a room, by default with 1001, and ends the room unless it is kept on disk (feature `rooms`, as the next three) |
//! | `DELETE /rooms/{room}/clients/{client}?code={n}&reason={text}` | closes one client, by default with 1008 |
//! | `POST /rooms/{room}/messages` | sends the content to all clients of a room: as text, or as binary if its type is `application/octet-stream` |
//! | `GET /rooms/{room}/events` | answers with a stream of what happens in a room |
//! | `GET /rooms/{room}/recording` | returns the recording of a room's events, or 404 if there is none |
//! | `POST /reload` | loads the module again, and replaces it in running rooms: 200 with the numbers of rooms as JSON, or 422 with the reason why it cannot be loaded |
//! | `GET /_/…` | the playground, if there is one (feature `built-in`): its files, and all of the above below `/_/` |
//! | `GET /_/events?room={room}` | answers with a stream of events for the playground: what the program says, and what happens in the room |
//!
//! # Counts
//!
//! These are the fields of `GET /status?verbose` and of the operator's `GET /status`. Sizes are in bytes.
//!
//! | public | operator | is |
//! | --- | --- | --- |
//! | `status` | | `ok` |
//! | `version` | `version` | the version of this crate |
//! | `uptime_seconds` | `uptime_seconds` | the time since the server started |
//! | `room_count` | `rooms` | the number of rooms |
//! | `hibernating_room_count` | `hibernating_rooms` | the number of rooms that hibernate |
//! | `client_count` | `clients` | the number of clients in rooms, also those whose resumable session waits for another connection |
//! | `memory` | `memory` | the memory of guests, clients and requests |
//! | | `peak_memory` | the most that this has been on each thread, added up |
//! | | `memory_limit` | the limit on it ([`Settings::total_memory`]) |
//! | `awake_memory` | `awake_memory` | the memory of the rooms that are awake |
//! | | `address` | the public address |
//! | | `modules` | for each module that rooms run: its SHA-256, the number of its rooms, and whether new rooms run it |
//! | | `p99_pass_us`, `longest_pass_us` | the time of a pass of the event loop, in microseconds: 99 of 100 take less, and the longest one. Null, unless passes are measured (`stateroom serve --measure-passes`) |
//!
//! # How connections end
//!
//! | close code | means |
//! | --- | --- |
//! | 1000, 3000 to 4999 | the room has closed the connection, or the operator has closed the connection, for the reason in the close frame |
//! | 1001 | the server goes away, the room has ended, or the client was silent for too long |
//! | 1002, 1007 | the client broke the WebSocket protocol, sent text that is not UTF-8, or sent a compressed message that cannot be inflated |
//! | 1008 | the room does not exist: it has ended after the request for it was accepted; the rest of a message did not come in time; the client has resumed its session on another connection; the client sent messages or data too fast; or the operator has closed the connection |
//! | 1009 | a message was larger than the server or the room takes |
//! | 1011 | the room failed; the next connection gets a new room |
//! | 1012 | the server restarts, or the session has ended that the client wanted to resume; connect again |
//! | 1013 | the client did not read what it was sent, the room has run out of client ids, the room is full, there are as many rooms as there may be, rooms are created too fast from the client's address, or the server is out of memory |
#![forbid(unsafe_code)]

#[cfg(feature = "auth")]
mod access;
mod admin_address;
#[cfg(feature = "rooms")]
mod admin_token;
mod admission;
mod close;
mod control;
mod error;
mod file_limit;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "wasm")]
mod guests;
mod http;
mod journal;
#[cfg(feature = "rooms")]
mod kept;
mod listen;
mod log_line;
mod memory;
mod metrics;
mod operator;
mod reactor;
mod requests;
mod room;
mod server;
mod session;
mod settings;
mod subnet;
mod tcp_address;
mod thread;
#[cfg(feature = "tls")]
mod tls;
mod websocket;
mod wire;
mod worker;

#[cfg(feature = "auth")]
pub use access::{Access, AuthUrl, Claims, Denial, Entry, SigningKey, TokenKey, Tokens};
pub use admin_address::AdminAddress;
#[cfg(feature = "rooms")]
pub use admin_token::AdminToken;
pub use error::{RoomError, ServeError};
pub use journal::DataError;
#[cfg(feature = "rooms")]
pub use kept::{
    DataReader, DataRooms, HistoryDetails, ImportError, KeptRoom, LoadedRoom, RoomDetails, RoomMemory,
    RoomsError,
};
pub use listen::{ListenAddress, Listeners};
pub use reactor::VirtualClock;
#[cfg(feature = "wasm")]
pub use server::Signals;
pub use server::{RenewedRooms, Replacement, RoomInfo, Server, ServerHandle, Stats};
#[cfg(feature = "proxy")]
pub use settings::TrustedProxy;
pub use settings::{
    AllowedOrigin, Durability, GeneratedIds, Recordings, RoomIds, Settings, ShutdownPolicy, Subprotocol,
    Upgrade,
};
#[cfg(feature = "built-in")]
pub use settings::{BuiltIn, Notices, Playground};
/// The crate with the traits and types that this interface uses, such as [`EngineFactory`](stateroom_core::engine::EngineFactory).
pub use stateroom_core;
pub use stateroom_core::settings::{Part, SettingProblem, SettingsError};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};

//! Runs Stateroom guests in a sandbox, without IO: events go in, effects come out.
//!
//! A [`Program`] is a loaded module. A [`Room`] is one instance of it, with its own state. The crate opens no socket,
//! reads no clock, starts no thread and prints nothing. Time and randomness are arguments, so the same events give
//! the same state and the same effects.
//!
//! # The loop
//!
//! The methods of [`Room`] are of four kinds. [`handle`](Room::handle) takes an event. [`resume`](Room::resume)
//! continues an event that has used up its slice. [`effects`](Room::effects) reads the effects that the last event
//! asks for. [`snapshot`](Room::snapshot) returns the state of the room.
//!
//! ```
//! use stateroom_host_min::{
//!     ClientId, ClientInfo, Effect, Event, Limits, MessagePayload, MessageRecipient, Program, Room, Step, Trap,
//! };
//!
//! /// Runs one event to its end, slice by slice, and does what it asks.
//! fn run(room: &mut Room, event: Event<'_>, now_ms: u64) -> Result<Vec<String>, Trap> {
//!     let mut step = room.handle(event, now_ms)?;
//!     while step == Step::Suspended {
//!         // A server lets other rooms run here.
//!         step = room.resume()?;
//!     }
//!     if step == Step::Refused {
//!         // The guest had no space for the message: a server closes the connection with 1009 here.
//!     }
//!     Ok(room
//!         .effects()
//!         .filter_map(|effect| match effect {
//!             // A server writes to sockets and sets clocks here.
//!             Effect::Send { recipient: MessageRecipient::Broadcast, payload } => payload.text(),
//!             _ => None,
//!         })
//!         .map(str::to_owned)
//!         .collect())
//! }
//!
//! # let module = wat::parse_str(r#"(module
//! #   (import "env" "send_message" (func $send (param i32 i32 i32)))
//! #   (memory (export "memory") 1)
//! #   (func (export "jam_malloc") (param i32) (result i32) i32.const 64)
//! #   (func (export "jam_free") (param i32 i32))
//! #   (func (export "initialize") (param i32 i32))
//! #   (func (export "connect") (param i32)) (func (export "disconnect") (param i32)) (func (export "timer"))
//! #   (func (export "message") (param $client i32) (param $at i32) (param $len i32)
//! #     (call $send (i32.const 0) (local.get $at) (local.get $len)))
//! #   (func (export "binary") (param i32 i32 i32)))"#)?;
//! let program = Program::load(&module, Limits::default())?;
//! let seed = [7; 32]; // from the system's random source
//! let mut room = program.room("lobby", seed)?;
//!
//! run(&mut room, Event::Init, 0)?;
//! run(&mut room, Event::Connect(ClientId(1), ClientInfo::NONE), 10)?;
//! let hello = Event::Message(ClientId(1), MessagePayload::Text("hello"));
//! assert_eq!(run(&mut room, hello, 20)?, ["hello"]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! Any module that was made for a Stateroom (or Jamsocket) host runs. There are two interfaces: the documented one
//! (`jam_malloc`, `initialize`, `message`, …), which this project's SDK uses, and that of the 0.4 line
//! (`stateroom_recv`). Modules may import WASI preview 1. It gives them a clock, random numbers, and standard output
//! as log lines. A module may use WebAssembly 1.0 with sign extension, bulk memory, saturating conversions, tail
//! calls and pages of one byte; references only in tables.
//!
//! # Snapshots
//!
//! Between two events, the whole state of a room can be taken out, kept, and put into a room again, in
//! another process if need be.
//!
//! ```
//! # use stateroom_host_min::{Event, Limits, Program, Room, Trap};
//! # fn example(program: &Program, room: Room) -> Result<(), Box<dyn core::error::Error>> {
//! let bytes = room.snapshot()?;
//! drop(room);
//! let mut room = program.restore(&bytes)?;
//! // It has had all its events, `Event::Init` included.
//! let _ = room.handle(Event::Timer, 30)?;
//! # Ok(()) }
//! ```
//!
//! What the host keeps for a room is the host's to save beside it: which clients are connected, and when the
//! timer is due. A restored room believes that its clients are still there, so those that are not any more
//! want an [`Event::Disconnect`] each; ids are not used again.
//!
//! # Idle rooms
//!
//! A room has all of its memory, of which it uses a small part as a rule. One that has no event for a while can
//! [hibernate](Room::hibernate): it gives up its instance and keeps what has changed. The next event wakes it.
//!
//! ```
//! # use stateroom_host_min::{Event, Room};
//! # fn example(room: &mut Room) -> Result<(), Box<dyn core::error::Error>> {
//! room.hibernate()?;
//! assert!(room.is_hibernating());
//! let _ = room.handle(Event::Timer, 40)?;
//! assert!(!room.is_hibernating());
//! # Ok(()) }
//! ```
//!
//! # In a server
//!
//! A [`Room`] is also an [`Engine`](stateroom_core::engine::Engine) and a [`Program`] an
//! [`EngineFactory`](stateroom_core::engine::EngineFactory), so that a server takes guests and native services alike.
//!
//! # What a guest can do
//!
//! Nothing but compute within its [`Limits`], and ask for effects. Whatever a module or a guest does, this
//! crate does not panic: a module is refused with a [`LoadError`], an event ends with a [`Trap`]. A thread
//! that runs rooms needs 256 KiB of native stack; with slices of more than a million units of fuel, up to a
//! megabyte.
//!
//! In builds of your own, let wasmi be either fully optimised or not at all. With optimisation *and* debug
//! assertions (a `dev` profile with `opt-level = 3`), its instructions take native stack without limit; set
//! `debug-assertions = false` for the package `wasmi` there. Optimised for size, they do so without the feature `small`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod client_info;
mod construction;
mod effects;
mod engine;
mod event;
mod growth;
mod hibernation;
mod image;
mod imports;
mod interface;
mod limits;
mod live;
mod load_error;
mod module;
mod operation;
mod program;
mod reader;
mod recv;
mod room;
mod service;
mod snapshot;
mod state;
mod tables;
mod trap;

pub use client_info::ClientInfo;
pub use effects::{Effect, Effects};
pub use event::{Event, Step};
pub use limits::Limits;
pub use load_error::{LoadError, Problem};
pub use program::Program;
pub use room::Room;
pub use snapshot::{RestoreError, SnapshotError};
// What events and effects are made of, so that a program needs no other crate for them.
pub use stateroom_core::settings::{SettingProblem, SettingsError};
pub use stateroom_core::{ClientId, LogLevel, MessagePayload, MessageRecipient, engine::Hibernation};
pub use trap::{Trap, TrapReason};

/// The code of the README, which is compiled here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

//! Runs Stateroom guests in a sandbox, without IO. It takes events and returns effects.
//!
//! A [`Program`] is a loaded module. A [`Room`] is one instance of it, with its own state. The crate does not
//! open sockets, read clocks, start threads or print. Time and randomness are arguments, so the same events
//! give the same state and the same effects.
//!
//! # The loop
//!
//! The main methods of [`Room`] are:
//!
//! - [`handle`](Room::handle) begins an event.
//! - [`resume`](Room::resume) continues an event that has used up its slice.
//! - [`effects`](Room::effects) returns the effects of the last event.
//! - [`snapshot`](Room::snapshot) returns the state of the room as bytes.
//! - [`hibernate`](Room::hibernate) frees most of the memory of an idle room.
//!
//! ```
//! use stateroom_host_min::{
//!     ClientId, ClientInfo, Effect, Event, Limits, MessagePayload, MessageRecipient, Program, Room, Step, Trap,
//! };
//!
//! /// Runs one event to its end, slice by slice, and carries out its effects.
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
//! Any module that was made for a Stateroom (or Jamsocket) host runs. There are two interfaces. The
//! documented one (`jam_malloc`, `initialize`, `message`, …) is the one of this project's SDK. The other one
//! (`stateroom_recv`) is that of modules made for Stateroom 0.4. Modules may import WASI preview 1. A clock,
//! random numbers and standard output (as log lines) work. Threads, files and sockets do not. A module may
//! use WebAssembly 1.0 with sign extension, bulk memory, saturating conversions, tail calls and pages of one
//! byte. It may use references only in tables.
//!
//! # Snapshots
//!
//! Between two events, a host can save the whole state of a room as bytes, and make a room from it again.
//! This works in another process, too.
//!
//! ```
//! # use stateroom_host_min::{Event, Limits, Program, Room, Trap};
//! # fn example(program: &Program, room: Room) -> Result<(), Box<dyn core::error::Error>> {
//! let bytes = room.snapshot()?;
//! drop(room);
//! let mut room = program.restore(&bytes)?;
//! // The room has already had `Event::Init`.
//! let _ = room.handle(Event::Timer, 30)?;
//! # Ok(()) }
//! ```
//!
//! In a restored room, the clients still count as connected. So the host must hand in an [`Event::Disconnect`] for
//! each client of [`Room::clients`] that is gone. It gives new clients the ids from [`Room::next_client`] on, and
//! hands in [`Event::Timer`] at [`Room::timer_due`].
//!
//! # Other programs
//!
//! A room can continue in another program, for example a new version of its guest, if both guests support it. See
//! [`Migration`].
//!
//! # Recordings
//!
//! A host can record a room: how it began, and its events with their outcomes. The events then run again at any
//! time, with this module or another one, and come to the same effects. See [`Recording`].
//!
//! # Idle rooms
//!
//! A room holds all of its memory, although it often uses only a small part. A room without events can
//! [hibernate](Room::hibernate): it drops its instance and keeps only the memory that has changed. The next
//! event restores the instance.
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
//! A [`Room`] is also an [`Engine`](stateroom_core::engine::Engine), and a [`Program`] is an
//! [`EngineFactory`](stateroom_core::engine::EngineFactory). So a server handles guests and native services
//! in the same way.
//!
//! # What a guest can do
//!
//! A guest can only compute within its [`Limits`] and ask for effects. No module and no guest can make this
//! crate panic: a module is refused with a [`LoadError`], and an event ends with a [`Trap`].
//!
//! # Native stack
//!
//! A thread that runs rooms needs this native stack. Each `memory.grow` of a guest takes about 200 bytes of
//! it until the slice is over, so it depends on [`Limits::slice`]:
//!
//! | units of fuel in a slice | growing takes at most | stack of the thread |
//! | --- | --- | --- |
//! | 20,000 (the default) | 1 KB | 256 KiB |
//! | up to 1 million | 50 KB | 256 KiB |
//! | up to 10 million (the maximum) | 500 KB | 1 MiB |
//!
//! These values are for a wasmi that is either fully optimised or not optimised. With optimisation *and*
//! debug assertions (a `dev` profile with `opt-level = 3`), wasmi's instructions take native stack without
//! limit. In such a profile, set `debug-assertions = false` for the package `wasmi`. If wasmi is optimised
//! for size, they also take stack without limit, except with the feature `small`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bincode;
mod checksum;
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
mod interpreter;
mod limits;
mod live;
mod load_error;
mod migration;
mod module;
mod operation;
mod presence;
mod program;
mod reader;
mod recording;
mod room;
mod snapshot;
mod state;
mod tables;
mod trap;

pub use client_info::ClientInfo;
pub use effects::{Effect, Effects};
pub use event::{Event, Step};
pub use limits::Limits;
pub use load_error::{LoadError, Problem};
pub use migration::{Migration, MigrationError};
pub use program::Program;
pub use recording::{
    EventResult, Outcome, OwnedEvent, Record, Recording, RecordingError, RecordingHeader, RecordingStart,
    Records, RecordsPosition,
};
pub use room::Room;
pub use snapshot::{RestoreError, SnapshotError};
// The types in events and effects, so that a program needs no other crate for them.
pub use stateroom_core::settings::{SettingProblem, SettingsError};
pub use stateroom_core::{ClientId, LogLevel, MessagePayload, MessageRecipient, engine::Hibernation};
pub use trap::{Trap, TrapReason};

/// The code of the README, which is compiled here.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

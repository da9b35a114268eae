//! The journal of a server whose rooms are kept on disk: a thread that writes what happens in rooms, and its handles on the
//! threads of the rooms. `docs/durability.md` describes what it promises.

mod directory;
mod files;
mod handle;
#[cfg(feature = "wasm")]
mod modules;
mod progress;
mod requests;
mod thread;
mod writer;

pub(crate) use directory::DataDirectory;
pub use directory::DataError;
pub(crate) use handle::{Journal, RoomNumber, Ticket};
#[cfg(feature = "wasm")]
pub(crate) use modules::Modules;
pub(crate) use thread::JournalThread;
pub(crate) use writer::History;

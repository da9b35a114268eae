//! The journal of a server whose rooms are kept on disk: a thread that writes what happens in rooms, and its handles on the
//! threads of the rooms. `docs/durability.md` describes what it promises.

mod directory;
mod files;
mod handle;
mod inquiry;
#[cfg(feature = "rooms")]
mod listing;
#[cfg(feature = "wasm")]
mod modules;
#[cfg(feature = "rooms")]
mod offline;
mod progress;
#[cfg(feature = "rooms")]
mod read_only;
mod requests;
mod thread;
mod writer;

pub(crate) use directory::DataDirectory;
pub use directory::DataError;
pub(crate) use handle::{Journal, RoomNumber, Ticket};
pub(crate) use inquiry::KeptRooms;
#[cfg(feature = "rooms")]
pub(crate) use inquiry::RoomOnDisk;
#[cfg(feature = "wasm")]
pub(crate) use modules::{Modules, hex};
#[cfg(feature = "rooms")]
pub(crate) use offline::{JournalEditor, JournalReader};
pub(crate) use thread::JournalThread;
pub(crate) use writer::{History, LoadError};

/// Returns the size of the largest entry of a journal, in bytes.
pub(crate) fn max_entry(journal_size: u64) -> u64 {
    // At most half of what the format allows.
    (journal_size / 4).min(512 << 20)
}

/// Returns whether histories of so many bytes leave no space for more rooms.
pub(crate) fn is_filling(live: u64, journal_size: u64) -> bool {
    live / 3 > journal_size / 8
}

/// Returns whether an event in a history is a note of the server: see `docs/reference/sessions.md`. All others are records of the
/// room's events, which begin with their length, and that is never zero.
pub(crate) fn is_note(event: &[u8]) -> bool {
    event.first() == Some(&NOTE)
}

/// The first byte of a note.
pub(crate) const NOTE: u8 = 0;

//! Rooms that are kept on disk, outside of the threads of rooms: what is known of them, and files with which they move to other
//! servers. `docs/durability.md` describes the files.

mod export;
mod import;
mod modules;
mod offline;
mod report;

pub(crate) use export::{export, sealed};
pub use import::ImportError;
pub(crate) use import::{Bounds, Import};
pub(crate) use modules::begin_cleaning;
pub use offline::{DataReader, DataRooms, RoomsError};
pub use report::{HistoryDetails, KeptRoom, LoadedRoom, RoomDetails, RoomMemory};

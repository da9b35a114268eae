//! Notes that clients share, as an Aper service. Compiled for WebAssembly this is the room; compiled for the
//! machine at hand it is what the client in `client.rs` shares with it.

mod notes;

pub use notes::{Change, Notes};

/// The room. The macro wants a name of this module.
#[cfg(target_family = "wasm")]
#[stateroom_wasm::stateroom_wasm]
pub type Service = aper_stateroom::AperStateroomService<Notes>;

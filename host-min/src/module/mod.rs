//! A module before the engine gets it: read, checked, and made ready to be a room.

mod admission;
mod inspect;
mod outline;
mod pieces;
mod prepare;

pub(crate) use admission::admit;
pub(crate) use inspect::{REACTOR, problems, wrong_version};
pub(crate) use outline::{AbiFlavor, Outline};
pub(crate) use pieces::{GROWN, LARGE};
pub(crate) use prepare::{FREEING, Layout, START, prepare};

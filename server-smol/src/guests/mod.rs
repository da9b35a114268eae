//! Rooms that run guests, and the replacement of their program while they run.

mod deployment;
mod guest_room;
mod recorder;
mod recording_file;
mod recordings;

pub(crate) use deployment::{Deployment, GuestFactory, ModuleStatus, Reload};

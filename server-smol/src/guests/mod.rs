//! Rooms that run guests, and the replacement of their program while they run.

mod deployment;
mod durable;
mod guest_room;
#[cfg_attr(not(feature = "recordings"), path = "no_recording.rs")]
mod recording;

pub(crate) use deployment::{Deployment, GuestFactory, ModuleStatus, Reload};

//! The `stateroom` command, run as people run it.
#![cfg(feature = "dev")]
#![forbid(unsafe_code)]

mod build;
mod dev;
mod directory;
mod guests;
mod inspect;
mod log;
mod new;
mod options;
#[cfg(unix)]
mod programs;
mod project;
mod running;
mod serve;

//! The `stateroom` command, run as people run it.
#![cfg(feature = "dev")]
#![forbid(unsafe_code)]

mod build;
mod client;
mod command_line;
mod dev;
mod directory;
mod guests;
mod inspect;
mod log;
mod options;
#[cfg(unix)]
mod programs;
mod project;
mod running;
mod serve;

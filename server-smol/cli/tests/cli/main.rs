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
#[cfg(target_os = "linux")]
mod keys;
mod log;
mod new;
mod options;
mod playground;
#[cfg(unix)]
mod programs;
mod project;
mod reload;
mod replay;
mod running;
mod serve;
mod socket;

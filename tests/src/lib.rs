//! The tools of the end-to-end tests: servers in this process and of their own, clients that can misbehave, guests
//! built from source.
//!
//! The tests are in `tests/e2e` and `tests/compat`. Everything here that waits does so for [`PATIENCE`] at most, and then says
//! what it waited for.
#![forbid(unsafe_code)]

mod child;
mod client;
#[cfg(target_os = "linux")]
mod cores;
mod counter;
#[cfg(target_os = "linux")]
mod dial;
mod directory;
mod documented;
mod foreign;
mod frame;
pub mod fuzzing;
mod grouped;
mod guest;
mod http;
mod inspect;
mod microcontroller;
mod module;
mod node;
#[cfg(unix)]
mod open_files;
mod records;
mod resumable;
mod server;
pub mod services;
pub mod tls;

use std::{
    fs::File,
    path::Path,
    thread,
    time::{Duration, Instant},
};

pub use child::{Child, Output, binary};
pub use client::{Client, Message};
#[cfg(target_os = "linux")]
pub use cores::Cores;
pub use counter::{Heard, counter, numbered};
#[cfg(target_os = "linux")]
pub use dial::dial;
pub use directory::Directory;
pub use documented::Documented;
pub use foreign::{Foreign, Profile, binaryen, foreign_client, run_npm_client};
pub use frame::Frame;
pub use grouped::grouped;
pub use guest::{Guest, broadcast, example, guest};
pub use http::Answer;
pub use inspect::inspect;
pub use microcontroller::microcontroller;
pub use module::{Module, saving};
pub use node::{in_json, run_in_changed_host, run_in_node};
#[cfg(unix)]
pub use open_files::more_files;
pub use records::{records, records_with};
pub use resumable::Resumable;
pub use server::{TestServer, request, server, status};

/// The time that a test waits for anything that should happen soon, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until no server uses the rooms in `data`, a directory that need not exist. A server that ends does not wait long for a slow disk.
///
/// # Panics
/// One uses it for [`PATIENCE`].
#[track_caller]
pub fn wait_until_unused(data: &Path) {
    eventually("no server uses the directory", || {
        File::open(data.join("lock")).map_or(true, |lock| lock.try_lock().is_ok())
    });
}

/// Waits until `condition` holds, where there is nothing to read from that would tell.
///
/// # Panics
/// It does not hold for [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

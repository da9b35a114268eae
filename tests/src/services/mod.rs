//! Services that tests talk to, each both native and, with its source, a guest. A crate has one room, and so
//! they are rooms on WebAssembly only.

mod bouncer;
mod gate;
mod journal;
mod script;
mod simple;

use stateroom_host_min::Program;
use stateroom_sdk_core::{DefaultStateroomFactory, SimpleStateroomFactory};

use crate::Guest;

pub use gate::Gate;

/// Returns the service that lets not everyone in, native.
#[must_use]
pub fn bouncer() -> DefaultStateroomFactory<bouncer::Bouncer> {
    DefaultStateroomFactory::default()
}

/// Returns the service that lets not everyone in, as a guest.
#[track_caller]
#[must_use]
pub fn bouncer_guest() -> Program {
    small("bouncer", include_str!("bouncer.rs"))
}

/// Returns the service that does what it is told, native.
#[must_use]
pub fn script() -> DefaultStateroomFactory<script::Script> {
    DefaultStateroomFactory::default()
}

/// Returns the service that does what it is told, as a guest.
#[track_caller]
#[must_use]
pub fn script_guest() -> Program {
    small("script", include_str!("script.rs"))
}

/// Returns the service that tells everyone of every event, native.
#[must_use]
pub fn journal() -> DefaultStateroomFactory<journal::Journal> {
    DefaultStateroomFactory::default()
}

/// Returns the service that tells everyone of every event, as a guest.
#[track_caller]
#[must_use]
pub fn journal_guest() -> Program {
    small("journal", include_str!("journal.rs"))
}

/// Returns a service of the older form, native.
#[must_use]
pub fn simple() -> SimpleStateroomFactory<simple::Simple> {
    SimpleStateroomFactory::default()
}

/// Returns a service of the older form, as a guest.
#[track_caller]
#[must_use]
pub fn simple_guest() -> Program {
    small("simple", include_str!("simple.rs"))
}

/// Returns a guest with an allocator but without the standard library.
#[track_caller]
fn small(name: &str, source: &str) -> Program {
    Guest::new(name, r#"["alloc"]"#, &format!("#![no_std]\n{source}")).program()
}

//! The rules of RFC 6455 as the Autobahn test suite checks them, against the real command. A case has the number that it has there,
//! and names all numbers that differ only in how the bytes are cut: here, each case is sent in several cuts. `tests/autobahn` runs
//! the suite itself.

mod case;
mod closing;
mod fragments;
mod framing;
mod limits;
mod opcodes;
mod pings;
mod reserved;
mod utf8;

use case::{Case, Echo};

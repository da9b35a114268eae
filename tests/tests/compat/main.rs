//! Guests that are not made with this project's SDK on this host, and guests that are on another. Each is
//! built from its source in `tests/guests`, and holds the same conversation. Each test is a fact that its
//! name states.
#![forbid(unsafe_code)]

mod abi;
mod aper;
mod conformance;
mod conversation;
mod counters;
mod languages;
mod portable;
mod published;
mod recv;
mod snapshots;

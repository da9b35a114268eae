//! Tests of a host of guests from outside, with modules written in the text format.

mod attacks;
mod effects;
mod errors;
mod extensions;
mod guest;
mod hibernation;
mod imports;
mod loading;
mod machine;
mod migration;
mod recordings;
mod recv;
mod replay;
mod service;
mod slices;
mod snapshots;
mod traps;
mod wasi;

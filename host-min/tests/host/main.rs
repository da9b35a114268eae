//! What a host of guests does, seen from outside, with modules written in the text format.

mod effects;
mod guest;
mod loading;
mod service;
mod slices;
mod traps;
mod wasi;

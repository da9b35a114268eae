//! The attribute's expansion passes the lints of its author.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused, nonstandard_style, unreachable_pub, non_local_definitions)]
#![deny(clippy::all, clippy::pedantic, clippy::panic, clippy::undocumented_unsafe_blocks)]

use stateroom_sdk_core::{StateroomService, stateroom_wasm};

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {}

fn main() {}

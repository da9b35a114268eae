//! Names that the attribute's expansion or the prelude has, too.
#![allow(dead_code, unused_macros)]

use stateroom_sdk_core::{StateroomService, stateroom_wasm};

mod core {}
struct Probe;
struct Result;
struct Option;
enum Some {}

macro_rules! panic {
    () => {};
}

#[derive(Default)]
enum Game<Board> {
    #[default]
    Waiting,
    Playing(Board),
}

impl<Board> StateroomService for Game<Board> {}

#[stateroom_wasm]
type Room = Game<u32>;

fn main() {}

use stateroom_sdk_core::*;

#[stateroom_wasm]
mod echo {}

fn main() {}

use stateroom_sdk_core::*;

#[stateroom_wasm]
fn main() {}

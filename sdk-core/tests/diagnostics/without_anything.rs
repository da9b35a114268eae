use stateroom_sdk_core::*;

#[stateroom_wasm]
struct Echo;

fn main() {}

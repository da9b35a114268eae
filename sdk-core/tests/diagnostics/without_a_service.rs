use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

fn main() {}

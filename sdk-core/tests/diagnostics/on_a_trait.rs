use stateroom_sdk_core::*;

#[stateroom_wasm]
pub trait Echo: StateroomService {}

fn main() {}

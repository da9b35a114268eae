use stateroom_sdk_core::*;

#[stateroom_wasm]
struct Echo;

impl StateroomService for Echo {}

fn main() {}

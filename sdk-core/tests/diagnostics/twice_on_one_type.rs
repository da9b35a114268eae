use stateroom_sdk_core::*;

#[stateroom_wasm]
#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {}

fn main() {}

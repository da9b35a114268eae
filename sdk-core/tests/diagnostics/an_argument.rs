use stateroom_sdk_core::*;

#[stateroom_wasm(name = "echo")]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {}

fn main() {}

use stateroom_sdk_core::*;

#[stateroom_wasm]
pub union Echo {
    number: u32,
}

impl StateroomService for Echo {}

fn main() {}

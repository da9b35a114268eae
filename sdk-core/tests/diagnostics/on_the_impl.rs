use stateroom_sdk_core::*;

#[derive(Default)]
struct Echo;

#[stateroom_wasm]
impl StateroomService for Echo {}

fn main() {
    let _ = Echo;
}

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {}

impl SimpleStateroomService for Echo {
    fn new(_: &str, _: &impl StateroomContext) -> Self {
        Self
    }
}

fn main() {}

use stateroom_sdk_core::{SimpleStateroomService, StateroomContext, stateroom_wasm};

/// It may have a `Default`, which is not used.
#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl SimpleStateroomService for Echo {
    fn new(_: &str, _: &impl StateroomContext) -> Self {
        Self
    }
}

fn main() {}

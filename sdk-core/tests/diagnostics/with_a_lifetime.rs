use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo<'a> {
    last: &'a str,
}

impl StateroomService for Echo<'_> {
    fn timer(&mut self, _: &impl StateroomContext) {
        self.last = "";
    }
}

fn main() {}

use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo<T> {
    last: Option<T>,
}

impl<T> StateroomService for Echo<T> {
    fn timer(&mut self, _: &impl StateroomContext) {
        self.last.take();
    }
}

fn main() {}

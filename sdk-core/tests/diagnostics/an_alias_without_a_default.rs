use stateroom_sdk_core::*;

pub struct Echo<T>(pub T);

impl<T> StateroomService for Echo<T> {}

#[stateroom_wasm]
type Room = Echo<u32>;

fn main() {}

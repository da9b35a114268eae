use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {}

mod elsewhere {
    use stateroom_sdk_core::*;

    #[stateroom_wasm]
    #[derive(Default)]
    struct Chat;

    impl StateroomService for Chat {}
}

fn main() {}

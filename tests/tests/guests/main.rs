//! The tests of the example guests once more, word for word: this time of the modules that are built from
//! them.
#![forbid(unsafe_code)]

mod failures;
mod likeness;

use stateroom_sdk_core::testing::TestRoom;
use stateroom_tests::guest;

/// Lets a guest's tests begin with rooms of its module.
macro_rules! tests {
    ($($name:ident: $package:literal $tests:literal)*) => {$(
        // The paths of what is inside begin where this file is.
        #[path = "."]
        mod $name {
            #[track_caller]
            fn room() -> super::TestRoom {
                super::TestRoom::of(super::guest($package))
            }

            #[path = $tests]
            mod tests;
        }
    )*};
}

tests! {
    echo: "echo" "../../../examples/echo/src/tests.rs"
    binary_echo: "binary-echo" "../../../examples/binary-echo/src/tests.rs"
    counter: "counter" "../../../examples/counter/src/tests.rs"
    clock: "clock" "../../../examples/clock/src/tests.rs"
    presence: "presence" "../../../examples/presence/src/tests.rs"
    pixels: "pixels" "../../../examples/pixels/src/tests.rs"
    cursors: "cursors" "../../../examples/cursors/src/tests.rs"
    duel: "duel" "../../../examples/duel/src/tests.rs"
    chat: "chat" "../../../examples/chat/src/tests.rs"
    todo: "todo" "../../../examples/todo/src/tests.rs"
    vote: "vote" "../../../examples/vote/src/tests.rs"
    yjs: "yjs" "../../../examples/yjs/src/tests.rs"
    seed_echo: "seed-echo" "../../../examples/seed-echo/src/tests.rs"
}

//! A module that fails in a test fails the test, with its reason.

use stateroom_sdk_core::testing::{Duration, NOTHING, TestRoom};
use stateroom_tests::Module;

#[test]
#[should_panic(expected = "the room failed: the guest failed in `message`: ")]
fn a_trap_fails_the_test() {
    let room = TestRoom::of(Module::new().told("unreachable").program());
    let client = room.connect();
    client.send("hello");
    assert_eq!(client.received(), ["hello"]);
    client.send("!");
}

#[test]
#[should_panic(expected = "the room failed: the guest failed in `initialize`: ")]
fn a_trap_before_anybody_has_come_fails_the_test() {
    TestRoom::of(Module::new().initialize("unreachable").program()).connect();
}

#[test]
#[should_panic(expected = "the room has no space for this message")]
fn a_message_that_is_refused_fails_the_test() {
    let malloc = "(select (i32.const -1) (i32.const 4096) (i32.gt_u (local.get $size) (i32.const 5)))";
    let client = TestRoom::of(Module::new().malloc(malloc).program()).connect();
    client.send("hello");
    assert_eq!(client.received(), ["hello"]);
    client.send("hello!");
}

#[test]
fn an_event_in_many_slices_is_over_when_the_call_returns() {
    let module = Module::new().limits(|limits| limits.slice = 1000).told(
        "(loop $again
            (br_if $again
                (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000))))
        (call $set_timer (i32.const 5))",
    );
    let module = module.timer("(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))");
    let room = TestRoom::of(module.program());
    let client = room.connect();
    client.send("!");
    assert_eq!(client.received(), ["!"]);
    room.advance(Duration::from_millis(4));
    assert_eq!(client.received(), NOTHING);
    room.advance(Duration::from_millis(1));
    assert_eq!(client.received(), ["hello"]);
}

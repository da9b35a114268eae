//! Faults of the engine that the host avoids.

use stateroom_core::MessagePayload;
use stateroom_host_min::Step;

use super::{CONNECT, every_event_ends};
use crate::guest::{connect, finish, program, room, said};

/// Returns a guest that is told a number by `connect`, and sends `y` or `n`.
fn chooses(condition: &str) -> String {
    format!(
        r#"(memory (export "memory") 1) (data (i32.const 0) "yn")
        (func $same (param i32) (result i32) (local.get 0))
        (func $choose (param $n i32) (param $other i32) (result i32)
            (select (i32.const 0) (i32.const 1) {condition}))
        (func (export "connect") (param $n i32)
            (call $send (i32.const 0) (call $choose (local.get $n) (i32.const 5)) (i32.const 1)))"#
    )
}

#[test]
fn a_choice_after_a_test_for_zero_is_made_by_that_test() {
    for (condition, when_zero) in [
        ("(i32.eqz (local.get $n))", "y"),
        ("(i32.eqz (i32.eqz (local.get $n)))", "n"),
        ("(i32.eq (local.get $n) (i32.const 0))", "y"),
        ("(i32.eq (i32.const 0) (local.get $n))", "y"),
        ("(i32.ne (local.get $n) (i32.const 0))", "n"),
        ("(i32.eqz (call $same (local.get $n)))", "y"),
        ("(i32.eqz (block (result i32) (local.get $n)))", "y"),
        ("(local.get $n)", "n"),
        ("(i32.gt_u (local.get $n) (i32.const 0))", "n"),
    ] {
        let mut room = room(&chooses(condition));
        for number in [0, 1, 2, 0, 0x8000_0000, u32::MAX, 0] {
            assert_eq!(finish(&mut room, connect(number)), Ok(Step::Done));
            let other = if when_zero == "y" { "n" } else { "y" };
            let expected = if number == 0 { when_zero } else { other };
            assert_eq!(said(&room), [expected], "{condition} of {number}");
        }
    }
}

#[test]
fn a_value_may_be_stored_at_a_far_place_that_depends_on_it() {
    for (ty, value) in [("i32", "(local.get 0)"), ("i64", "(i64.extend_i32_u (local.get 0))")] {
        for store in ["store", "store8", "store16", "store32"] {
            if (ty, store) == ("i32", "store32") {
                continue;
            }
            for offset in [65_535, 65_536, 100_000] {
                let fields = format!(
                    r#"(memory (export "memory") 3)
                    (func (export "connect") (param i32)
                        ({ty}.{store} offset={offset} (local.tee 0 (i32.add (local.get 0) (i32.const 1))) {value})
                        (call $send_binary (i32.const 0) (i32.const {}) (i32.const 3)))"#,
                    offset + 1
                );
                let mut room = room(&fields);
                assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done), "{ty}.{store} {offset}");
                let sent: Vec<_> = room.effects().collect();
                let stored = format!("{:?}", MessagePayload::Bytes(&[0, 2, 0]));
                assert!(format!("{sent:?}").contains(&stored), "{ty}.{store} {offset}: {sent:?}");
            }
        }
    }
    let set = r#"(memory (export "memory") 3) (func (export "connect") (param i32)
        (local.set 0 (i32.add (local.get 0) (i32.const 1)))
        (i32.store offset=65536 (local.get 0) (local.get 0)))"#;
    every_event_ends(&mut program(set).room("a", [0; 32]).unwrap(), 1);
}

//! Tests of imports with more bytes than they handle in one step.

use stateroom_core::{LogLevel, MessagePayload};
use stateroom_host_min::{Effect, Event, Limits, Program, Room, Step, TrapReason};

use crate::guest::{finish, program_with, text, wat};

const WASI: &str = r#"
    (import "env" "stateroom_send" (func $stateroom_send (param i32 i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))"#;

fn program(timer: &str, limits: Limits) -> Program {
    // Characters of one to four bytes, all over the first 2 MiB.
    let fields = format!(
        r#"{WASI} (memory (export "memory") 40) (data (i32.const 0) "a\c3\a4\e2\82\ac\f0\9f\98\80")
        (type $send (func (param i32 i32 i32))) (type $random (func (param i32 i32) (result i32)))
        (table funcref (elem $send $random_get))
        (func (export "initialize") (param i32 i32) (local $at i32)
            (loop (memory.copy (i32.add (local.get $at) (i32.const 10)) (local.get $at) (i32.const 10))
                (local.set $at (i32.add (local.get $at) (i32.const 10)))
                (br_if 0 (i32.lt_u (local.get $at) (i32.const 2000000)))))
        {timer}"#
    );
    program_with(&fields, limits)
}

fn room(timer: &str, slice: u64) -> Room {
    let mut limits = Limits::default();
    limits.slice = slice;
    let mut room = program(timer, limits).room("lobby", [3; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    room
}

fn timer(body: &str) -> String {
    format!(r#"(func (export "timer") {body})"#)
}

/// Returns the text in its memory.
fn pattern(at: usize, len: usize) -> String {
    let bytes: Vec<u8> = "aä€😀".bytes().cycle().skip(at).take(len).collect();
    String::from_utf8(bytes).unwrap()
}

/// Runs the room's timer: how many slices it takes, and how it ends.
fn run(room: &mut Room) -> (usize, Result<Step, TrapReason>) {
    let (mut slices, mut step) = (1, room.handle(Event::Timer, 0));
    while step == Ok(Step::Suspended) {
        assert_eq!(room.effects().count(), 0);
        (slices, step) = (slices + 1, room.resume());
    }
    (slices, step.map_err(|trap| trap.reason().clone()))
}

fn payloads(room: &Room) -> Vec<&[u8]> {
    let payload = |effect| match effect {
        Effect::Send { payload: MessagePayload::Text(text), .. } => Some(text.as_bytes()),
        Effect::Send { payload: MessagePayload::Bytes(bytes), .. } => Some(bytes),
        _ => None,
    };
    room.effects().filter_map(payload).collect()
}

#[test]
fn large_messages_are_sent_in_pieces_and_arrive_whole() {
    for slice in [1_000, 20_000, 10_000_000] {
        let mut room = room(
            &timer(
                "(call $send (i32.const 0) (i32.const 20) (i32.const 1000000))
                (call $send_binary (i32.const 0) (i32.const 7) (i32.const 65537))
                (call $send (i32.const 0) (i32.const 0) (i32.const 65536))
                (call $send (i32.const 0) (i32.const 0) (i32.const 10))",
            )
            .replace("65536", "65530"),
            slice,
        );
        let (slices, result) = run(&mut room);
        assert_eq!(result, Ok(Step::Done));
        assert!(slices > 17, "{slices}");
        let bytes = "aä€😀".repeat(7_000);
        let expected = [&pattern(0, 1_000_000), &bytes[..0], &pattern(0, 65_530), "aä€😀"];
        let sent = payloads(&room);
        assert_eq!(sent.len(), 4);
        for index in [0, 2, 3] {
            assert!(sent[index] == expected[index].as_bytes(), "{index}");
        }
        assert!(sent[1] == &bytes.as_bytes()[7..7 + 65_537]);
    }
}

#[test]
fn what_an_import_answers_comes_behind_all_of_its_pieces() {
    let random = |at, len: u32, by: &str| {
        let body = format!(
            "(if {by} (then (unreachable)))
            (call $send_binary (i32.const 0) (i32.const {at}) (i32.const {len}))"
        );
        let mut room = room(&timer(&body), 20_000);
        assert_eq!(run(&mut room).1, Ok(Step::Done));
        payloads(&room)[0].to_vec()
    };
    // The same numbers as in small pieces.
    let numbers = random(64, 200_000, "(call $random_get (i32.const 64) (i32.const 200000))");
    let small = "(i32.or (call $random_get (i32.const 64) (i32.const 60000))
        (i32.or (call $random_get (i32.const 60064) (i32.const 60000))
            (i32.or (call $random_get (i32.const 120064) (i32.const 60000))
                (call $random_get (i32.const 180064) (i32.const 20000)))))";
    assert!(numbers == random(64, 200_000, small));
    let indirect = "(call_indirect (type $random) (i32.const 64) (i32.const 200000) (i32.const 1))";
    assert!(numbers == random(64, 200_000, indirect));
    let own = "(block (result i32) (call $random (i32.const 64) (i32.const 200000)) (i32.const 0))";
    assert!(numbers == random(64, 200_000, own));
}

#[test]
fn an_import_may_be_called_in_any_way() {
    for fields in [
        timer("(return_call $send (i32.const 0) (i32.const 0) (i32.const 100000))"),
        timer(
            "(return_call_indirect (type $send) (i32.const 0) (i32.const 0) (i32.const 100000) (i32.const 0))",
        ),
        timer("(call_indirect (type $send) (i32.const 0) (i32.const 0) (i32.const 100000) (i32.const 0))"),
        format!(
            "{} (func $f (return_call $send (i32.const 0) (i32.const 0) (i32.const 100000)))",
            timer(
                "(local i32) (local.set 0 (i32.const 5)) (call $f) (if (i32.ne (local.get 0) (i32.const 5)) (then unreachable))"
            )
        ),
    ] {
        let mut room = room(&fields, 20_000);
        let (slices, result) = run(&mut room);
        assert_eq!(result, Ok(Step::Done), "{fields}");
        assert!(slices >= 2 && payloads(&room) == [pattern(0, 100_000).as_bytes()], "{fields}");
    }
}

#[test]
fn an_import_may_be_what_takes_a_message() {
    let fields = r#"(import "env" "send_binary" (func $send (param i32 i32 i32))) (export "message" (func $send))
        (memory (export "memory") 8) (func (export "jam_malloc") (param i32) (result i32) (i32.const 0))"#;
    let mut room = Program::load(&wat(fields), Limits::default()).unwrap().room("lobby", [0; 32]).unwrap();
    let message = "x".repeat(300_000);
    assert_eq!(finish(&mut room, text(&message)), Ok(Step::Done));
    assert!(payloads(&room) == [message.as_bytes()]);
}

#[test]
fn random_numbers_may_be_what_a_start_takes() {
    // The room's id is where the numbers go, as many as it has bytes.
    let fields = r#"(import "stateroom" "random" (func $random (param i32 i32)))
        (import "env" "send_binary" (func $send_binary (param i32 i32 i32)))
        (export "initialize" (func $random))
        (memory (export "memory") 8) (func (export "jam_malloc") (param i32) (result i32) (i32.const 0))
        (func (export "timer") (call $send_binary (i32.const 0) (i32.const 0) (i32.const 100000)))"#;
    let id = "x".repeat(100_000);
    let mut room = Program::load(&wat(fields), Limits::default()).unwrap().room(&id, [0; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
    assert!(payloads(&room)[0].iter().filter(|byte| **byte == b'x').count() < 1_000);
}

#[test]
fn a_large_line_for_the_log_is_one_line() {
    let mut room = room(&timer("(call $log (i32.const 3) (i32.const 0) (i32.const 1000000))"), 20_000);
    let (slices, result) = run(&mut room);
    assert_eq!(result, Ok(Step::Done));
    assert!(slices > 16, "{slices}");
    let expected = pattern(0, 1_000_000);
    assert!(room.effects().eq([Effect::Log { level: LogLevel::Info, text: &expected }]));
}

#[test]
fn a_guest_of_the_0_4_line_sends_in_pieces_too() {
    let message = |len: u32, kind: u32| {
        format!(
            "(i64.store (i32.const 0) (i64.const 0)) (i32.store (i32.const 8) (i32.const {kind}))
            (i64.store (i32.const 12) (i64.const {len}))
            (call $stateroom_send (i32.const 0) (i32.const 1000020))"
        )
    };
    for kind in [0, 1] {
        let mut room = room(&timer(&message(1_000_000, kind)), 20_000);
        let (slices, result) = run(&mut room);
        assert_eq!(result, Ok(Step::Done));
        assert!(slices > 16 && payloads(&room) == [pattern(0, 1_000_000).as_bytes()], "{slices}");
    }
    let mut broken = room(&timer(&message(999_999, 1)), 20_000);
    assert!(matches!(run(&mut broken).1, Err(TrapReason::Malformed(_))), "the text ends in a character");
    let mut broken = room(&timer(&message(1_000_001, 1)), 20_000);
    assert!(matches!(run(&mut broken).1, Err(TrapReason::Malformed(_))), "there is less than that");
}

#[test]
fn what_is_wrong_with_a_large_piece_is_found_as_with_a_small_one() {
    let broken = |before: &str, call: &str| run(&mut room(&timer(&format!("{before} {call}")), 20_000)).1;
    let send = "(call $send (i32.const 0) (i32.const 0) (i32.const 1000000))";
    for at in [0, 3, 65_535, 65_536, 500_000, 999_999] {
        let bad = format!("(i32.store8 (i32.const {at}) (i32.const 0xff))");
        assert_eq!(broken(&bad, send), Err(TrapReason::NotUtf8), "{at}");
    }
    for (call, reason) in [
        (
            "(call $send (i32.const 0) (i32.const 2000000) (i32.const 1000000))",
            TrapReason::OutOfBounds { at: 2_000_000, len: 1_000_000, memory: 40 << 16 },
        ),
        (
            "(call $random (i32.const 2000000) (i32.const -1))",
            TrapReason::OutOfBounds { at: 2_000_000, len: u32::MAX, memory: 40 << 16 },
        ),
        (
            "(call $random (i32.const 0) (i32.const 1048577))",
            TrapReason::MessageTooLarge { size: 1_048_577, limit: 1 << 20 },
        ),
        (
            "(call $log (i32.const 0) (i32.const 0) (i32.const 1048577))",
            TrapReason::MessageTooLarge { size: 1_048_577, limit: 1 << 20 },
        ),
        (
            "(call $send (i32.const 0) (i32.const 0) (i32.const 2000000))
             (call $send (i32.const 0) (i32.const 0) (i32.const 2000000))
             (call $send (i32.const 0) (i32.const 0) (i32.const 200000))",
            TrapReason::TooManyEffectBytes { limit: 4 << 20 },
        ),
        ("(call $send (i32.const 0) (i32.const 0) (i32.const 999999))", TrapReason::NotUtf8),
        (
            "(call $close (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 2000000))",
            TrapReason::CloseReasonTooLong { size: 2_000_000 },
        ),
    ] {
        assert_eq!(broken("", call), Err(reason), "{call}");
    }
}

#[test]
fn large_pieces_cost_the_same_in_slices_of_any_size() {
    let send = timer(
        "(call $send (i32.const 0) (i32.const 0) (i32.const 1000000))
        (call $random (i32.const 0) (i32.const 1000000))",
    );
    // As much as 500,000 and 1,000,000 instructions.
    for slice in [1_000, 20_000, 10_000_000] {
        for (fuel, ends) in [(1_500_200, true), (1_499_000, false), (400_000, false)] {
            let mut limits = Limits::default();
            limits.slice = slice;
            let mut room = program(&send, limits).room("lobby", [3; 32]).unwrap();
            assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
            let snapshot = room.snapshot().unwrap();
            (limits.fuel, limits.slice) = (fuel, slice.min(fuel));
            let mut room = program(&send, limits).restore(&snapshot).unwrap();
            let expected = if ends { Ok(Step::Done) } else { Err(TrapReason::OutOfFuel { limit: fuel }) };
            assert_eq!(run(&mut room).1, expected, "slices of {slice}, {fuel} units");
        }
    }
}

#[test]
fn a_large_write_to_standard_output_is_a_partial_one() {
    // It writes all of it, as libraries do: in a loop.
    let write = timer(
        r"(local $at i32) (local $left i32) (local.set $left (i32.const 200000))
        (loop
            (i32.store (i32.const 2100000) (local.get $at)) (i32.store (i32.const 2100004) (local.get $left))
            (drop (call $fd_write (i32.const 1) (i32.const 2100000) (i32.const 1) (i32.const 2100008)))
            (if (i32.gt_u (i32.load (i32.const 2100008)) (i32.const 65536)) (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.load (i32.const 2100008))))
            (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 2100008))))
            (br_if 0 (local.get $left)))",
    );
    let mut room = room(&write, 20_000);
    assert_eq!(run(&mut room).1, Ok(Step::Done));
    let expected = pattern(0, 200_000);
    assert!(room.effects().eq([Effect::Log { level: LogLevel::Info, text: &expected }]));
}

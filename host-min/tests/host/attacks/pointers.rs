//! Addresses and lengths that a guest does not have.

use stateroom_host_min::{Effect, Event, Limits, Step, TrapReason};

use super::CONNECT;
use crate::guest::{bytes, finish, room, room_with, said, text};

const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
    (import "env" "abort" (func $abort (param i32 i32 i32 i32)))"#;

/// Returns what comes of a call in a guest with one page of memory.
fn call(call: &str) -> Result<Step, TrapReason> {
    let fields = format!(
        r#"{WASI} (memory (export "memory") 1) (data (i32.const 0) "\ff")
        (func (export "connect") (param i32) {call})"#
    );
    finish(&mut room(&fields), CONNECT).map_err(|trap| trap.reason().clone())
}

#[test]
fn imports_reject_what_lies_outside_the_memory() {
    for name in ["$send", "$send_binary", "$log", "$random", "$random_get"] {
        let given = |at: u32, len: u32| {
            let first = if name.starts_with("$random") { "" } else { "(i32.const 0)" };
            let last = if name == "$random_get" { "drop" } else { "" };
            call(&format!("(call {name} {first} (i32.const {at}) (i32.const {len})) {last}"))
        };
        for (at, len) in [(65536, 1), (65535, 2), (0, 65537), (1, 65536), (u32::MAX, 1), (65537, 0)] {
            assert_eq!(given(at, len), Err(TrapReason::OutOfBounds { at, len, memory: 65536 }), "{name}");
        }
        // The sum overflows 32 bits, to an address that there is.
        for (at, len) in [(1, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 2), (1 << 31, 1 << 31)] {
            let reason = given(at, len).unwrap_err();
            let outside = reason == TrapReason::OutOfBounds { at, len, memory: 65536 };
            let random = matches!(reason, TrapReason::MessageTooLarge { .. }) && name.starts_with("$random");
            assert!(outside || random, "{name} {reason:?}");
        }
        for (at, len) in [(65536, 0), (65535, 1), (1, 65535)] {
            assert_eq!(given(at, len), Ok(Step::Done), "{name} can reach the last byte");
        }
    }
}

#[test]
fn results_go_into_the_guests_memory_or_nowhere() {
    for name in ["clock_time_get (i32.const 0) (i64.const 0)", "clock_res_get (i32.const 0)"] {
        let at = |at: u32| call(&format!("(drop (call ${name} (i32.const {at})))"));
        assert_eq!(at(65528), Ok(Step::Done));
        for wrong in [65529, 65536, u32::MAX - 7, u32::MAX] {
            assert_eq!(at(wrong), Err(TrapReason::OutOfBounds { at: wrong, len: 8, memory: 65536 }));
        }
    }
    for name in ["environ_sizes_get", "args_sizes_get"] {
        for (count, size) in [(65533, 0), (0, 65533), (u32::MAX, 0), (0, u32::MAX)] {
            let at = count.max(size);
            let result = call(&format!("(drop (call ${name} (i32.const {count}) (i32.const {size})))"));
            assert_eq!(result, Err(TrapReason::OutOfBounds { at, len: 4, memory: 65536 }));
        }
    }
    for name in ["environ_get", "args_get"] {
        let result = call(&format!("(drop (call ${name} (i32.const -1) (i32.const -1)))"));
        assert_eq!(result, Ok(Step::Done), "there is nothing to write");
    }
}

/// `fd_write` with pieces at 8, of which the first two are given, and the place for the size at 0.
fn fd_write(pieces: [(u32, u32); 2], count: u32) -> Result<Step, TrapReason> {
    let [(at, len), (at2, len2)] = pieces;
    call(&format!(
        "(i32.store (i32.const 8) (i32.const {at})) (i32.store (i32.const 12) (i32.const {len}))
        (i32.store (i32.const 16) (i32.const {at2})) (i32.store (i32.const 20) (i32.const {len2}))
        (if (i32.ne (call $fd_write (i32.const 1) (i32.const 8) (i32.const {count}) (i32.const 0)) (i32.const 0))
            (then unreachable))"
    ))
}

#[test]
fn the_pieces_of_a_write_are_checked_one_by_one() {
    assert_eq!(fd_write([(1000, 64536), (0, 0)], 1), Ok(Step::Done));
    assert_eq!(fd_write([(8, 16), (8, 16)], 2), Ok(Step::Done), "pieces may overlap, and lie in themselves");
    for (at, len) in [(1000, 64537), (65536, 1), (u32::MAX, 1), (1, u32::MAX), (1 << 31, 1 << 31)] {
        let reason = TrapReason::OutOfBounds { at, len, memory: 65536 };
        assert_eq!(fd_write([(at, len), (0, 0)], 1), Err(reason.clone()));
        assert_eq!(fd_write([(0, 1), (at, len)], 2), Err(reason));
    }
    for count in [1025, 1 << 29, 1 << 31, u32::MAX] {
        let answers = "it answers with an error number";
        assert_eq!(fd_write([(0, 1); 2], count), Err(TrapReason::Unreachable), "{answers}");
    }
    let list = call("(drop (call $fd_write (i32.const 1) (i32.const 65529) (i32.const 1) (i32.const 0)))");
    assert_eq!(list, Err(TrapReason::OutOfBounds { at: 65529, len: 8, memory: 65536 }));
    let size = call("(drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 65533)))");
    assert_eq!(size, Err(TrapReason::OutOfBounds { at: 65533, len: 4, memory: 65536 }));
}

#[test]
fn a_write_of_the_same_piece_many_times_is_limited() {
    // 1024 pieces of 64 KiB: 64 MiB of a memory of one page.
    let fields = format!(
        r#"{WASI} (memory (export "memory") 1)
        (func (export "timer") (local $n i32)
            (loop (i32.store (i32.shl (local.get $n) (i32.const 3)) (i32.const 0))
                (i32.store offset=4 (i32.shl (local.get $n) (i32.const 3)) (i32.const 65536))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 1024))))
            (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1024) (i32.const 8192))))"#
    );
    let trap = finish(&mut room(&fields), Event::Timer).unwrap_err();
    let expected = TrapReason::MessageTooLarge { size: (1 << 20) + 65536, limit: 1 << 20 };
    assert_eq!(*trap.reason(), expected);
}

#[test]
fn the_text_of_an_abort_is_bounded() {
    // A string that says that it has 4 GiB, or as much as there is.
    for size in ["0xffffffff", "0x10000", "1024"] {
        let result = call(&format!(
            "(i32.store (i32.const 0) (i32.const {size})) (memory.fill (i32.const 4) (i32.const 0x61) (i32.const 60000))
            (call $abort (i32.const 4) (i32.const 4) (i32.const -1) (i32.const -1))"
        ));
        let Err(TrapReason::Aborted { message }) = result else { panic!("{result:?}") };
        assert!((1024..8192).contains(&message.len()), "{}", message.len());
    }
    for at in ["0", "3", "-1", "65536", "0x80000000"] {
        let result =
            call(&format!("(call $abort (i32.const {at}) (i32.const {at}) (i32.const 0) (i32.const 0))"));
        assert_eq!(result, Err(TrapReason::Aborted { message: " (:0:0)".into() }));
    }
}

#[test]
fn data_is_written_where_the_guest_says_and_only_inside_its_memory() {
    let echo = |at: u32| {
        format!(
            r#"(global $n (mut i32) (i32.const 0))
            (func (export "jam_malloc") (param i32) (result i32)
                (global.set $n (i32.add (global.get $n) (i32.const 1)))
                (select (i32.const 64) (i32.const {at}) (i32.eq (global.get $n) (i32.const 1))))
            (func (export "message") (param $client i32) (param $at i32) (param $len i32)
                (if (i32.ne (local.get $at) (i32.const {at})) (then unreachable))
                (call $send (i32.const 0) (local.get $at) (local.get $len)))
            (func (export "binary") (param $client i32) (param $at i32) (param $len i32) unreachable)"#
        )
    };
    // Odd addresses, and 0, and the last one.
    for at in [0, 1, 3, 1023, 65533] {
        let mut room = room(&echo(at));
        assert_eq!(finish(&mut room, text("abc")), Ok(Step::Done), "{at}");
        assert_eq!(said(&room), ["abc"]);
    }
    for at in [65534, 65536, 1 << 31, u32::MAX - 2, u32::MAX] {
        let mut room = room(&echo(at));
        assert_eq!(finish(&mut room, text("abc")), Ok(Step::Refused), "{at}");
        assert_eq!(finish(&mut room, bytes(b"abc")), Ok(Step::Refused), "{at}");
        assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done), "the room lives on");
    }
    let mut room = room(&echo(65536));
    assert_eq!(finish(&mut room, text("")), Ok(Step::Done), "nothing, at the very end");
    assert_eq!(finish(&mut self::room(&echo(65537)), text("")), Ok(Step::Refused));
}

#[test]
fn the_host_keeps_no_address_while_memory_grows() {
    // The place for the message is there only because `jam_malloc` makes it.
    let fields = r#"(memory (export "memory") 1)
        (func (export "jam_malloc") (param i32) (result i32)
            (i32.mul (memory.grow (i32.const 20)) (i32.const 65536)))
        (func (export "message") (param $client i32) (param $at i32) (param $len i32)
            (drop (memory.grow (i32.const 20)))
            (call $send (i32.const 0) (local.get $at) (local.get $len)))"#;
    let mut room = room(fields);
    for sent in ["one", &"two".repeat(300_000)] {
        assert_eq!(finish(&mut room, text(sent)), Ok(Step::Done));
        assert_eq!(said(&room), [sent]);
    }
}

#[test]
fn a_guest_that_changes_a_message_after_sending_it_changes_nothing() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "message") (param $client i32) (param $at i32) (param $len i32)
            (call $send (i32.const 0) (local.get $at) (local.get $len))
            (memory.fill (local.get $at) (i32.const 0xff) (local.get $len)))"#;
    let mut room = room(fields);
    assert_eq!(finish(&mut room, text("text")), Ok(Step::Done));
    assert_eq!(said(&room), ["text"]);
}

#[test]
fn a_flood_ends_with_its_event_and_leaves_nothing_but_log_lines() {
    let run = |limits: Limits, body: &str| {
        let fields = format!(
            r#"(memory (export "memory") 1)
            (func (export "timer") (local $n i32)
                (loop {body} (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $n) (i32.const 100000)))))"#
        );
        let mut room = room_with(&fields, limits);
        let result = finish(&mut room, Event::Timer).map_err(|trap| trap.reason().clone());
        (
            result,
            room.effects().filter(|effect| matches!(effect, Effect::Log { .. })).count(),
            room.effects().count(),
        )
    };
    let few = Limits::default();
    let too_many = Err(TrapReason::TooManyEffects { limit: few.effects });
    assert_eq!(run(few, "(call $send (i32.const 0) (i32.const 0) (i32.const 1))"), (too_many.clone(), 0, 0));
    assert_eq!(run(few, "(call $set_timer (local.get $n))"), (too_many.clone(), 0, 0));
    let logs = "(call $log (i32.const 1) (i32.const 0) (i32.const 1))";
    assert_eq!(run(few, logs), (too_many, few.effects, few.effects));

    let mut many = few;
    many.effects = 100_000;
    assert_eq!(
        run(many, "(call $send (i32.const 0) (i32.const 0) (i32.const 1))"),
        (Ok(Step::Done), 0, 100_000)
    );
    let kilobyte = "(call $send_binary (i32.const 0) (i32.const 0) (i32.const 1024))";
    let bytes = Err(TrapReason::TooManyEffectBytes { limit: many.effect_bytes });
    assert_eq!(run(many, kilobyte), (bytes, 0, 0));
}

#[test]
fn every_recipient_can_be_named_and_none_hurts() {
    let fields = r#"(func (export "connect") (param i32)
        (call $send (i32.const 0x80000000) (i32.const 0) (i32.const 1))
        (call $send (i32.const 0x7fffffff) (i32.const 0) (i32.const 1))
        (call $send (i32.const -1) (i32.const 0) (i32.const 1))
        (call $log (i32.const -1) (i32.const 0) (i32.const 1)) (call $set_timer (i32.const -1)))"#;
    let mut room = room(fields);
    assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
    assert_eq!(room.effects().count(), 5);
}

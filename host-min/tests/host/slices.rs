use stateroom_host_min::{Event, Limits, Room, Step, TrapReason};

use crate::guest::{connect, program_with, said, text};

/// A guest that sends "ab", with a long computation before each letter; `jam_malloc` and `jam_free` take their time,
/// too.
const SLOW: &str = r#"
    (memory (export "memory") 1) (data (i32.const 0) "ab")
    (global $worked (mut i32) (i32.const 0))
    (func $work (param $n i32)
        (loop
            (global.set $worked (i32.add (global.get $worked) (i32.const 1)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if 0 (local.get $n))))
    (func (export "jam_malloc") (param i32) (result i32) (call $work (i32.const 1000)) i32.const 64)
    (func (export "jam_free") (param i32 i32) (call $work (i32.const 1000)))
    (func (export "message") (param i32 i32 i32)
        (call $work (i32.const 10000)) (call $send (i32.const 0) (i32.const 0) (i32.const 1))
        (call $work (i32.const 10000)) (call $send (i32.const 0) (i32.const 1) (i32.const 1)))
    (func (export "timer") (loop (br 0)))"#;

fn room(slice: u64, fuel: u64) -> Room {
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (slice, fuel);
    let mut room = program_with(SLOW, limits).room("a", [0; 32]).unwrap();
    count(&mut room, Event::Init);
    room
}

/// Runs an event to its end and counts its slices.
fn count(room: &mut Room, event: Event<'_>) -> usize {
    let mut slices = 1;
    let mut step = room.handle(event, 0).unwrap();
    while step == Step::Suspended {
        assert_eq!(room.effects().count(), 0, "an event happens whole or not at all");
        step = room.resume().unwrap();
        slices += 1;
    }
    assert_eq!(step, Step::Done);
    slices
}

#[test]
fn an_event_is_the_same_in_slices_of_any_size() {
    let mut counts = Vec::new();
    for slice in [1, 100, 777, 5_000, 50_000, 10_000_000] {
        let mut room = room(slice, 1_000_000_000);
        counts.push(count(&mut room, text("go")));
        assert_eq!(said(&room), ["a", "b"], "slices of {slice}");
    }
    assert!(counts.is_sorted_by(|a, b| a > b), "{counts:?}");
    assert_eq!(counts.last(), Some(&1));
}

#[test]
fn a_suspended_room_takes_no_other_event() {
    let mut room = room(1_000, 1_000_000_000);
    assert_eq!(room.handle(text("go"), 0), Ok(Step::Suspended));
    assert_eq!(room.handle(connect(1), 0), Ok(Step::Suspended));
    let mut step = Step::Suspended;
    while step == Step::Suspended {
        step = room.resume().unwrap();
    }
    assert_eq!(said(&room), ["a", "b"]);
    assert_eq!(room.resume(), Ok(Step::Done), "there is nothing left to go on with");
}

#[test]
fn the_budget_of_an_event_does_not_depend_on_the_slices() {
    for slice in [1, 100, 10_000, 100_000] {
        let mut room = room(slice, 100_000);
        let mut step = room.handle(Event::Timer, 0);
        while step == Ok(Step::Suspended) {
            step = room.resume();
        }
        assert_eq!(*step.unwrap_err().reason(), TrapReason::OutOfFuel { limit: 100_000 });
    }
}

#[test]
fn imports_cost_the_same_in_slices_of_any_size() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "timer") (local $n i32)
            (loop (call $random (i32.const 0) (i32.const 5000))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 10)))))"#;
    for slice in [1, 1_000, 1_000_000] {
        let run = |fuel| {
            let mut limits = Limits::default();
            (limits.slice, limits.fuel) = (slice.min(fuel), fuel);
            let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
            let mut step = room.handle(Event::Timer, 0);
            while step == Ok(Step::Suspended) {
                step = room.resume();
            }
            step
        };
        assert_eq!(run(60_000), Ok(Step::Done), "slices of {slice}");
        assert!(run(45_000).is_err(), "slices of {slice}");
    }
}

#[test]
fn an_operation_that_costs_more_than_a_slice_gets_what_it_needs() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "timer") (memory.fill (i32.const 0) (i32.const 120) (i32.const 65536))
            (call $send (i32.const 0) (i32.const 65535) (i32.const 1)))"#;
    let mut limits = Limits::default();
    limits.slice = 1;
    let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
    count(&mut room, Event::Timer);
    assert_eq!(said(&room), ["x"]);
}

#[test]
fn what_imports_do_is_paid_for() {
    let wasi = r#"
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))"#;
    for (call, least) in [
        ("(call $random (i32.const 0) (i32.const 65536))", 1000),
        ("(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1024) (i32.const 65532)))", 300),
        ("(call $set_timer (i32.const 1))", 6),
        ("(drop (call $now_ms))", 6),
        ("(call $close (i32.const 1) (i32.const 1000) (i32.const 0) (i32.const 0))", 6),
        (
            "(drop (call $client_info (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))",
            6,
        ),
        ("(drop (call $fd_close (i32.const 1)))", 6),
        ("(drop (call $sched_yield))", 6),
        ("(drop (call $args_get (i32.const 0) (i32.const 0)))", 6),
    ] {
        let fields = format!(
            r#"{wasi} (memory (export "memory") 1)
            (func (export "timer") (local $n i32)
                (loop {call} (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $n) (i32.const 1000)))))"#
        );
        let mut limits = Limits::default();
        limits.slice = 10_000;
        let mut room = program_with(&fields, limits).room("a", [0; 32]).unwrap();
        let (mut slices, mut step) = (1, room.handle(Event::Timer, 0));
        while step == Ok(Step::Suspended) {
            step = room.resume();
            slices += 1;
        }
        assert_eq!(step, Ok(Step::Done), "{call}");
        assert!(slices >= least, "{slices} slices for a thousand times {call}");
    }
}

//! Imports called when nobody expects it, exports that are something else, and events out of order.

use stateroom_core::{ClientId, MessagePayload};
use stateroom_host_min::{Effect, Event, Limits, Step, TrapReason};

use super::{CONNECT, EXPORTS, every_event_ends, trap};
use crate::guest::{IMPORTS, begin, bytes, connect, finish, load, program, room, room_with, said, text, wat};

const WASI: &str = r#"
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))"#;

/// All calls that have an effect or read something, with valid pieces of memory.
const EVERYTHING: &str = "
    (call $send (i32.const 0) (i32.const 0) (i32.const 1)) (call $send_binary (i32.const 1) (i32.const 0) (i32.const 1))
    (call $set_timer (i32.const 5)) (call $log (i32.const 1) (i32.const 0) (i32.const 1))
    (drop (call $now_ms)) (call $random (i32.const 8) (i32.const 8))
    (call $close (i32.const 0) (i32.const 1000) (i32.const 0) (i32.const 1))
    (drop (call $client_info (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))";

#[test]
fn imports_called_while_a_module_starts_do_no_harm() {
    for phase in ["(start $f)", r#"(export "_initialize" (func $f))"#] {
        let fields = format!(
            r#"{IMPORTS}{WASI} (memory (export "memory") 1) (data (i32.const 20) "\01") (func $f {EVERYTHING}) {phase}"#
        );
        let mut room = begin(&wat(&fields), Limits::default()).unwrap();
        every_event_ends(&mut room, 1);
        assert!(room.effects().count() == 0, "they belong to no later event");

        for call in [
            "(call $send (i32.const 0) (i32.const 65535) (i32.const 2))",
            "(call $random (i32.const -1) (i32.const 1))",
            "(drop (call $fd_write (i32.const 1) (i32.const -1) (i32.const 1) (i32.const 0)))",
        ] {
            let fields = format!("{IMPORTS}{WASI} (func $f {call}) {phase}");
            let trap = trap(begin(&wat(&fields), Limits::default()));
            assert!(matches!(trap.reason(), TrapReason::OutOfBounds { memory: 65536, .. }), "{trap}");
        }
        let flood = format!(
            "{IMPORTS} (func $f (loop (call $send (i32.const 0) (i32.const 0) (i32.const 9)) (br 0))) {phase}"
        );
        let flood = trap(begin(&wat(&flood), Limits::default()));
        assert_eq!(*flood.reason(), TrapReason::TooManyEffects { limit: 10_000 });
    }
}

#[test]
fn an_import_may_itself_be_the_start() {
    let yielding = r#"(import "wasi_snapshot_preview1" "sched_yield" (func $y (result i32)))
        (func $f (drop (call $y))) (start $f)"#;
    load(yielding).unwrap();
    // The only import without parameters and results would be one that this host does not have.
    let unknown = r#"(import "env" "start" (func $f)) (start $f)"#;
    assert!(load(unknown).unwrap_err().to_string().contains("`env.start`"));
    let wrong = r#"(import "stateroom" "now_ms" (func $f (result i64))) (start $f)"#;
    assert!(load(wrong).unwrap_err().to_string().contains("start function"));
}

#[test]
fn exports_may_be_imports() {
    // `message(client, ptr, len)` has the type of `send_message`, and `connect` that of `set_timer`: an echo
    // without code.
    let fields = r#"(export "message" (func $send)) (export "binary" (func $send_binary)) (export "connect" (func $set_timer))"#;
    let mut room = room(fields);
    assert_eq!(finish(&mut room, text("abc")), Ok(Step::Done));
    assert_eq!(said(&room), ["abc"]);
    assert_eq!(finish(&mut room, bytes(b"abc")), Ok(Step::Done));
    assert_eq!(finish(&mut room, connect(7)), Ok(Step::Done));
    assert_eq!(room.effects().collect::<Vec<_>>(), [Effect::SetTimer { ms: 7 }]);
    every_event_ends(&mut room, 1);

    let fields = r#"(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
        (export "jam_malloc" (func $fd_close)) (export "jam_free" (func $random)) (export "initialize" (func $random))"#;
    let mut room = self::room(fields);
    assert_eq!(
        finish(&mut room, text("abc")),
        Ok(Step::Done),
        "`jam_malloc` answers 8, that there is no such file"
    );
    every_event_ends(&mut room, 1);

    let fields = r#"(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (export "connect" (func $exit))"#;
    let trap = finish(&mut self::room(fields), CONNECT).unwrap_err();
    assert_eq!((trap.during(), trap.reason()), ("connect", &TrapReason::Exited { code: 1 }));
}

#[test]
fn an_import_that_is_an_export_pays_and_is_sliced_like_one() {
    let fields = r#"(export "initialize" (func $random)) (export "message" (func $send))"#;
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (1, 2_000);
    let mut room = room_with(fields, limits);
    for _ in 0..10 {
        // An event of its own each time, with the debts of none before it.
        assert_eq!(finish(&mut room, text("abc")), Ok(Step::Done));
    }
}

#[test]
fn sends_are_allowed_in_every_export_that_an_event_calls() {
    let fields = format!(
        r#"{WASI} (memory (export "memory") 1) (data (i32.const 20) "\01")
        (func $f {EVERYTHING})
        (func (export "jam_malloc") (param i32) (result i32) (call $f) i32.const 1000)
        (func (export "jam_free") (param i32 i32) (call $f))
        (func (export "initialize") (param i32 i32) (call $f))
        (func (export "message") (param i32 i32 i32) (call $f))
        (func (export "disconnect") (param i32) (call $f))"#
    );
    let mut room = room(&fields);
    // A line of `fd_write` that holds nothing but a zero is one, too.
    assert_eq!(room.effects().count(), 18);
    assert_eq!(finish(&mut room, text("a")), Ok(Step::Done));
    assert_eq!(room.effects().count(), 18);
    assert_eq!(finish(&mut room, Event::Disconnect(ClientId(1))), Ok(Step::Done));
    assert_eq!(room.effects().count(), 6);
}

#[test]
fn leaving_ends_the_room_in_every_phase() {
    for phase in ["(start $f)", r#"(export "_initialize" (func $f))"#] {
        let fields = format!("{WASI} (func $f (call $proc_exit (i32.const 0))) {phase}");
        assert_eq!(*trap(begin(&wat(&fields), Limits::default())).reason(), TrapReason::Exited { code: 0 });
    }
    for (export, ty) in EXPORTS {
        let fields = format!(
            r#"{IMPORTS}{WASI} (func (export "{export}") {ty} {EVERYTHING} (call $proc_exit (i32.const -7)) unreachable)"#
        );
        let program = stateroom_host_min::Program::load(&wat(&fields), Limits::default()).unwrap();
        let mut room = program.room("a", [0; 32]).unwrap();
        let events =
            [Event::Init, CONNECT, Event::Disconnect(ClientId(1)), Event::Timer, text("a"), bytes(b"a")];
        let ended = events.into_iter().find_map(|event| finish(&mut room, event).err()).unwrap();
        assert_eq!((ended.during(), ended.reason()), (export, &TrapReason::Exited { code: -7 }));
        assert!(room.effects().all(|effect| matches!(effect, Effect::Log { .. })), "{export}");
        // The other rooms of the program do not know.
        program.room("b", [0; 32]).unwrap();
    }
}

#[test]
fn a_trap_in_any_part_of_a_hand_over_takes_back_the_whole_event() {
    for export in ["jam_malloc", "message", "jam_free"] {
        // Not in the first event, that of the room's id.
        let body = |name: &str| {
            let trap = if name == export { "(if (global.get $armed) (then unreachable))" } else { "" };
            format!("(call $send (i32.const 0) (i32.const 0) (i32.const 1)) {trap}")
        };
        let fields = format!(
            r#"(global $armed (mut i32) (i32.const 0)) (func (export "connect") (param i32) (global.set $armed (i32.const 1)))
            (func (export "jam_malloc") (param i32) (result i32) {} i32.const 64)
            (func (export "message") (param i32 i32 i32) {}) (func (export "jam_free") (param i32 i32) {})"#,
            body("jam_malloc"),
            body("message"),
            body("jam_free")
        );
        let mut room = room(&fields);
        assert_eq!(finish(&mut room, text("a")), Ok(Step::Done));
        assert_eq!(room.effects().count(), 3);
        assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
        let trap = finish(&mut room, text("a")).unwrap_err();
        assert_eq!(trap.during(), export);
        assert_eq!(room.effects().count(), 0);
        assert_eq!(finish(&mut room, text("a")), Err(trap), "and so is everything after it");
    }
}

#[test]
fn events_out_of_order_end_like_others() {
    let program = program(crate::effects::ECHO);
    let mut room = program.room("a", [0; 32]).unwrap();
    assert_eq!(room.resume(), Ok(Step::Done), "there is nothing to go on with");
    assert_eq!(room.last(), Ok(Step::Done));
    assert_eq!(room.effects().count(), 0);
    assert_eq!(
        finish(&mut room, Event::Disconnect(ClientId(9))),
        Ok(Step::Done),
        "of a client that never came"
    );

    let mut early = program.room("b", [0; 32]).unwrap();
    every_event_ends(&mut early, 1);
    for _ in 0..2 {
        assert_eq!(finish(&mut early, Event::Init), Ok(Step::Done));
    }
    for client in [0, 1, 1 << 31, u32::MAX] {
        for _ in 0..2 {
            assert_eq!(finish(&mut early, connect(client)), Ok(Step::Done), "{client}");
        }
        let message = Event::Message(ClientId(client), MessagePayload::Text("a"));
        assert_eq!(finish(&mut early, message), Ok(Step::Done), "{client}");
    }
}

#[test]
fn a_broken_room_answers_everything_with_its_trap() {
    let mut room = room(r#"(func (export "timer") unreachable)"#);
    let trap = finish(&mut room, Event::Timer).unwrap_err();
    for event in [Event::Init, CONNECT, Event::Timer, text("a"), bytes(b"a"), Event::Disconnect(ClientId(1))]
    {
        assert_eq!(room.handle(event, 0), Err(trap.clone()));
        assert_eq!(room.resume(), Err(trap.clone()));
        assert_eq!(room.last(), Err(&trap));
        assert_eq!(room.effects().count(), 0);
    }
}

#[test]
fn a_room_that_is_dropped_in_the_middle_of_an_event_leaves_the_program_as_it_was() {
    let mut limits = Limits::default();
    limits.slice = 1_000;
    let fields = r#"(func $f (param i32) (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))) (loop (br 0)))
        (func (export "timer") (call $f (i32.const 100)))
        (func (export "connect") (param i32) (call $send (i32.const 0) (i32.const 0) (i32.const 1)))"#;
    let program = crate::guest::program_with(fields, limits);
    for _ in 0..100 {
        let mut room = program.room("a", [0; 32]).unwrap();
        assert_eq!(room.handle(Event::Timer, 0), Ok(Step::Suspended));
    }
    let mut room = program.room("a", [0; 32]).unwrap();
    assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
}

#[test]
fn room_ids_may_be_anything_that_fits() {
    let program = program(
        r#"(memory (export "memory") 17) (func (export "initialize") (param $at i32) (param $len i32)
            (call $send (i32.const 0) (local.get $at) (local.get $len)))"#,
    );
    let long = "é".repeat(1 << 19);
    for id in ["", " ", "../../etc", "\0", "\u{202e}abc", "Ω≈ç√", "🦀", "%00\r\nX: y", &long] {
        let mut room = program.room(id, [0; 32]).unwrap();
        assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
        assert_eq!((room.id(), &said(&room)[..]), (id, &[id][..]));
    }
    // It is no message, so the limit of messages is not for it.
    let mut room = program.room(&"x".repeat((1 << 20) + 1), [0; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    let mut room = program.room(&"x".repeat(2 << 20), [0; 32]).unwrap();
    let trap = finish(&mut room, Event::Init).unwrap_err();
    assert_eq!(*trap.reason(), TrapReason::AllocFailed { size: 2 << 20 }, "beyond its memory");
}

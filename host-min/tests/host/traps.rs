use stateroom_host_min::{Effect, Event, Limits, LoadError, Step, Trap, TrapReason};
use stateroom_sdk_core::ClientId;

use crate::guest::{finish, load, program, room, room_with, said, text};

const CONNECT: Event<'_> = Event::Connect(ClientId(1));

fn trap(fields: &str) -> Trap {
    finish(&mut room(fields), CONNECT).unwrap_err()
}

fn connect(body: &str) -> String {
    format!(r#"(func $connect (export "connect") (param i32) {body})"#)
}

#[test]
fn a_trapped_event_has_no_effects_but_log_lines() {
    let mut room = room(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 0) "bye") {}"#,
        connect(
            "(call $send (i32.const 0) (i32.const 0) (i32.const 3)) (call $set_timer (i32.const 5))
             (call $log (i32.const 1) (i32.const 0) (i32.const 3)) unreachable"
        )
    ));
    let trap = finish(&mut room, CONNECT).unwrap_err();
    assert_eq!(trap.during(), "connect");
    assert!(trap.to_string().contains("unreachable"), "{trap}");
    let effects: Vec<_> = room.effects().collect();
    assert!(matches!(effects[..], [Effect::Log { text: "bye", .. }]), "{effects:?}");

    assert_eq!(finish(&mut room, Event::Timer), Err(trap.clone()), "the room is broken for good");
    assert_eq!(room.resume(), Err(trap));
}

#[test]
fn what_a_guest_passes_to_an_import_is_checked() {
    let memory = r#"(memory (export "memory") 1) (data (i32.const 0) "\ff\c3")"#;
    let send = |at: u32, len: u32| {
        format!(
            "{memory} {}",
            connect(&format!("(call $send (i32.const 0) (i32.const {at}) (i32.const {len}))"))
        )
    };
    for (at, len) in [(65536, 1), (65535, 2), (u32::MAX, 1), (1, u32::MAX), (u32::MAX, u32::MAX), (65537, 0)]
    {
        let expected = TrapReason::OutOfBounds { at, len, memory: 65536 };
        assert_eq!(*trap(&send(at, len)).reason(), expected);
    }
    assert_eq!(*trap(&send(0, 1)).reason(), TrapReason::NotUtf8);
    assert_eq!(*trap(&send(1, 1)).reason(), TrapReason::NotUtf8, "a character cut in half");
    assert_eq!(finish(&mut room(&send(65536, 0)), CONNECT), Ok(Step::Done), "nothing, at the very end");
    assert_eq!(finish(&mut room(&send(2, 1000)), CONNECT), Ok(Step::Done), "zeros are text");
}

#[test]
fn effects_have_limits() {
    let mut limits = Limits::default();
    (limits.effects, limits.effect_bytes, limits.message_size) = (100, 1000, 600);
    let run = |body: &str| {
        let fields = connect(&format!("(local $n i32) {body}"));
        finish(&mut room_with(&fields, limits), CONNECT).map_err(|trap| trap.reason().clone())
    };
    let send = |len: u32| format!("(call $send (i32.const 0) (i32.const 0) (i32.const {len}))");
    let repeat = |times: u32, body: &str| {
        format!(
            "(loop {body} (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const {times}))))"
        )
    };
    assert_eq!(run(&repeat(100, &send(10))), Ok(Step::Done));
    assert_eq!(run(&repeat(101, &send(0))), Err(TrapReason::TooManyEffects { limit: 100 }));
    assert_eq!(
        run(&repeat(101, "(call $set_timer (i32.const 1))")),
        Err(TrapReason::TooManyEffects { limit: 100 })
    );
    assert_eq!(run(&repeat(2, &send(501))), Err(TrapReason::TooManyEffectBytes { limit: 1000 }));
    assert_eq!(run(&send(601)), Err(TrapReason::MessageTooLarge { size: 601, limit: 600 }));
}

#[test]
fn a_guest_cannot_compute_or_recurse_for_ever() {
    let mut limits = Limits::default();
    limits.fuel = 1_000_000;
    let mut spinning = room_with(&connect("(loop (br 0))"), limits);
    let trap = finish(&mut spinning, CONNECT).unwrap_err();
    assert_eq!(*trap.reason(), TrapReason::OutOfFuel { limit: 1_000_000 });

    let mut recursing = room(&connect("(call $connect (local.get 0))"));
    let trap = finish(&mut recursing, CONNECT).unwrap_err();
    assert!(trap.to_string().contains("stack"), "{trap}");

    for export in ["jam_malloc", "jam_free"] {
        let result = if export == "jam_malloc" { "(result i32)" } else { "(param i32)" };
        let spin = format!(r#"(func (export "{export}") (param i32) {result} (loop (br 0)) unreachable)"#);
        let mut room = crate::guest::program_with(&spin, limits).room("a", [0; 32]).unwrap();
        let trap = finish(&mut room, Event::Init).unwrap_err();
        assert_eq!((trap.during(), trap.reason()), (export, &TrapReason::OutOfFuel { limit: 1_000_000 }));
    }
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    let mut limits = Limits::default();
    limits.memory = 3 * 65536;
    let fields = r#"(memory (export "memory") 1) (data (i32.const 0) "yn")
        (func (export "timer")
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1))
                (then (call $send (i32.const 0) (i32.const 1) (i32.const 1)))
                (else (call $send (i32.const 0) (i32.const 0) (i32.const 1)))))"#;
    let mut room = room_with(fields, limits);
    for expected in ["y", "y", "n", "n"] {
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&room), [expected]);
    }
}

#[test]
fn a_guest_without_room_for_the_room_id_has_no_room() {
    let program = program(r#"(func (export "jam_malloc") (param i32) (result i32) i32.const -1)"#);
    let mut room = program.room("lobby", [0; 32]).unwrap();
    let trap = finish(&mut room, Event::Init).unwrap_err();
    assert_eq!((trap.during(), trap.reason()), ("initialize", &TrapReason::NoRoomForId));
}

#[test]
fn a_reactor_is_initialized_first_and_may_fail() {
    let fields = r#"(global $ready (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $ready (i32.const 1)))
        (func (export "initialize") (param i32 i32) (if (i32.eqz (global.get $ready)) (then unreachable)))"#;
    let mut ready = program(fields).room("a", [0; 32]).unwrap();
    assert_eq!(finish(&mut ready, Event::Init), Ok(Step::Done));

    for body in ["unreachable", "(loop (br 0))"] {
        let error = load(&format!(r#"(func (export "_initialize") {body})"#)).unwrap_err();
        let LoadError::Trapped(trap) = error else { panic!("{error}") };
        assert_eq!(trap.during(), "_initialize");
    }
}

#[test]
fn assembly_script_aborts_with_its_message() {
    let fields = r#"(import "env" "abort" (func $abort (param i32 i32 i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\04\00\00\00o\00h\00") (data (i32.const 16) "\08\00\00\00a\00.\00t\00s\00")
        (func (export "message") (param i32 i32 i32)
            (call $abort (i32.const 4) (i32.const 20) (i32.const 3) (i32.const 9)))
        (func (export "binary") (param i32 i32 i32)
            (call $abort (i32.const -1) (i32.const 0) (i32.const 3) (i32.const 9)))"#;
    let trap = finish(&mut room(fields), text("")).unwrap_err();
    assert_eq!(*trap.reason(), TrapReason::Aborted { message: "oh (a.ts:3:9)".into() });
    let trap = finish(&mut room(fields), crate::guest::bytes(b"")).unwrap_err();
    assert_eq!(
        *trap.reason(),
        TrapReason::Aborted { message: " (:3:9)".into() },
        "strings that are not there"
    );
}

#[test]
fn no_operator_uses_up_the_native_stack() {
    // So often in one slice that a few bytes of stack each would be too many for a thread.
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (1_000_000_000, 1_000_000_000);
    for operation in [
        "(drop (memory.grow (local.get $zero)))",
        "(drop (memory.size))",
        "(drop (table.grow (ref.null func) (local.get $zero)))",
        "(memory.fill (local.get $zero) (local.get $zero) (local.get $zero))",
        "(memory.copy (local.get $zero) (local.get $zero) (local.get $zero))",
        "(drop (call_indirect (result i32) (local.get $zero)))",
        "(drop (call $now_ms))",
        "(global.set $g (i32.add (global.get $g) (i32.load (local.get $zero))))",
    ] {
        let fields = format!(
            r#"(memory (export "memory") 1) (table $t 1 funcref) (elem (i32.const 0) $one) (global $g (mut i32) (i32.const 0))
            (func $one (result i32) (i32.const 1))
            (func (export "timer") (local $zero i32) (local $n i32)
                (loop {operation} (local.set $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if 0 (i32.lt_u (local.get $n) (i32.const 300000)))))"#
        );
        assert_eq!(finish(&mut room_with(&fields, limits), Event::Timer), Ok(Step::Done), "{operation}");
    }
}

use stateroom_host_min::{Effect, Event, Limits, LoadError, Step, Trap, TrapReason};

use crate::guest::{connect, finish, load, program, room, room_with, text};

const CONNECT: Event<'_> = connect(1);

fn trap(fields: &str) -> Trap {
    finish(&mut room(fields), CONNECT).unwrap_err()
}

fn on_connect(body: &str) -> String {
    format!(r#"(func $connect (export "connect") (param i32) {body})"#)
}

#[test]
fn a_trapped_event_has_no_effects_but_log_lines() {
    let mut room = room(&format!(
        r#"(memory (export "memory") 1) (data (i32.const 0) "bye") {}"#,
        on_connect(
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

/// Runs an event that writes these lines, and then executes `unreachable`. Returns the trap, and the lines that are left.
fn last_words(lines: &[(u32, &str)]) -> (Trap, Vec<String>) {
    let (mut data, mut calls, mut at) = (String::new(), String::new(), 2048);
    for (level, line) in lines {
        data += &format!("(data (i32.const {at}) {line:?})");
        calls += &format!("(call $log (i32.const {level}) (i32.const {at}) (i32.const {}))", line.len());
        at += line.len();
    }
    let mut room = room(&format!(
        r#"(memory (export "memory") 1) {data} {}"#,
        on_connect(&format!("{calls} unreachable"))
    ));
    let trap = finish(&mut room, CONNECT).unwrap_err();
    let left = room.effects().map(|effect| match effect {
        Effect::Log { text, .. } => text.to_owned(),
        effect => panic!("{effect:?}"),
    });
    (trap, left.collect())
}

#[test]
fn the_message_of_a_panic_is_a_part_of_the_trap_and_no_log_line() {
    let panicked = |message: &str| TrapReason::Panicked { message: message.into() };
    // As the SDK writes it.
    let (trap, left) = last_words(&[(3, "before"), (1, "panicked at src/lib.rs:1:2:\nno\nmore")]);
    assert_eq!(*trap.reason(), panicked("src/lib.rs:1:2: no\nmore"));
    assert_eq!(trap.to_string(), "the guest failed in `connect`: it panicked at src/lib.rs:1:2: no\nmore");
    assert_eq!(left, ["before"]);
    // As the standard library prints it.
    let note = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace";
    let thread = "thread 'main' (1) panicked at src/lib.rs:1:2:";
    let (trap, left) = last_words(&[(2, "before"), (2, ""), (2, thread), (2, "no"), (2, "more"), (2, note)]);
    assert_eq!(*trap.reason(), panicked("src/lib.rs:1:2: no\nmore"));
    assert_eq!(left, ["before"]);
    let (trap, left) = last_words(&[(2, thread), (2, "no")]);
    assert_eq!((trap.reason(), left.len()), (&panicked("src/lib.rs:1:2: no"), 0));
    // A line that the guest has begun is ended by the library, and is the guest's.
    let (_, left) = last_words(&[(2, "value: 5"), (2, thread), (2, "no")]);
    assert_eq!(left, ["value: 5"]);
}

#[test]
fn the_place_of_a_panic_in_rusts_libraries_is_short() {
    let place = |place: &str| match last_words(&[(1, &format!("panicked at {place}:1:2:\nno"))]).0.reason() {
        TrapReason::Panicked { message } => message.clone(),
        reason => panic!("{reason}"),
    };
    let version = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860";
    for crates in ["std/src/thread/mod.rs", "alloc/src/raw_vec/mod.rs", "core/src/option.rs"] {
        assert_eq!(place(&format!("{version}/library/{crates}")), format!("{crates}:1:2: no"));
    }
    for other in ["src/rustc/1/library/a.rs", "/rustc/1/2/library/a.rs", "/rustc/library/a.rs"] {
        assert_eq!(place(other), format!("{other}:1:2: no"));
    }
}

#[test]
fn a_failed_allocation_names_the_limit_on_memory() {
    let mut limits = Limits::default();
    limits.memory = 2 << 16;
    let run = |maximum: &str, first: &str, then: &str| {
        let memory = format!(r#"(memory (export "memory") 1 {maximum})"#);
        let timer = r#"(func (export "timer") unreachable)"#;
        let mut room = room_with(&format!("{memory} {timer} {}", on_connect(first)), limits);
        match then {
            "" => finish(&mut room, CONNECT).unwrap_err(),
            _ => {
                assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
                finish(&mut room, Event::Timer).unwrap_err()
            }
        }
    };
    let grow = "(drop (memory.grow (i32.const 2)))";
    let trap = run("", &format!("{grow} unreachable"), "");
    assert_eq!(*trap.reason(), TrapReason::MemoryFull { size: 3 << 16, limit: 2 << 16 });
    let words = "its memory could not grow to 196608 bytes (131072 is the limit `memory`), and then it executed `unreachable`";
    assert_eq!(trap.to_string(), format!("the guest failed in `connect`: {words}"));
    // It could grow, or came up against the maximum that it has set itself, or this was in another event.
    for trap in [
        run("", "(drop (memory.grow (i32.const 1))) unreachable", ""),
        run("2", &format!("{grow} unreachable"), ""),
        run("", grow, "timer"),
    ] {
        assert_eq!(*trap.reason(), TrapReason::Unreachable);
    }
    // As the library panics without a standard library.
    let words = "panicked at /rustc/1/library/alloc/src/alloc.rs:1:2:\nmemory allocation of 9 bytes failed";
    let log = format!("(call $log (i32.const 1) (i32.const 0) (i32.const {}))", words.len());
    let mut guest = room_with(
        &format!(
            r#"(memory (export "memory") 1) (data (i32.const 0) {words:?}) {}"#,
            on_connect(&format!("{grow} {log} unreachable"))
        ),
        limits,
    );
    assert_eq!(
        finish(&mut guest, CONNECT).unwrap_err().to_string(),
        "the guest failed in `connect`: it panicked at alloc/src/alloc.rs:1:2: memory allocation of 9 bytes failed: \
         its memory could not grow to 196608 bytes (131072 is the limit `memory`)"
    );
    // Another trap is not about memory.
    assert_eq!(
        *run("", &format!("{grow} (drop (i32.load (i32.const -1)))"), "").reason(),
        TrapReason::MemoryAccess
    );
}

#[test]
fn other_last_words_stay_log_lines() {
    for lines in [&[][..], &[(1, "bye")], &[(1, "it panicked at x:\nno")]] {
        let (trap, left) = last_words(lines);
        assert_eq!(*trap.reason(), TrapReason::Unreachable);
        assert_eq!(left, lines.iter().map(|(_, line)| *line).collect::<Vec<_>>());
    }
    // What a guest says of its own accord is no message of a panic.
    let (trap, left) = last_words(&[(3, "panicked at x:\nno"), (1, "bye")]);
    assert_eq!((trap.reason(), left.len()), (&TrapReason::Unreachable, 2));
    // A message that was written long before is not the reason.
    let mut lines = vec![(1, "panicked at x:\nno")];
    lines.extend([(3, "more"); 16]);
    let (trap, left) = last_words(&lines);
    assert_eq!((trap.reason(), left.len()), (&TrapReason::Unreachable, 17));
}

#[test]
fn the_message_of_a_panic_is_cut_between_characters() {
    let (trap, left) = last_words(&[(1, &format!("panicked at {}", "é".repeat(1 << 10)))]);
    let message = format!("{} … (+1024 bytes)", "é".repeat(1 << 9));
    assert_eq!(*trap.reason(), TrapReason::Panicked { message });
    assert!(left.is_empty());
}

#[test]
fn what_is_sent_as_text_is_utf8() {
    let memory = r#"(memory (export "memory") 1) (data (i32.const 0) "\ff\c3")"#;
    let send = |at: u32, len: u32| {
        format!(
            "{memory} {}",
            on_connect(&format!("(call $send (i32.const 0) (i32.const {at}) (i32.const {len}))"))
        )
    };
    assert_eq!(*trap(&send(0, 1)).reason(), TrapReason::NotUtf8);
    assert_eq!(*trap(&send(1, 1)).reason(), TrapReason::NotUtf8, "a character cut in half");
    assert_eq!(finish(&mut room(&send(2, 1000)), CONNECT), Ok(Step::Done), "zeros are text");
}

#[test]
fn effects_have_limits() {
    let mut limits = Limits::default();
    (limits.effects, limits.effect_bytes, limits.message_size) = (100, 1000, 600);
    let run = |body: &str| {
        let fields = on_connect(&format!("(local $n i32) {body}"));
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
    // A message may be larger than those that come in: an answer often holds one.
    assert_eq!(run(&send(1000)), Ok(Step::Done));
    assert_eq!(run(&send(1001)), Err(TrapReason::TooManyEffectBytes { limit: 1000 }));
}

#[test]
fn a_guest_without_room_for_the_room_id_has_no_room() {
    let program = program(r#"(func (export "jam_malloc") (param i32) (result i32) i32.const -1)"#);
    let mut room = program.room("lobby", [0; 32]).unwrap();
    let trap = finish(&mut room, Event::Init).unwrap_err();
    assert_eq!((trap.during(), trap.reason()), ("initialize", &TrapReason::AllocFailed { size: 5 }));
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

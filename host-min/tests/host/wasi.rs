use stateroom_core::LogLevel;
use stateroom_host_min::{Effect, Event, Limits, Step};

use crate::guest::{broadcast, connect, finish, load, program_with, room, said};

fn import(name: &str, ty: &str) -> String {
    format!(r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} {ty}))"#)
}

#[test]
fn what_is_written_to_standard_output_and_error_becomes_log_lines() {
    let fields = format!(
        r#"{} (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\03\00\00\00\20\00\00\00\04\00\00\00")
        (data (i32.const 16) "one") (data (i32.const 32) "\0atwo")
        (func (export "timer")
            (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64)) (then unreachable))
            (if (i32.ne (i32.load (i32.const 64)) (i32.const 7)) (then unreachable))
            (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)))
            (if (i32.ne (call $fd_write (i32.const 3) (i32.const 0) (i32.const 1) (i32.const 64)) (i32.const 8))
                (then unreachable)))"#,
        import("fd_write", "(param i32 i32 i32 i32) (result i32)")
    );
    let mut room = room(&fields);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
    let line = |level, text| Effect::Log { level, text };
    let expected = [line(LogLevel::Info, "one"), line(LogLevel::Info, "two"), line(LogLevel::Warn, "one")];
    assert_eq!(room.effects().collect::<Vec<_>>(), expected);
}

#[test]
fn a_line_that_is_written_in_pieces_is_one_log_line() {
    let fields = format!(
        r#"{}(memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\03\00\00\00\20\00\00\00\04\00\00\00")
        (data (i32.const 16) "one") (data (i32.const 32) " two") (data (i32.const 48) "\0a")
        (data (i32.const 56) "\30\00\00\00\01\00\00\00")
        (func $one (param $fd i32)
            (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 64))))
        (func $two (param $fd i32)
            (drop (call $fd_write (local.get $fd) (i32.const 8) (i32.const 1) (i32.const 64))))
        (func $end (param $fd i32)
            (drop (call $fd_write (local.get $fd) (i32.const 56) (i32.const 1) (i32.const 64))))
        (func (export "timer")
            (call $one (i32.const 2)) (call $two (i32.const 2)) (call $end (i32.const 2))
            (call $end (i32.const 2))
            (call $two (i32.const 1)) (call $one (i32.const 1)))
        (func (export "connect") (param i32)
            (call $one (i32.const 1)) (call $two (i32.const 2)) (call $one (i32.const 1))
            (call $send (i32.const 0) (i32.const 16) (i32.const 3)) (call $two (i32.const 1)))"#,
        import("fd_write", "(param i32 i32 i32 i32) (result i32)")
    );
    let mut room = room(&fields);
    let out = |text| Effect::Log { level: LogLevel::Info, text };
    let err = |text| Effect::Log { level: LogLevel::Warn, text };
    // A line does not go on in the next event.
    for _ in 0..2 {
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(room.effects().collect::<Vec<_>>(), [err("one two"), err(""), out(" twoone")]);
    }
    // Nor behind anything else.
    assert_eq!(finish(&mut room, connect(1)), Ok(Step::Done));
    let expected = [out("one"), err(" two"), out("one"), broadcast("one"), out(" two")];
    assert_eq!(room.effects().collect::<Vec<_>>(), expected);
}

#[test]
fn the_clock_is_that_of_the_event_and_there_is_nothing_else() {
    let fields = [
        import("clock_time_get", "(param i32 i64 i32) (result i32)"),
        import("environ_sizes_get", "(param i32 i32) (result i32)"),
        import("random_get", "(param i32 i32) (result i32)"),
        import("path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
        r#"(memory (export "memory") 1) (data (i32.const 0) "ok") (data (i32.const 16) "\ff\ff\ff\ff\ff\ff\ff\ff")
        (func $check (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
        (func (export "timer")
            (call $check (i32.eqz (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 8))))
            (call $check (i64.eq (i64.load (i32.const 8)) (i64.const 5000000)))
            (call $check (i32.eqz (call $environ_sizes_get (i32.const 16) (i32.const 20))))
            (call $check (i64.eqz (i64.load (i32.const 16))))
            (call $check (i32.eqz (call $random_get (i32.const 24) (i32.const 8))))
            (call $check (i64.ne (i64.load (i32.const 24)) (i64.const 0)))
            (call $check (i32.eq (i32.const 8)
                (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)
                    (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 24))))
            (call $send (i32.const 0) (i32.const 0) (i32.const 2)))"#
            .into(),
    ];
    let mut room = program_with(&fields.concat(), Limits::default()).room("a", [1; 32]).unwrap();
    assert_eq!(room.handle(Event::Timer, 5), Ok(Step::Done));
    assert_eq!(said(&room), ["ok"]);
}

#[test]
fn an_import_of_another_type_is_refused() {
    let message = load(&import("fd_close", "(param i64) (result i32)")).unwrap_err().to_string();
    assert!(message.contains("fd_close"), "{message}");
}

//! Memories and tables: how large they are made, and how they grow.

use stateroom_host_min::{Event, Limits, LoadError, Step, TrapReason};

use super::CONNECT;
use crate::guest::{begin, finish, load, program_with, room_with, said, text, wat};

/// Grows its memory at each event and says whether it could.
fn growing(memory: &str, by: &str) -> String {
    format!(
        r#"(memory (export "memory") {memory}) (data (i32.const 0) "yn")
        (func (export "jam_malloc") (param i32) (result i32) i32.const 8)
        (func (export "timer")
            (call $send (i32.const 0) (i32.eq (memory.grow (i32.const {by})) (i32.const -1)) (i32.const 1)))"#
    )
}

#[test]
fn memory_grows_to_the_limit_and_no_further() {
    let mut limits = Limits::default();
    limits.memory = 3 << 16;
    for (memory, by, expected) in [
        ("1", "1", ["y", "y", "n", "n"]),
        ("1", "2", ["y", "n", "n", "n"]),
        ("1", "3", ["n"; 4]),
        ("1", "0", ["y"; 4]),
        ("1", "65535", ["n"; 4]),
        ("1", "65536", ["n"; 4]),
        ("1", "-1", ["n"; 4]),
        ("1 2", "1", ["y", "n", "n", "n"]),
        // All that can be addressed, which is more than fits into 32 bits.
        ("1 65536", "1", ["y", "y", "n", "n"]),
        ("3", "1", ["n"; 4]),
        // Pages of one byte.
        ("1024 (pagesize 1)", "97792", ["y", "y", "n", "n"]),
        ("1024 (pagesize 1)", "195584", ["y", "n", "n", "n"]),
        ("1024 (pagesize 1)", "195585", ["n"; 4]),
        ("196608 (pagesize 1)", "1", ["n"; 4]),
        ("1024 (pagesize 1)", "-1", ["n"; 4]),
        ("1024 (pagesize 1)", "-1024", ["n"; 4]),
    ] {
        let mut room = room_with(&growing(memory, by), limits);
        for expected in expected {
            assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done), "{memory} {by}");
            assert_eq!(said(&room), [expected], "{memory} {by}");
        }
    }
}

#[test]
fn a_room_tells_how_large_its_memory_is() {
    for (memory, by, sizes) in
        [("1", "2", [1 << 16, 3 << 16, 5 << 16]), ("1024 (pagesize 1)", "7", [1024, 1031, 1038])]
    {
        let mut room = room_with(&growing(memory, by), Limits::default());
        for size in sizes {
            assert_eq!(room.memory_size(), size, "{memory} {by}");
            assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        }
    }
}

#[test]
fn memory_grows_byte_by_byte_at_a_cost_that_is_bounded() {
    let fields = r#"(memory (export "memory") 2048 (pagesize 1))
        (func (export "timer") (loop (drop (memory.grow (i32.const 1))) (br 0)))
        (func (export "connect") (param i32)
            (i32.store (i32.sub (memory.size) (i32.const 4)) (i32.const 1))
            (call $send (i32.const 0) (i32.const 0) (memory.size)))"#;
    let mut limits = Limits::default();
    (limits.memory, limits.fuel) = (4_000, 10_000_000);
    let mut room = room_with(fields, limits);
    assert!(finish(&mut room, Event::Timer).unwrap_err().to_string().contains("fuel"));

    // The next one grows as often as its fuel lets it, and lives.
    let fields = fields.replace("(br 0)", "(br_if 0 (i32.lt_u (memory.size) (i32.const 4000)))");
    let mut room = room_with(&fields, limits);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
    assert_eq!(finish(&mut room, CONNECT), Ok(Step::Done));
    assert_eq!(said(&room)[0].len(), 4_000);
}

#[test]
fn memory_of_more_than_the_limit_is_refused_at_once() {
    let limit = "33554432 are the limit (`memory`)";
    for memory in ["513", "65536", "33554433 (pagesize 1)", "4294967295 (pagesize 1)"] {
        let error = load(&format!(r#"(memory (export "memory") {memory})"#)).unwrap_err();
        assert!(matches!(error, LoadError::CannotStart(_)) && error.to_string().contains(limit), "{error}");
    }
    // What it may grow to is only a promise.
    for memory in ["512", "1 65536", "33554432 (pagesize 1)", "2048 4294967295 (pagesize 1)", "0 0"] {
        load(&format!(r#"(memory (export "memory") {memory})"#)).unwrap();
    }
    // More than 32 bits can count.
    for memory in ["65537", "1 65537", "2048 (pagesize 2)", "0 (pagesize 131072)"] {
        let text = format!(r#"(module (memory {memory}))"#);
        let Ok(module) = wat::parse_str(&text) else { continue };
        assert!(matches!(begin(&module, Limits::default()), Err(LoadError::Invalid(_))), "{memory}");
    }
}

/// More than half of all addresses are never to be had at once.
#[cfg(target_pointer_width = "32")]
#[test]
fn memory_that_the_machine_does_not_have_is_refused_as_that() {
    let mut limits = Limits::default();
    limits.memory = usize::MAX;
    for memory in ["32769", "65535", "4294967295 (pagesize 1)"] {
        let error = begin(&wat(&format!(r#"(memory (export "memory") {memory})"#)), limits).unwrap_err();
        assert!(error.to_string().contains("this machine does not have"), "{error}");
    }
}

#[test]
fn a_memory_of_no_bytes_holds_nothing() {
    let fields =
        r#"(memory (export "memory") 0) (func (export "jam_malloc") (param i32) (result i32) i32.const 0)"#;
    let trap = super::trap(begin(&wat(fields), Limits::default()));
    assert_eq!(*trap.reason(), TrapReason::AllocFailed { size: 5 });
    let mut room = program_with(fields, Limits::default()).room("", [0; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done), "an empty id fits");
    assert_eq!(finish(&mut room, text("a")), Ok(Step::Refused));
    assert_eq!(finish(&mut room, text("")), Ok(Step::Done));
}

#[test]
fn tables_have_a_limit() {
    for (table, fits) in [("10000", true), ("10001", false), ("10000000", false), ("0 10000000", true)] {
        for ty in ["funcref", "externref"] {
            let result = load(&format!("(table {table} {ty})"));
            assert_eq!(result.is_ok(), fits, "{table} {ty}");
            if let Err(error) = result {
                assert!(error.to_string().contains("10000 elements are the limit of a table"), "{error}");
            }
        }
    }
    // Nor does the account that the host keeps of those that change.
    let changing = "(table $t 4294967295 funcref) (elem (table $t) (i32.const 4294967294) func $f)
        (func $f (table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 1)))";
    assert!(matches!(load(changing), Err(LoadError::Invalid(_) | LoadError::CannotStart(_))));
    load(&"(table 10000 funcref)".repeat(16)).unwrap();
    load(&"(table 1 funcref)".repeat(17)).unwrap_err();
    load(&"(table 0 funcref)".repeat(101)).unwrap_err();
    assert!(matches!(
        load("(table 4294967295 funcref)"),
        Err(LoadError::Invalid(_) | LoadError::CannotStart(_))
    ));
}

#[test]
fn a_long_operation_is_the_same_in_slices_of_any_size() {
    // More fuel than is left of a slice, with results in registers before it and after it.
    let fields = r#"(table $t 5000 funcref) (table $u 5000 funcref) (elem (table $t) (i32.const 4999) func $f)
        (elem $e func $f) (memory (export "memory") 1) (data (i32.const 0) "abcdefghijklmnopqrstuvwxyz")
        (global $runs (mut i32) (i32.const 0))
        (func $f (result i32) (i32.const 3))
        (func (export "timer") (local $n i32)
            (global.set $runs (i32.add (global.get $runs) (call $f)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (table.copy $u $t (i32.const 0) (i32.const 0) (i32.const 5000))
            (table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))
            (memory.fill (i32.const 1000) (i32.const 1) (i32.const 60000))
            (memory.copy (i32.const 1000) (i32.const 1001) (i32.const 60000))
            (local.set $n (i32.add (local.get $n) (memory.grow (i32.const 1))))
            (local.set $n (i32.add (local.get $n) (call_indirect $u (result i32) (i32.const 4999))))
            (call $send (i32.const 0) (i32.const 0) (local.get $n))
            (call $send (i32.const 0) (i32.const 0) (global.get $runs)))"#;
    for slice in [1, 10, 100, 500, 1_000, 100_000] {
        let mut limits = Limits::default();
        (limits.slice, limits.fuel) = (slice, 100_000);
        let mut room = room_with(fields, limits);
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done), "slices of {slice}");
        assert_eq!(said(&room), ["abcde", "abc"], "slices of {slice}");
    }
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    for fields in [
        r#"(memory (export "memory") 1) (data (i32.const 65535) "ab")"#,
        r#"(memory (export "memory") 1) (data (i32.const 65537) "")"#,
        r#"(memory (export "memory") 1) (data (i32.const -1) "a")"#,
        r#"(memory (export "memory") 0) (data (i32.const 0) "a")"#,
        "(table 1 funcref) (func $f) (elem (i32.const 1) $f)",
        "(table 1 funcref) (func $f) (elem (i32.const -1) $f)",
        "(table 1 funcref) (elem (i32.const 2) func)",
    ] {
        let error = load(fields).unwrap_err();
        assert!(matches!(error, LoadError::CannotStart(_) | LoadError::Trapped(_)), "{fields}: {error}");
        assert!(error.to_string().len() < 1_000, "{error}");
    }
    for fields in [
        r#"(memory (export "memory") 1) (data (i32.const 65535) "a") (data (i32.const 65536) "")"#,
        "(table 1 funcref) (func $f) (elem (i32.const 0) $f) (elem (i32.const 1) func)",
    ] {
        begin(&wat(fields), Limits::default()).unwrap();
    }
}

//! The guests that are measured, in the text format.

use std::fmt::Write as _;

/// An echo of the documented interface in pages of one byte, as `stateroom build` makes them: 2 KiB of
/// memory.
pub(crate) const EXPORTS: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (memory (export "memory") 2048 (pagesize 1))
    (global $__stack_pointer (mut i32) (i32.const 1024))
    (func (export "jam_malloc") (param i32) (result i32) i32.const 1024)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (call $send (i32.const 0) (local.get $at) (local.get $len)))
    (func (export "binary") (param i32 i32 i32)))"#;

/// An echo of the 0.4 line: it sends a message back in the place where it came.
///
/// A message is a variant, a client, a kind and a length; what is sent is a variant, a recipient, a kind and
/// a length.
pub(crate) const BINCODE: &str = r#"(module
    (import "env" "stateroom_send" (func $send (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "stateroom_malloc") (param i32) (result i32) i32.const 1024)
    (func (export "stateroom_free") (param i32 i32))
    (func (export "stateroom_recv") (param $at i32) (param $len i32)
        (if (i32.eq (i32.load (local.get $at)) (i32.const 3)) (then
            (i64.store (local.get $at) (i64.const 0))
            (call $send (local.get $at) (local.get $len))))))"#;

pub(crate) fn binary(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the echo with a page of 64 KiB.
pub(crate) fn portable() -> String {
    EXPORTS.replace("2048 (pagesize 1)", "1")
}

/// Returns the echo with so much memory.
pub(crate) fn echo_of(kib: u32) -> String {
    EXPORTS.replace("2048", &format!("{}", kib * 1024))
}

/// Returns a guest that answers a message with so many broadcasts of it.
pub(crate) fn sending(times: u32) -> String {
    EXPORTS.replace(
        "(call $send (i32.const 0) (local.get $at) (local.get $len))",
        &format!(
            "(local $n i32)
             (loop
                (call $send (i32.const 0) (local.get $at) (local.get $len))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {times}))))"
        ),
    )
}

/// Returns a guest with so much memory that changes so much of it when its timer is due.
pub(crate) fn filling(kib: u32, changed: u32) -> String {
    echo_of(kib).replace(
        r#"(func (export "timer"))"#,
        &format!(
            r#"(func (export "timer") (memory.fill (i32.const 0) (i32.const 1) (i32.const {})))"#,
            changed * 1024
        ),
    )
}

/// Returns an echo, or one with about 100 KB of code that is not called, as in a guest with the standard library.
pub(crate) fn sized(size: &str) -> Vec<u8> {
    let mut functions = String::new();
    if size == "guest of 100 KB" {
        for index in 0..500 {
            let _ = write!(functions, "(func $f{index} (param i32 i32) (result i32) (local i32)");
            for step in 0..20 {
                let _ = write!(
                    functions,
                    "(local.set 2 (i32.xor (i32.load (i32.and (local.get 0) (i32.const 1023)))
                        (i32.mul (local.get 1) (i32.const {step}))))"
                );
            }
            functions.push_str("(local.get 2))");
        }
    }
    let end = EXPORTS.len() - 1;
    binary(&format!("{}{functions})", &EXPORTS[..end]))
}

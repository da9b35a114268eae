use stateroom_host_min::{Limits, LoadError, Program};

use crate::guest::{IMPORTS, load, load_with, wat};

fn refused(module: &[u8]) -> String {
    Program::load(module, Limits::default()).unwrap_err().to_string()
}

fn refused_fields(fields: &str) -> String {
    load(fields).unwrap_err().to_string()
}

#[test]
fn a_complete_guest_is_accepted_with_and_without_imports() {
    load("").unwrap();
    load(IMPORTS).unwrap();
}

#[test]
fn what_is_not_wasm_is_told_apart() {
    assert!(refused(b"").contains("not a WebAssembly module"));
    assert!(refused(b"<html>").contains("not a WebAssembly module"));
    assert!(refused(b"\0asm\x0d\0\x01\0").contains("component"));
    let whole = wat("");
    let truncated = &whole[..whole.len() - 3];
    for part in ["invalid: unexpected end", "the module seems to be cut off: copy it again"] {
        assert!(refused(truncated).contains(part), "{}", refused(truncated));
    }
    assert!(matches!(
        load_with("", {
            let mut limits = Limits::default();
            limits.module_size = 10;
            limits
        }),
        Err(LoadError::TooLarge { limit: 10, .. })
    ));
}

#[test]
fn one_message_lists_everything_that_is_wrong() {
    let module = wat::parse_str(
        r#"(module
            (import "env" "fetch" (func (param i32)))
            (import "env" "send_message" (func (param i64)))
            (func (export "connect"))
            (func (export "jam_malloc") (param i32) (result i32) unreachable)
            (global (export "memory") i32 (i32.const 0)))"#,
    )
    .unwrap();
    let message = refused(&module);
    for part in [
        "imports `env.fetch` (a function (i32)), which this host does not have",
        "imports `env.send_message` as a function (i64); this host has it as a function (i32, i32, i32)",
        "its export `connect` has to be a function (i32), not a function ()",
        "its export `memory` has to be a memory, not a global of type i32",
        "does not export `jam_free`, which has to be a function (i32, i32)",
        "does not export `initialize`",
        "does not export `disconnect`",
        "does not export `timer`, which has to be a function ()",
        "does not export `message`",
        "does not export `binary`",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    assert!(!message.contains("jam_malloc"), "{message}");
}

#[test]
fn modules_for_other_hosts_are_named_for_what_they_are() {
    let bindgen = r#"(import "__wbindgen_placeholder__" "__wbindgen_throw" (func (param i32 i32)))"#;
    assert!(refused_fields(bindgen).contains("wasm-bindgen"));
    let command =
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap();
    assert!(refused(&command).contains("`main`"));
}

fn versioned(version: &str, protocol: &str) -> String {
    format!(
        r#"(global (export "JAMSOCKET_API_VERSION") i32 (i32.const 8))
           (global (export "JAMSOCKET_API_PROTOCOL") i32 (i32.const 12))
           (memory (export "memory") 1)
           (data (i32.const 8) "{version}\00\00\00{protocol}\00\00\00")"#
    )
}

#[test]
fn the_version_is_checked_where_there_is_one() {
    load(&versioned("\\01", "\\00")).unwrap();
    let message = refused_fields(&versioned("\\02", "\\01"));
    assert!(message.contains("version 2 of protocol 1"), "{message}");
    assert!(message.contains("this host has version 1 of protocol 0"), "{message}");
    let outside = r#"(global (export "JAMSOCKET_API_VERSION") i32 (i32.const -2))"#;
    assert!(refused_fields(outside).contains("outside its memory"));
    let wrong = r#"(global (export "JAMSOCKET_API_VERSION") i64 (i64.const 1))"#;
    assert!(refused_fields(wrong).contains("has to be a global of type i32, not a global of type i64"));
}

#[test]
fn a_module_that_fails_while_it_starts_is_refused() {
    let message = refused_fields("(func $start unreachable) (start $start)");
    assert!(message.contains("unreachable"), "{message}");
    let message = refused_fields("(func $start (loop (br 0))) (start $start)");
    assert!(message.contains("fuel"), "{message}");
    let message = refused_fields(r#"(memory (export "memory") 65536)"#);
    assert!(
        message.contains("it asks for 4294967296 bytes of memory; 33554432 are the limit (`memory`)"),
        "{message}"
    );
    let message = refused_fields("(table 10000000 funcref)");
    assert!(message.contains("cannot be started"), "{message}");
}

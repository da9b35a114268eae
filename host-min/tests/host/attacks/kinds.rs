//! Modules of kinds that this host does not run, and imports of things that it does not have.

use stateroom_host_min::{Limits, LoadError, Program};

use super::{HEAD, module, section};
use crate::guest::{begin, load, wat};

fn refused(module: &[u8]) -> LoadError {
    let error = begin(module, Limits::default()).unwrap_err();
    assert!(error.to_string().len() < 1_000, "{error}");
    error
}

#[test]
fn features_that_the_engine_lacks_are_refused() {
    for fields in [
        // memory64
        r#"(memory i64 1)"#,
        "(table i64 1 funcref)",
        // multi-memory
        "(memory 1) (memory 1)",
        // threads
        "(memory 1 1 shared)",
        "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
        "(func (atomic.fence))",
        // exceptions
        "(tag (param i32))",
        "(tag $e) (func (throw $e))",
        "(func (try_table))",
        "(table 1 exnref)",
        // garbage collection and typed references
        "(type (struct (field i32)))",
        "(type (array i8))",
        "(rec (type (func)) (type (func)))",
        "(rec)",
        "(type (sub (func)))",
        "(global anyref (ref.null any))",
        "(global i31ref (ref.i31 (i32.const 1)))",
        "(func (param (ref func)))",
        "(func $f (call_ref 0 (ref.func $f)))",
        "(table 1 (ref func) (ref.func $f)) (func $f)",
        // vectors
        "(global v128 (v128.const i32x4 0 0 0 0))",
        "(func (param v128))",
        "(func (drop (i32x4.splat (i32.const 1))))",
        // stack switching, wide arithmetic, constant arithmetic
        "(type $f (func)) (type (cont $f))",
        "(func (result i64) (i64.mul_wide_s (i64.const 0) (i64.const 0)) drop)",
        "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
        "(global i32 (i32.const 1)) (global i32 (global.get 0))",
    ] {
        let text = format!("(module {fields})");
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let error = refused(&module);
        assert!(matches!(error, LoadError::Invalid(_) | LoadError::TooMany { .. }), "{fields}: {error}");
    }
}

#[test]
fn references_stay_in_tables() {
    for fields in [
        "(func (param funcref))",
        "(func (result externref) unreachable)",
        "(type (func (param i32 externref)))",
        "(func (local funcref))",
        "(func (local i32 i64 externref))",
        "(global funcref (ref.null func))",
        "(global (mut externref) (ref.null extern))",
        "(func (drop (ref.null func)))",
        "(func $f (drop (ref.func $f))) (elem declare func $f)",
        "(func (drop (ref.is_null (ref.null extern))))",
        "(func (drop (block (result funcref) unreachable)))",
        "(func (drop (if (result externref) (i32.const 1) (then unreachable) (else unreachable))))",
        "(func (drop (loop (result funcref) unreachable)))",
        "(func unreachable (select (result externref)) drop)",
        "(table 1 funcref) (func (drop (table.get (i32.const 0))))",
        "(table 1 funcref) (func unreachable (table.set 0))",
        "(table 1 funcref) (func unreachable (drop (table.grow 0)))",
        "(table 1 externref) (func unreachable (table.fill 0))",
    ] {
        let error = load(fields).unwrap_err();
        assert!(error.to_string().contains("references as values"), "{fields}: {error}");
    }
    load("(table 2 funcref) (table 2 2 externref) (func $f) (elem (i32.const 0) $f) (elem funcref (ref.null func) (ref.func $f))
        (func (table.copy 0 0 (i32.const 0) (i32.const 1) (i32.const 1)) (table.init 0 1 (i32.const 0) (i32.const 0) (i32.const 1))
            (drop (table.size 1)) (elem.drop 1) (call_indirect (i32.const 0)) (drop (select (i32.const 0) (i32.const 1) (i32.const 2))))")
    .unwrap();
}

#[test]
fn no_variable_is_left_behind_at_a_block() {
    // A program that made the engine forget to save one: the reference is whatever the stack held.
    let fields = r#"(table $t 1 funcref) (type $v (func))
        (func $f (param funcref i32) (result funcref)
            local.get 0 i32.const 5
            block (param i32) drop local.get 1 br_if 0 ref.null func local.set 0 end)
        (func (export "timer")
            (table.set $t (i32.const 0) (call $f (ref.null func) (i32.const 1))) (call_indirect (type $v) (i32.const 0)))"#;
    assert!(matches!(load(fields), Err(LoadError::Invalid(_))));
    for fields in [
        "(func (param i32) local.get 0 block (param i32) drop end)",
        "(func (param i32) local.get 0 loop (param i32) drop end)",
        "(func (param i32) local.get 0 local.get 0 if (param i32) drop else drop end)",
        "(func (result i32 i32) i32.const 1 i32.const 2)",
        "(func block (result i32 i32) i32.const 1 i32.const 2 end drop drop)",
    ] {
        assert!(load(fields).unwrap_err().to_string().contains("multi-value"), "{fields}");
    }
}

#[test]
fn what_is_no_module_is_told_apart() {
    assert_eq!(refused(b""), LoadError::NotWasm);
    assert_eq!(refused(b"\0as"), LoadError::NotWasm);
    assert_eq!(refused(b"\0asm\x0d\0\x01\0"), LoadError::Component);
    // A component with a guest inside.
    let inner = wat("");
    let component = [&b"\0asm\x0d\0\x01\0"[..], &section(1, &inner)].concat();
    assert_eq!(refused(&component), LoadError::Component);
    for version in [0_u8, 2, 0xff] {
        assert!(matches!(refused(&[b"\0asm", &[version, 0, 0, 0][..]].concat()), LoadError::Invalid(_)));
    }
    assert!(matches!(refused(HEAD), LoadError::NotAGuest(_)), "a module of nothing");
}

#[test]
fn sections_twice_out_of_order_or_of_no_known_kind_are_refused() {
    let (types, functions, code) =
        (section(1, b"\x01\x60\0\0"), section(3, b"\x01\0"), section(10, b"\x01\x02\0\x0b"));
    let complete = [types.clone(), functions.clone(), code.clone()];
    assert!(matches!(refused(&module(&complete)), LoadError::NotAGuest(_)));
    for sections in [
        vec![types.clone(), types.clone()],
        vec![functions.clone(), types.clone(), code.clone()],
        vec![types.clone(), code.clone(), functions.clone()],
        vec![types.clone(), functions.clone()],
        vec![types.clone(), functions.clone(), section(10, b"\0")],
        vec![types.clone(), functions.clone(), section(10, b"\x02\x02\0\x0b\x02\0\x0b")],
        vec![types, functions, code.clone(), code],
        vec![section(99, b"")],
        vec![section(13, b"\0")],
        vec![section(13, b"\x01\0\0")],
        // Counts without what they count.
        vec![section(1, b"\xff\xff\xff\xff\x0f")],
        vec![section(2, b"\xff\xff\xff\xff\x0f")],
        vec![section(9, b"\xff\xff\xff\xff\x0f")],
        vec![section(10, b"\xff\xff\xff\xff\x0f")],
        vec![section(12, b"\xff\xff\xff\xff\x0f")],
        vec![section(8, b"\x05")],
    ] {
        let error = refused(&module(&sections));
        assert!(matches!(error, LoadError::Invalid(_) | LoadError::TooMany { .. }), "{sections:?}: {error}");
    }
}

#[test]
fn a_code_section_of_no_functions_and_many_bytes_is_refused() {
    for bytes in [1, 999, 1_000, 100_000] {
        assert!(matches!(refused(&module(&[section(10, &vec![0; bytes + 1])])), LoadError::Invalid(_)));
    }
    assert!(matches!(refused(&module(&[section(10, &[0])])), LoadError::NotAGuest(_)));
}

#[test]
fn only_functions_can_be_imported() {
    for (import, found) in [
        (r#"(import "env" "memory" (memory 1))"#, "`env.memory` (a memory)"),
        (r#"(import "env" "table" (table 1 funcref))"#, "`env.table` (a table)"),
        (r#"(import "env" "base" (global i32))"#, "`env.base` (a global of type i32)"),
        (r#"(import "env" "base" (global (mut f64)))"#, "`env.base` (a global of type f64)"),
        (r#"(import "" "" (func))"#, "`.` (a function ())"),
        (
            r#"(import "env" "send_message" (table 1 funcref))"#,
            "`env.send_message` as a table; this host has",
        ),
        (r#"(import "env" "set_timer" (global i32))"#, "`env.set_timer` as a global of type i32; this host"),
        (
            r#"(import "stateroom" "log" (func (param i32 i32) (result i32)))"#,
            "as a function (i32, i32) -> (i32); this host",
        ),
        (r#"(import "env" "tag" (tag))"#, "invalid"),
    ] {
        // Without a memory of its own where it imports one.
        let text = format!("(module {import})");
        let error = refused(&wat::parse_str(&text).unwrap());
        assert!(error.to_string().contains(found), "{error}");
    }
    let own = r#"(import "env" "memory" (memory 1)) (export "memory" (memory 0))"#;
    assert!(load(own).is_err());
}

#[test]
fn the_words_of_a_module_are_fit_for_a_terminal() {
    for name in ["\\1b[2J\\07", "a\\0ab", "\\7f", "\\c2\\9b31m"] {
        let error = load(&format!(r#"(import "env" "{name}" (func))"#)).unwrap_err().to_string();
        assert!(!error.lines().any(|line| line.contains(char::is_control)), "{error:?}");
        assert!(error.contains("imports `env."), "{error}");
    }
}

#[test]
fn an_error_is_short_whatever_a_module_is_called() {
    let long = "x".repeat(100_000);
    let import = format!(r#"(import "{long}" "{long}" (func (param i32)))"#);
    let wide = format!(r#"(import "env" "f" (func (param {0}) (result {0})))"#, "i64 ".repeat(32));
    for fields in [
        import.clone(),
        format!(r#"(import "__wbindgen{long}" "{long}" (func))"#),
        (0..2_000).map(|index| format!(r#"(import "{}" "f{index}" (func))"#, &long[..1_000])).collect(),
        wide.repeat(100),
    ] {
        let error = load(&fields).unwrap_err();
        assert!(error.to_string().len() < 100_000, "{}", error.to_string().len());
    }
    let error = load(&import).unwrap_err().to_string();
    assert!(error.len() < 1_000 && error.contains("xxx…`"), "{error}");

    let many: String = (0..5_000).map(|index| format!(r#"(import "env" "f{index}" (func))"#)).collect();
    let error = load(&many).unwrap_err().to_string();
    assert!(error.contains("`env.f99`") && error.contains("4900 more of its imports"), "{error}");

    // Two exports of the same, long name.
    let twice = [&leb_name(&long)[..], b"\0\0", &leb_name(&long), b"\0\0"].concat();
    let twice = module(&[
        section(1, b"\x01\x60\0\0"),
        section(3, b"\x01\0"),
        section(7, &[b"\x02", &twice[..]].concat()),
        section(10, b"\x01\x02\0\x0b"),
    ]);
    assert!(refused(&twice).to_string().contains("duplicate export"));
}

/// Returns a name as modules have it, of any bytes.
fn leb_name(name: impl AsRef<[u8]>) -> Vec<u8> {
    [&super::leb(name.as_ref().len())[..], name.as_ref()].concat()
}

#[test]
fn names_are_utf8_and_not_endless() {
    let named = |name: &[u8]| {
        [
            module(&[
                section(1, b"\x01\x60\0\0"),
                section(2, &[b"\x01", &leb_name(name)[..], b"\x01f\0\0"].concat()),
            ]),
            module(&[section(7, &[b"\x01", &leb_name(name)[..], b"\0\0"].concat())]),
            module(&[section(0, &leb_name(name))]),
        ]
    };
    for name in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", &[b'x'; 1 << 20]] {
        for module in named(name) {
            assert!(matches!(refused(&module), LoadError::Invalid(_)));
        }
    }
    // A length past the end of everything.
    for length in [b"\x05".as_slice(), b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\x0f", b"\x80"] {
        for section in [
            section(0, length),
            section(2, &[b"\x01", length].concat()),
            section(7, &[b"\x01", length].concat()),
        ] {
            assert!(matches!(refused(&module(&[section])), LoadError::Invalid(_)));
        }
    }
}

#[test]
fn a_module_is_weighed_before_it_is_read() {
    let mut limits = Limits::default();
    limits.module_size = 1_000;
    let module = vec![0xff; 1_001];
    assert_eq!(
        Program::load(&module, limits).unwrap_err(),
        LoadError::TooLarge { size: 1_001, limit: 1_000 }
    );
    assert_eq!(Program::load(&module[1..], limits).unwrap_err(), LoadError::NotWasm);
}

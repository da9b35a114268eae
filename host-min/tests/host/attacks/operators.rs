//! Every operator of the engine, as often as a slice lasts: none of them may use up the native stack.
//!
//! An engine that goes from operator to operator by tail calls grows the native stack with each one that
//! fails to make such a call.

use stateroom_host_min::{Event, Limits};

use super::{on_a_small_stack, trap};
use crate::guest::{IMPORTS, begin, finish, room_with, wat};

const TYPES: [&str; 4] = ["i32", "i64", "f32", "f64"];

/// Returns what the snippets use: variables of each type that are called like it, with the value 1.
fn around(snippet: &str, export: &str) -> String {
    format!(
        r#"{IMPORTS} (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1) (data $data "some data")
        (table $t 4 funcref) (table $u 4 funcref) (elem (i32.const 0) $one $one $yield $mixed)
        (elem $elem func $one $one)
        (global $i32 (mut i32) (i32.const 1)) (global $i64 (mut i64) (i64.const 1))
        (global $f32 (mut f32) (f32.const 1)) (global $f64 (mut f64) (f64.const 1))
        (type $one (func (result i32))) (type $mixed (func (param i32 f64) (result f64)))
        (func $nothing) (func $one (result i32) (i32.const 1))
        (func $mixed (type $mixed) (local.get 1))
        (func $many (param i32 i64 f32 f64 i32 i64 f32 f64) (result f64) (local.get 7))
        (func $tail (result i32) (return_call $one)) (func $tail_indirect (result i32) (return_call_indirect (type $one) (i32.const 1)))
        (func $tail_host (result i32) (return_call $yield)) (func $tail_host_indirect (result i32) (return_call_indirect (type $one) (i32.const 2)))
        (func $early (result i32) (block (br_if 0 (global.get $i32)) (return (i32.const 1))) (i32.const 2))
        (func $f {export} (local $i32 i32) (local $i64 i64) (local $f32 f32) (local $f64 f64)
            (local.set $i32 (i32.const 1)) (local.set $i64 (i64.const 1)) (local.set $f32 (f32.const 1)) (local.set $f64 (f64.const 1))
            (loop $again {snippet} (br $again)))"#
    )
}

fn numeric() -> Vec<String> {
    let mut snippets = Vec::new();
    let mut unary = |ty: &str, from: &str, names: &str| {
        for name in names.split(' ') {
            snippets.push(format!("(drop ({ty}.{name} (local.get ${from})))"));
        }
    };
    for int in ["i32", "i64"] {
        unary(int, int, "clz ctz popcnt eqz extend8_s extend16_s");
        for float in ["f32", "f64"] {
            let names =
                ["trunc_F_s trunc_F_u trunc_sat_F_s trunc_sat_F_u"].map(|names| names.replace('F', float));
            unary(int, float, &names[0]);
            unary(float, int, &format!("convert_{int}_s convert_{int}_u"));
        }
    }
    for float in ["f32", "f64"] {
        unary(float, float, "abs neg ceil floor trunc nearest sqrt");
    }
    unary("i64", "i64", "extend32_s");
    unary("i64", "i32", "extend_i32_s extend_i32_u");
    unary("i32", "i64", "wrap_i64");
    unary("f32", "f64", "demote_f64");
    unary("f64", "f32", "promote_f32");
    unary("i32", "f32", "reinterpret_f32");
    unary("i64", "f64", "reinterpret_f64");
    unary("f32", "i32", "reinterpret_i32");
    unary("f64", "i64", "reinterpret_i64");
    for (types, names) in [
        (
            ["i32", "i64"],
            "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u",
        ),
        (["f32", "f64"], "add sub mul div min max copysign eq ne lt gt le ge"),
    ] {
        for ty in types {
            for name in names.split(' ') {
                // Of two variables, and of one and a constant: the engine has operators of their own for
                // both.
                snippets.push(format!("(drop ({ty}.{name} (local.get ${ty}) (local.get ${ty})))"));
                snippets.push(format!("(drop ({ty}.{name} (local.get ${ty}) ({ty}.const 3)))"));
                snippets.push(format!(
                    "(local.set ${ty} (select (local.get ${ty}) ({ty}.const 1) (i32.const 0)))"
                ));
            }
        }
    }
    snippets
}

fn memory() -> Vec<String> {
    let mut snippets = Vec::new();
    for (ty, loads, stores) in [
        ("i32", "load load8_s load8_u load16_s load16_u", "store store8 store16"),
        ("i64", "load load8_s load8_u load16_s load16_u load32_s load32_u", "store store8 store16 store32"),
        ("f32", "load", "store"),
        ("f64", "load", "store"),
    ] {
        for offset in ["", "offset=9000"] {
            for load in loads.split(' ') {
                snippets.push(format!("(drop ({ty}.{load} {offset} (local.get $i32)))"));
            }
            for store in stores.split(' ') {
                snippets.push(format!("({ty}.{store} {offset} (local.get $i32) (local.get ${ty}))"));
                snippets.push(format!("({ty}.{store} {offset} (local.get $i32) ({ty}.const 5))"));
            }
        }
    }
    for snippet in [
        "(drop (memory.size))",
        "(drop (memory.grow (i32.const 0)))",
        "(drop (memory.grow (i32.const 65535)))",
        "(drop (memory.grow (local.get $i32)))",
        "(memory.fill (local.get $i32) (local.get $i32) (local.get $i32))",
        "(memory.copy (local.get $i32) (local.get $i32) (local.get $i32))",
        "(memory.init $data (local.get $i32) (i32.const 0) (i32.const 0))",
        "(data.drop $data)",
    ] {
        snippets.push(snippet.into());
    }
    snippets
}

fn others() -> Vec<String> {
    let mut snippets = Vec::new();
    for ty in TYPES {
        snippets.push(format!("(local.set ${ty} (local.get ${ty}))"));
        snippets.push(format!("(drop (local.tee ${ty} ({ty}.const 1)))"));
        snippets.push(format!("(global.set ${ty} (local.get ${ty}))"));
        snippets.push(format!("(global.set ${ty} ({ty}.add (global.get ${ty}) ({ty}.const 1)))"));
        snippets.push(format!("(drop (select (local.get ${ty}) ({ty}.const 2) (local.get $i32)))"));
        snippets.push(format!("(drop (block (result {ty}) (br_if 0 (local.get ${ty}) (local.get $i32))))"));
        snippets.push(format!(
            "(drop (if (result {ty}) (local.get $i32) (then (local.get ${ty})) (else ({ty}.const 3))))"
        ));
    }
    for snippet in [
        // Tables.
        "(drop (table.size $t))",
        "(table.copy $u $t (i32.const 0) (i32.const 0) (i32.const 2))",
        "(table.copy $u $u (i32.const 0) (i32.const 1) (local.get $i32))",
        "(table.init $u $elem (i32.const 0) (i32.const 0) (i32.const 0))",
        "(elem.drop $elem)",
        // Jumps.
        "(nop)",
        "(block (br 0))",
        "(block (br_if 0 (local.get $i32)))",
        "(block (br_if 0 (i32.eqz (local.get $i32))))",
        "(block (br_if 0 (i64.lt_u (local.get $i64) (i64.const 3))))",
        "(block (block (block (br_table 0 1 2 (local.get $i32)))))",
        "(block (br_table 0 0 0 (local.get $i32)))",
        "(drop (block (result i32) (drop (block (result i32) (br_table 0 1 (i32.const 5) (local.get $i32)))) (i32.const 6)))",
        "(br_if $again (local.get $i32))",
        "(if (local.get $i32) (then) (else (unreachable)))",
        // Calls.
        "(call $nothing)",
        "(drop (call $one))",
        "(drop (call $mixed (local.get $i32) (local.get $f64)))",
        "(drop (call $many (local.get $i32) (local.get $i64) (local.get $f32) (local.get $f64) (i32.const 1) (i64.const 1)
            (f32.const 1) (f64.const 1)))",
        "(drop (call_indirect (type $one) (i32.const 0)))",
        "(drop (call_indirect (type $one) (local.get $i32)))",
        "(drop (call_indirect (type $mixed) (local.get $i32) (local.get $f64) (i32.const 3)))",
        "(table.copy $u $t (i32.const 0) (i32.const 0) (i32.const 1)) (drop (call_indirect $u (type $one) (i32.const 0)))",
        "(drop (call $tail))",
        "(drop (call $tail_indirect))",
        "(drop (call $early))",
        // Calls of the host.
        "(drop (call $yield))",
        "(drop (call $now_ms))",
        "(call $random (local.get $i32) (i32.const 8))",
        "(drop (call_indirect (type $one) (i32.const 2)))",
        "(drop (call $tail_host))",
        "(drop (call $tail_host_indirect))",
        "(call $send (i32.const 0) (i32.const 0) (i32.const 0))",
        "(call $log (i32.const 0) (i32.const 0) (i32.const 0))",
    ] {
        snippets.push(snippet.into());
    }
    snippets
}

/// Runs them in one slice that is many times as long as usual.
fn run(snippets: Vec<String>) {
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (1_000_000, 1_000_000);
    // So that effects last as long as the slice.
    limits.effects = u32::MAX as usize;
    for snippet in snippets {
        let mut room = room_with_all(&snippet, limits);
        let trap = on_a_small_stack(move || finish(&mut room, Event::Timer).unwrap_err());
        assert!(trap.to_string().contains("fuel"), "{snippet}: {trap}");
    }
}

fn room_with_all(snippet: &str, limits: Limits) -> stateroom_host_min::Room {
    begin(&wat(&around(snippet, r#"(export "timer")"#)), limits)
        .unwrap_or_else(|error| panic!("{snippet}: {error}"))
}

#[test]
fn no_numeric_operator_uses_up_the_native_stack() {
    run(numeric());
}

#[test]
fn no_memory_operator_uses_up_the_native_stack() {
    run(memory());
}

#[test]
fn no_other_operator_uses_up_the_native_stack() {
    run(others());
}

#[test]
fn no_operator_uses_it_up_after_the_others_in_a_long_slice() {
    // A block is paid for at once, so one of very many operators makes the slice longer.
    let all: String = [numeric(), memory(), others()]
        .concat()
        .into_iter()
        .filter(|snippet| !snippet.contains("$again"))
        .collect();
    let mut limits = Limits::default();
    // A longer one takes more than the small stack has, by growing memory: see `Limits::slice`.
    (limits.slice, limits.fuel) = (4_000_000, 4_000_000);
    limits.effects = u32::MAX as usize;
    let mut room = room_with_all(&all, limits);
    let trap = on_a_small_stack(move || finish(&mut room, Event::Timer).unwrap_err());
    assert!(trap.to_string().contains("fuel"), "{trap}");
}

#[test]
fn no_operator_uses_it_up_while_a_module_starts() {
    for snippet in [
        "(drop (memory.grow (i32.const 0)))",
        "(drop (memory.grow (i32.const 65535)))",
        "(drop (call_indirect (type $one) (i32.const 2)))",
        "(drop (call $yield))",
    ] {
        for phase in ["(start $f)", r#"(export "_initialize" (func $f))"#] {
            let module = wat(&format!("{} {phase}", around(snippet, "")));
            let trap = on_a_small_stack(move || trap(begin(&module, Limits::default())));
            assert!(trap.to_string().contains("fuel"), "{snippet}: {trap}");
        }
    }
}

#[test]
fn a_single_block_of_many_operators_is_paid_for_at_once() {
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (1, 1_000_000);
    let fields = format!(
        r#"(global $g (mut i32) (i32.const 0)) (func (export "timer") {})"#,
        "(global.set $g (i32.add (global.get $g) (i32.const 1)))".repeat(50_000)
    );
    let mut room = room_with(&fields, limits);
    assert!(on_a_small_stack(move || finish(&mut room, Event::Timer)).is_ok());
}

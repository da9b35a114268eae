//! Floating point: where a run could depend on the machine.

use stateroom_core::MessagePayload;
use stateroom_host_min::{Effect, Event, Limits, Step};

use crate::guest::{finish, room_with};

/// Returns the bits of expressions, computed from the variables `$n` and `$p`, NaNs with a payload, and `$z`, which
/// is 0.
fn bits(ty: &str, nan: &str, expressions: &[&str]) -> Vec<u64> {
    let stores: String = expressions
        .iter()
        .enumerate()
        .map(|(index, expression)| {
            let expression = expression.replace('T', ty);
            let kind =
                ["f32", "f64"].into_iter().find(|kind| expression[1..].starts_with(kind)).unwrap_or(ty);
            format!("({kind}.store (i32.const {}) {expression})", index * 8)
        })
        .collect();
    let fields = format!(
        r#"(memory (export "memory") 1) (global $g (mut {ty}) ({ty}.const 0))
        (func $same (param {ty}) (result {ty}) (local.get 0))
        (func (export "timer") (local $n {ty}) (local $p {ty}) (local $z {ty})
            (local.set $n ({ty}.const {nan})) (local.set $p ({ty}.const -{nan}))
            (global.set $g (local.get $n)) {stores}
            (call $send_binary (i32.const 0) (i32.const 0) (i32.const {})))"#,
        expressions.len() * 8
    );
    let run = |slice| {
        let mut limits = Limits::default();
        limits.slice = slice;
        let mut room = room_with(&fields, limits);
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        let sent = room.effects().find_map(|effect| match effect {
            Effect::Send { payload: MessagePayload::Bytes(bytes), .. } => Some(bytes.to_vec()),
            _ => None,
        });
        sent.unwrap()
    };
    let sent = run(400_000);
    assert_eq!(run(1), sent, "also in slices of any size");
    sent.chunks(8).map(|chunk| u64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

const CALCULATED: [&str; 14] = [
    "(T.add (local.get $n) (local.get $p))",
    "(T.sub (local.get $p) (local.get $n))",
    "(T.mul (local.get $n) (local.get $z))",
    "(T.div (local.get $z) (local.get $z))",
    "(T.div (local.get $n) (local.get $p))",
    "(T.sqrt (T.sub (local.get $z) (T.const 1)))",
    "(T.sqrt (local.get $p))",
    "(T.min (local.get $n) (local.get $z))",
    "(T.max (local.get $z) (local.get $p))",
    "(T.ceil (local.get $n))",
    "(T.floor (local.get $p))",
    "(T.trunc (local.get $n))",
    "(T.nearest (local.get $p))",
    "(T.sub (T.div (T.const 1) (local.get $z)) (T.div (T.const 1) (local.get $z)))",
];

#[test]
fn what_is_calculated_from_nan_is_the_one_nan() {
    assert_eq!(bits("f32", "nan:0x200001", &CALCULATED), [0x7fc0_0000; 14]);
    assert_eq!(bits("f64", "nan:0x4000000000001", &CALCULATED), [0x7ff8_0000_0000_0000; 14]);
    let narrowed = bits("f64", "nan:0x4000000000001", &["(f32.demote_f64 (local.get $n))"]);
    assert_eq!(narrowed, [0x7fc0_0000]);
    let widened = bits("f32", "nan:0x200001", &["(f64.promote_f32 (local.get $p))"]);
    assert_eq!(widened, [0x7ff8_0000_0000_0000]);
}

const MOVED: [&str; 8] = [
    "(T.const nan:0x200001)",
    "(local.get $n)",
    "(global.get $g)",
    "(call $same (local.get $n))",
    "(select (local.get $n) (local.get $z) (i32.const 1))",
    "(T.abs (local.get $p))",
    "(T.neg (local.get $p))",
    "(T.copysign (local.get $p) (local.get $z))",
];

#[test]
fn what_is_moved_keeps_its_bits() {
    assert_eq!(bits("f32", "nan:0x200001", &MOVED), [0x7fa0_0001; 8], "a signalling NaN too");
    assert_eq!(bits("f64", "nan:0x200001", &MOVED), [0x7ff0_0000_0020_0001; 8]);
    let reinterpreted =
        bits("f32", "nan:0x200001", &["(f32.reinterpret_i32 (i32.reinterpret_f32 (local.get $n)))"]);
    assert_eq!(reinterpreted, [0x7fa0_0001]);
    let reinterpreted =
        bits("f64", "nan:0x1", &["(f64.reinterpret_i64 (i64.reinterpret_f64 (local.get $n)))"]);
    assert_eq!(reinterpreted, [0x7ff0_0000_0000_0001]);
}

#[test]
fn conversions_trap_or_saturate_and_nothing_else() {
    let run = |body: &str| {
        let mut room = room_with(&format!(r#"(func (export "timer") (drop {body}))"#), Limits::default());
        finish(&mut room, Event::Timer)
    };
    for (int, float) in [("i32", "f32"), ("i32", "f64"), ("i64", "f32"), ("i64", "f64")] {
        for sign in ["s", "u"] {
            for value in ["nan", "inf", "-inf", "1e30", "-1e30"] {
                let trap = run(&format!("({int}.trunc_{float}_{sign} ({float}.const {value}))")).unwrap_err();
                assert!(trap.to_string().contains("integer"), "{trap}");
                let saturated = run(&format!("({int}.trunc_sat_{float}_{sign} ({float}.const {value}))"));
                assert_eq!(saturated, Ok(Step::Done));
            }
        }
        for operation in ["div_s", "div_u", "rem_s", "rem_u"] {
            let trap = run(&format!("({int}.{operation} ({int}.const 1) ({int}.const 0))")).unwrap_err();
            assert!(trap.to_string().contains("zero"), "{trap}");
        }
        let least = if int == "i32" { "0x80000000" } else { "0x8000000000000000" };
        assert!(run(&format!("({int}.div_s ({int}.const {least}) ({int}.const -1))")).is_err());
        assert_eq!(run(&format!("({int}.rem_s ({int}.const {least}) ({int}.const -1))")), Ok(Step::Done));
    }
}

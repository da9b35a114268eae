//! Tables that change, beside what the specification says of it: the host keeps an account of them, from which they are
//! made again.

use stateroom_host_min::{Event, Room, Step, TrapReason};

use super::Numbers;
use crate::guest::{bytes, finish, program, said};

const SIZE: usize = 60;
/// The number of the segment's elements.
const SPARE: usize = 20;

/// Two tables of functions that answer with letters. A message has a number for what to do, and three operands; the timer
/// has all functions called, and sends what they answer.
fn guest() -> String {
    let letters: String = ('a'..='h')
        .map(|letter| format!("(func ${letter} (result i32) (i32.const {})) ", letter as u32))
        .collect();
    let repeated = |letters: &str, len: usize| {
        let names = letters.chars().cycle().take(len).map(|letter| format!("${letter} "));
        names.collect::<String>()
    };
    let calls = |table: &str, at: usize| {
        format!(
            "(local.set $n (i32.const 0))
            (loop
                (i32.store8 (i32.add (i32.const {at}) (local.get $n))
                    (call_indirect {table} (type $letter) (local.get $n)))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {SIZE}))))"
        )
    };
    format!(
        r#"(memory (export "memory") 1) (type $letter (func (result i32))) {letters}
        (table $one {SIZE} funcref) (table $two {SIZE} funcref)
        (elem (table $one) (i32.const 0) func {}) (elem (table $two) (i32.const 0) func {})
        (elem $spare func {})
        (func (export "jam_malloc") (param i32) (result i32) (i32.const 0))
        (func (export "binary") (param i32 i32 i32) (local $a i32) (local $b i32) (local $c i32)
            (local.set $a (i32.load (i32.const 4)))
            (local.set $b (i32.load (i32.const 8)))
            (local.set $c (i32.load (i32.const 12)))
            (block $init (block $one_two (block $two_one (block $one_one
                (br_table $one_one $two_one $one_two $init (i32.load (i32.const 0))))
                (table.copy $one $one (local.get $a) (local.get $b) (local.get $c)) (return))
                (table.copy $one $two (local.get $a) (local.get $b) (local.get $c)) (return))
                (table.copy $two $one (local.get $a) (local.get $b) (local.get $c)) (return))
            (table.init $one $spare (local.get $a) (local.get $b) (local.get $c)))
        (func (export "timer") (local $n i32) {} {}
            (call $send (i32.const 0) (i32.const 100) (i32.const {})))"#,
        repeated("abc", SIZE),
        repeated("defg", SIZE),
        repeated("hgfab", SPARE),
        calls("$one", 100),
        calls("$two", 100 + SIZE),
        2 * SIZE,
    )
}

fn repeated(letters: &str, len: usize) -> Vec<u8> {
    letters.bytes().cycle().take(len).collect()
}

#[test]
fn tables_are_after_hibernation_what_instructions_have_made_of_them() {
    let program = program(&guest());
    let mut dice = Numbers(5);
    let mut traps = 0;
    for _ in 0..60 {
        let mut room = program.room("", [0; 32]).unwrap();
        assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
        let (mut one, mut two) = (repeated("abc", SIZE), repeated("defg", SIZE));
        let spare = repeated("hgfab", SPARE);
        for _ in 0..10 {
            // Few lead beyond the end, and most are as long as they may be or a little shorter.
            let (a, b) = (dice.below(SIZE), dice.below(SPARE));
            let what = dice.below(4);
            let longest = if what == 3 { (SIZE - a).min(SPARE - b) } else { SIZE - a.max(b) };
            let c = dice.below(longest + 1) + usize::from(dice.below(40) == 0) * SIZE;
            let message: Vec<u8> =
                [what, a, b, c].iter().flat_map(|number| (*number as u32).to_le_bytes()).collect();
            let result = finish(&mut room, bytes(&message));
            if c > longest {
                let reason = result.unwrap_err().reason().clone();
                assert!(matches!(reason, TrapReason::Wasm(_)), "{reason:?}");
                traps += 1;
                break;
            }
            assert_eq!(result, Ok(Step::Done));
            match what {
                0 => one.copy_within(b..b + c, a),
                1 => one[a..a + c].copy_from_slice(&two[b..b + c]),
                2 => two[a..a + c].copy_from_slice(&one[b..b + c]),
                _ => one[a..a + c].copy_from_slice(&spare[b..b + c]),
            }
            let expected = String::from_utf8([&one[..], &two[..]].concat()).unwrap();
            assert_eq!(answers(&mut room), expected);
            if dice.below(2) == 0 {
                room.hibernate().unwrap();
                assert_eq!(answers(&mut room), expected, "woken");
            } else {
                room = program.restore(&room.snapshot().unwrap()).unwrap();
                assert_eq!(answers(&mut room), expected, "restored");
            }
        }
    }
    assert!(traps > 3, "{traps}");
}

fn answers(room: &mut Room) -> String {
    assert_eq!(finish(room, Event::Timer), Ok(Step::Done));
    said(room).concat()
}

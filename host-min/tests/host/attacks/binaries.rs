//! Modules that are damaged, or never were any. Each is refused, or makes a room whose events end.

use stateroom_host_min::{Event, Limits, LoadError, Program, Step};

use super::{HEAD, Numbers, every_event_ends, leb, section};
use crate::guest::{IMPORTS, finish, wat};

/// Returns a guest that has something of everything, in few bytes.
fn sample() -> Vec<u8> {
    wat(&format!(
        r#"{IMPORTS} (type (func (param i32) (result i32)))
        (memory (export "memory") 1 2) (data (i32.const 16) "abc") (data "passive")
        (table 3 4 funcref) (elem (i32.const 0) $count $copy) (elem func $count $copy)
        (global (mut i32) (i32.const 7)) (global i64 (i64.const -1))
        (func $count (param i32) (result i32) (local i64 f32)
            (block (block (block (br_table 0 1 2 (local.get 0))) (return (i32.const 1)))
                (global.set 0 (i32.add (global.get 0) (i32.const 3))))
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 4)) (else (call $count (i32.sub (local.get 0) (i32.const 1))))))
        (func $grow (result f64) (f64.mul (f64.load (i32.const 8)) (f64.convert_i32_s (memory.grow (i32.const 1)))))
        (func $copy (memory.init 1 (i32.const 0) (i32.const 0) (i32.const 0)) (table.init 1 (i32.const 1) (i32.const 0) (i32.const 0)) (data.drop 1))
        (func (export "connect") (param i32) (loop (drop (call_indirect (type 0) (i32.const 5) (i32.const 0))) (call $copy))
            (drop (call $grow)))
        (func (export "message") (param i32 i32 i32) (call $send (local.get 0) (local.get 1) (local.get 2)))
        (start $copy)"#
    ))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.startup_fuel, limits.fuel, limits.slice, limits.memory) = (20_000, 20_000, 5_000, 1 << 20);
    limits
}

/// Returns whether it is a guest at all.
fn survives(module: &[u8]) -> bool {
    match Program::load(module, limits()) {
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 30_000, "{message}");
            false
        }
        Ok(program) => {
            if let Ok(mut room) = program.room("a", [0; 32]) {
                // An event takes as many slices as its fuel pays for, and one for each step that needs more
                // than a slice.
                every_event_ends(&mut room, 1_000);
            }
            true
        }
    }
}

#[test]
fn the_sample_is_a_guest() {
    let program = Program::load(&sample(), limits()).unwrap();
    let mut room = program.room("a", [0; 32]).unwrap();
    assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
    assert_eq!(finish(&mut room, super::CONNECT), Ok(Step::Done));
}

#[test]
fn every_beginning_of_a_module_is_refused() {
    let module = sample();
    // Up to the end of its code and data, behind which there may be names, which it can do without.
    let guests = (0..module.len()).filter(|&len| survives(&module[..len])).count();
    assert!(guests <= 1, "{guests}");
}

#[test]
fn every_damaged_byte_is_survived() {
    let mut module = sample();
    let mut guests = 0;
    for at in 0..module.len() {
        let right = module[at];
        let flipped = (0..8).map(|bit| right ^ (1 << bit));
        let special = [0, 0x0b, 0x40, 0x7f, 0x80, 0xff, right.wrapping_add(1), right.wrapping_sub(1)];
        for wrong in flipped.chain(special) {
            module[at] = wrong;
            guests += usize::from(survives(&module));
        }
        module[at] = right;
    }
    assert!(guests > 100, "some damage makes another guest: {guests}");
}

#[test]
fn damage_in_several_places_is_survived() {
    let sample = sample();
    for seed in 0..3_000 {
        let mut numbers = Numbers(seed);
        let mut module = sample.clone();
        for _ in 0..=numbers.below(4) {
            let (at, len) = (8 + numbers.below(module.len() - 8), numbers.below(8));
            match numbers.below(4) {
                // Other bytes, more of them, fewer of them, and some from elsewhere.
                0 => module[at] = numbers.next() as u8,
                1 => drop(module.splice(at..at, numbers.bytes(len))),
                2 => drop(module.drain(at..(at + len).min(module.len()))),
                _ => {
                    let from = numbers.below(sample.len() - len);
                    let to = (at + len).min(module.len());
                    drop(module.splice(at..to, sample[from..from + len].iter().copied()));
                }
            }
            if module.len() < 16 {
                break;
            }
        }
        survives(&module);
    }
}

#[test]
fn code_behind_the_end_of_a_function_is_refused() {
    // Two variables, on which no operator needs anything else.
    for behind in [
        &b"\x20\0"[..],
        b"\x41\0",
        b"\0",
        b"\x01",
        b"\x02\x40",
        b"\x0b",
        b"\x0c\0",
        b"\x0f",
        b"\x1a",
        b"\x10\0",
    ] {
        let body = [b"\x01\x02\x7f\x0b", behind].concat();
        for body in [[&body[..], b"\x0b"].concat(), body] {
            let code = [&leb(1)[..], &leb(body.len()), &body].concat();
            let module =
                [HEAD, &section(1, b"\x01\x60\0\0"), &section(3, b"\x01\0"), &section(10, &code)].concat();
            let error = Program::load(&module, limits()).unwrap_err();
            assert!(matches!(error, LoadError::Invalid(_)), "{behind:?}: {error}");
        }
    }
}

#[test]
fn random_bytes_are_refused() {
    for seed in 0..3_000 {
        let mut numbers = Numbers(seed);
        let len = numbers.below(300);
        let bytes = numbers.bytes(len);
        assert!(!survives(&bytes));
        assert!(!survives(&[HEAD, &bytes].concat()));
        // In sections, in order, so that more is read of them.
        let mut module = HEAD.to_vec();
        for id in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11] {
            if numbers.below(2) == 0 {
                let count = numbers.below(4);
                let len = numbers.below(20);
                module.extend(section(id, &[leb(count), numbers.bytes(len)].concat()));
            }
        }
        assert!(!survives(&module));
    }
}

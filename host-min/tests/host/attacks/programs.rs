//! Random programs that are valid: each runs the same in slices of any size, whatever it does.

use std::fmt::Write as _;

use stateroom_host_min::{Event, Limits, Step, TrapReason};

use super::Numbers;
use crate::guest::{begin, finish, wat};

const TYPES: [&str; 4] = ["i32", "i64", "f32", "f64"];

/// Writes instructions at random and remembers the types on the stack, so that they are valid.
struct Writer {
    numbers: Numbers,
    text: String,
    stack: Vec<usize>,
    /// The height of the stack at the beginning of each open block.
    blocks: Vec<usize>,
}

impl Writer {
    /// Returns the body of a function that has two variables of each type, and leaves nothing on the stack.
    fn body(seed: u64) -> String {
        let mut writer = Self { numbers: Numbers(seed), text: String::new(), stack: vec![], blocks: vec![] };
        for _ in 0..writer.numbers.below(200) {
            writer.instruction();
        }
        while !writer.blocks.is_empty() {
            writer.end();
        }
        writer.drop_to(0);
        writer.text
    }

    fn write(&mut self, instruction: &str) {
        let _ = writeln!(self.text, "{instruction}");
    }

    fn push(&mut self, ty: usize, instruction: &str) {
        self.stack.push(ty);
        self.write(instruction);
    }

    /// Returns how many values the innermost block may take.
    fn free(&self) -> usize {
        self.stack.len() - self.blocks.last().copied().unwrap_or(0)
    }

    fn drop_to(&mut self, height: usize) {
        while self.stack.len() > height {
            self.stack.pop();
            self.write("drop");
        }
    }

    fn end(&mut self) {
        let height = self.blocks.pop().unwrap_or(0);
        self.drop_to(height);
        self.write("end");
    }

    fn one_of(&mut self, names: &str) -> String {
        let names: Vec<_> = names.split(' ').collect();
        names[self.numbers.below(names.len())].to_owned()
    }

    fn instruction(&mut self) {
        match self.numbers.below(12) {
            0..=3 => self.value(),
            4..=6 if self.free() > 0 => self.unary(),
            7 | 8 if self.free() > 1 => self.binary(),
            9 if self.free() > 0 => self.jump(),
            10 if self.blocks.len() < 5 => {
                let kind = self.one_of("block loop");
                self.blocks.push(self.stack.len());
                self.write(&kind);
            }
            11 if !self.blocks.is_empty() => self.end(),
            _ => self.statement(),
        }
    }

    fn value(&mut self) {
        let ty = self.numbers.below(4);
        let (name, variable) = (TYPES[ty], 2 * ty + self.numbers.below(2));
        match self.numbers.below(5) {
            0 => {
                let value = self.numbers.below(100);
                self.push(ty, &format!("{name}.const {value}"));
            }
            1 => self.push(ty, &format!("global.get ${name}")),
            2 => self.push(0, "memory.size"),
            3 => self.push(0, "i32.const 0 call_indirect (result i32)"),
            _ => self.push(ty, &format!("local.get {variable}")),
        }
    }

    fn unary(&mut self) {
        let ty = self.stack.pop().unwrap_or(0);
        let (name, variable) = (TYPES[ty], 2 * ty + self.numbers.below(2));
        match self.numbers.below(6) {
            0 => self.write(&format!("local.set {variable}")),
            1 => self.push(ty, &format!("local.tee {variable}")),
            2 => self.write(&format!("global.set ${name}")),
            3 if ty == 0 => self.push(0, "memory.grow"),
            4 if ty == 0 => self.push(0, "i32.const 0xffff i32.and i32.load"),
            _ if ty < 2 => {
                let operation = self.one_of("clz ctz popcnt extend8_s extend16_s");
                self.push(ty, &format!("{name}.{operation}"));
            }
            _ => {
                let operation = self.one_of("abs neg ceil floor trunc nearest sqrt");
                self.push(ty, &format!("{name}.{operation}"));
            }
        }
    }

    fn binary(&mut self) {
        let (a, b) = (self.stack[self.stack.len() - 1], self.stack[self.stack.len() - 2]);
        if a != b {
            self.drop_to(self.stack.len() - 1);
            return;
        }
        self.drop_pair();
        let (name, comparison) = (TYPES[a], self.numbers.below(3) == 0);
        let operations = match (comparison, a < 2) {
            (true, true) => "eq ne lt_s lt_u gt_s le_u ge_s",
            (true, false) => "eq ne lt gt le ge",
            (false, true) => "add sub mul and or xor shl shr_s shr_u rotl rotr rem_u div_s",
            (false, false) => "add sub mul div min max copysign",
        };
        let operation = self.one_of(operations);
        self.push(if comparison { 0 } else { a }, &format!("{name}.{operation}"));
    }

    fn drop_pair(&mut self) {
        self.stack.truncate(self.stack.len() - 2);
    }

    fn jump(&mut self) {
        if self.stack.last() != Some(&0) || self.blocks.is_empty() {
            return;
        }
        self.stack.pop();
        // Only as far as there are blocks: they take and give nothing.
        let target = self.numbers.below(self.blocks.len());
        self.write(&format!("br_if {target}"));
    }

    fn statement(&mut self) {
        let statement = match self.numbers.below(9) {
            0 => "(table.init $t $threes (i32.const 1) (i32.const 0) (i32.const 3))",
            1 => "(table.copy $t $u (i32.const 1) (i32.const 2) (i32.const 900))",
            2 => "(drop (table.size $u))",
            3 => "(memory.fill (i32.const 100) (local.get 0) (i32.const 9000))",
            4 => "(memory.copy (i32.const 200) (i32.const 100) (i32.const 9000))",
            5 => "(call $random (i32.const 300) (i32.const 600))",
            6 => "(local.set 2 (call $now_ms))",
            7 => "(call $inner)",
            _ => "(call $set_timer (local.get 0))",
        };
        self.write(statement);
    }
}

/// Returns a guest that runs one program in another and says what became of its variables and its memory.
fn guest(seed: u64) -> Vec<u8> {
    let variables: String = TYPES.map(|ty| format!("{ty} {ty} ")).concat();
    let told: String = (0..8)
        .map(|index| format!("({}.store (i32.const {}) (local.get {index}))", TYPES[index / 2], index * 8))
        .collect();
    wat(&format!(
        r#"{} (memory (export "memory") 1 40) (table $t 1000 funcref) (table $u 1000 funcref)
        (elem (i32.const 0) $three) (elem $threes func $three $three $three) (func $three (result i32) (i32.const 3))
        {}
        (func $inner (local {variables}) (global.set $i32 (i32.add (global.get $i32) (i32.const 1))) {})
        (func (export "timer") (local {variables}) {} {told}
            (call $send_binary (i32.const 0) (i32.const 0) (i32.const 10000)))"#,
        crate::guest::IMPORTS,
        TYPES.map(|ty| format!("(global ${ty} (mut {ty}) ({ty}.const 5))")).concat(),
        Writer::body(seed ^ 0xffff_0000).replace("(call $inner)", ""),
        Writer::body(seed),
    ))
}

#[test]
fn a_program_runs_the_same_in_slices_of_any_size() {
    let mut outcomes = [0; 3];
    for seed in 0..250 {
        let module = guest(seed);
        let run = |slice| {
            let mut limits = Limits::default();
            (limits.slice, limits.fuel) = (slice, 50_000);
            let mut room = begin(&module, limits).unwrap();
            let result = finish(&mut room, Event::Timer).map_err(|trap| trap.reason().clone());
            (result, format!("{:?}", room.effects().collect::<Vec<_>>()))
        };
        let whole = run(50_000);
        for slice in [1, 97, 1_000] {
            let sliced = run(slice);
            assert_eq!(sliced.0, whole.0, "program {seed} in slices of {slice}");
            assert!(sliced.1 == whole.1, "program {seed} in slices of {slice}");
        }
        let outcome = match whole.0 {
            Ok(step) => {
                assert_eq!(step, Step::Done);
                0
            }
            Err(TrapReason::OutOfFuel { .. }) => 1,
            Err(_) => 2,
        };
        outcomes[outcome] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 5), "they end, trap and go on for ever: {outcomes:?}");
}

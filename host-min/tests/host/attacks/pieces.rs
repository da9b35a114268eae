//! Instructions that are done in pieces, beside what the specification says of them, with operands that nobody would
//! choose.

use stateroom_core::MessagePayload;
use stateroom_host_min::{Effect, Event, Limits, Room, Step, TrapReason};

use super::Numbers;
use crate::guest::{bytes, finish, program_with, room_with};

/// Returns a guest that does with its memory what a message tells it. A message has the number of an instruction and
/// three operands. The guest writes the result of `memory.grow` behind them. When its timer is due, it sends all of
/// its memory, in pages of this size.
fn obedient(memory: &str, page: usize) -> String {
    format!(
        r#"(memory (export "memory") {memory}) (data $passive "{PASSIVE}")
        (func (export "jam_malloc") (param i32) (result i32) (i32.const 0))
        (func (export "binary") (param i32 i32 i32) (local $a i32) (local $b i32) (local $c i32) (local $what i32)
            (local.set $what (i32.load (i32.const 0)))
            (local.set $a (i32.load (i32.const 4)))
            (local.set $b (i32.load (i32.const 8)))
            (local.set $c (i32.load (i32.const 12)))
            (block $done (block $drop (block $init (block $copy (block $fill (block $grow
                (br_table $grow $fill $copy $init $drop (local.get $what)))
                (i32.store (i32.const 16) (memory.grow (local.get $a))) (br $done))
                (memory.fill (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (memory.copy (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (memory.init $passive (local.get $a) (local.get $b) (local.get $c)) (br $done))
                (data.drop $passive)))
        (func (export "timer")
            (call $send_binary (i32.const 0) (i32.const 0) (i32.mul (memory.size) (i32.const {page}))))"#
    )
}

const PASSIVE: &str = "a segment from which memory is initialised";

/// A model of what the same instructions do to a memory, by the specification.
struct Model {
    memory: Vec<u8>,
    passive: Vec<u8>,
    page: usize,
    most: usize,
}

impl Model {
    /// Runs one instruction. Returns nothing if it traps.
    fn run(&mut self, what: u32, a: u32, b: u32, c: u32) -> Option<()> {
        let (a, b, c) = (a as usize, b as usize, c as usize);
        let size = self.memory.len();
        let inside = |at: usize, size: usize| (at + c <= size).then_some(at..at + c);
        match what {
            0 => {
                let grown = size + a * self.page;
                let fits = grown <= self.most;
                self.memory.resize(if fits { grown } else { size }, 0);
                let answer = if fits { (size / self.page) as u32 } else { u32::MAX };
                self.memory[16..20].copy_from_slice(&answer.to_le_bytes());
            }
            1 => self.memory[inside(a, size)?].fill(b as u8),
            2 => {
                inside(a, size)?;
                self.memory.copy_within(inside(b, size)?, a);
            }
            3 => {
                let place = inside(a, size)?;
                self.memory[place].copy_from_slice(&self.passive[inside(b, self.passive.len())?]);
            }
            _ => self.passive.clear(),
        }
        Some(())
    }
}

fn message(operands: [u32; 4]) -> Vec<u8> {
    operands.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Picks an operand. Most are near the ends of pieces and of the memory, where an error by one would show.
fn operand(dice: &mut Numbers, size: usize) -> u32 {
    let near = [0, 1, 16 << 10, 32 << 10, 64 << 10, size / 2, size, size.wrapping_sub(16 << 10), 1 << 31, 0];
    let near = near[dice.below(near.len())];
    match dice.below(4) {
        0 => dice.below(size + 2) as u32,
        1 => dice.next() as u32 >> dice.below(32),
        _ => (near as u32).wrapping_add(dice.below(5) as u32).wrapping_sub(2),
    }
}

/// Returns all of the room's memory.
fn memory(room: &mut Room, sent: &mut Vec<u8>) {
    assert_eq!(finish(room, Event::Timer), Ok(Step::Done));
    sent.clear();
    for effect in room.effects() {
        if let Effect::Send { payload: MessagePayload::Bytes(bytes), .. } = effect {
            sent.extend_from_slice(bytes);
        }
    }
}

#[test]
fn what_is_done_in_pieces_is_what_would_be_done_at_once() {
    for (declared, page, pages) in
        [("2 9", 65_536, 2), ("100000 (pagesize 1)", 1, 100_000), ("70000 300000 (pagesize 1)", 1, 70_000)]
    {
        let mut limits = Limits::default();
        (limits.memory, limits.effect_bytes) = (10 << 16, 16 << 20);
        let maximum = declared.split_whitespace().nth(1).and_then(|most| most.parse::<usize>().ok());
        let most = maximum.map_or(limits.memory, |most| (most * page).min(limits.memory));
        let program = program_with(&obedient(declared, page), limits);
        let mut dice = Numbers(page as u64);
        let mut sent = Vec::new();
        let (mut traps, mut grown) = (0, 0);
        for _ in 0..40 {
            let mut room = program.room("", [0; 32]).unwrap();
            assert_eq!(finish(&mut room, Event::Init), Ok(Step::Done));
            let mut model =
                Model { memory: vec![0; pages * page], passive: PASSIVE.as_bytes().to_vec(), page, most };
            for _ in 0..12 {
                let size = model.memory.len();
                let what = [0, 0, 1, 1, 2, 2, 2, 2, 3, 4][dice.below(10)];
                let operands = match what {
                    3 => [what, operand(&mut dice, size), dice.below(44) as u32, dice.below(44) as u32],
                    0 => [what, (dice.below(2 * (most + page - size)) / page) as u32, 0, 0],
                    _ => {
                        let len = operand(&mut dice, size) >> dice.below(3);
                        [what, operand(&mut dice, size), operand(&mut dice, size), len]
                    }
                };
                let message = message(operands);
                model.memory[..message.len()].copy_from_slice(&message);
                let expected = model.run(operands[0], operands[1], operands[2], operands[3]);
                let result = finish(&mut room, bytes(&message));
                if expected.is_none() {
                    assert_eq!(*result.unwrap_err().reason(), TrapReason::MemoryAccess, "{operands:?}");
                    traps += 1;
                    break;
                }
                assert_eq!(result, Ok(Step::Done), "{operands:?}");
                grown += usize::from(model.memory.len() > size);
                memory(&mut room, &mut sent);
                assert!(sent == model.memory, "{declared}: {operands:?}");
            }
        }
        assert!(traps > 5 && grown > 5, "{traps} traps, and {grown} grown");
    }
}

/// Returns how many slices a room's timer takes.
fn slices(room: &mut Room) -> usize {
    let (mut slices, mut step) = (1, room.handle(Event::Timer, 0));
    while step == Ok(Step::Suspended) {
        (slices, step) = (slices + 1, room.resume());
    }
    assert_eq!(step, Ok(Step::Done));
    slices
}

#[test]
fn a_memory_grows_in_pieces_between_which_others_go_on() {
    let growing = |memory: &str, by: u32| {
        let fields = format!(
            r#"(memory (export "memory") {memory})
            (func (export "timer") (drop (memory.grow (i32.const {by}))))"#
        );
        slices(&mut room_with(&fields, Limits::default()))
    };
    // Of 64 KiB each, each of which takes as long as a slice does.
    assert!((400..=600).contains(&growing("1", 511)), "{}", growing("1", 511));
    assert!((400..=600).contains(&growing("65536 (pagesize 1)", 511 << 16)));
    assert_eq!(growing("1", 1), 1);
    assert_eq!(growing("2048 (pagesize 1)", 1000), 1);
    // What is not to be had takes no time.
    assert_eq!(growing("1", 512), 1);
}

#[test]
fn a_memory_is_written_in_pieces_between_which_others_go_on() {
    let writing = |what: &str| {
        let fields = format!(
            r#"(memory (export "memory") 256)
            (func (export "timer") (local $len i32) (local.set $len (i32.const 0xf00000)) {what})"#
        );
        slices(&mut room_with(&fields, Limits::default()))
    };
    for what in [
        "(memory.fill (i32.const 1) (i32.const 1) (local.get $len))",
        "(memory.fill (i32.const 1) (i32.const 1) (i32.const 0xf00000))",
        "(memory.copy (i32.const 1) (i32.const 2) (local.get $len))",
        "(memory.copy (i32.const 2) (i32.const 1) (i32.const 0xf00000))",
    ] {
        // At 8 bytes for each unit of fuel.
        let slices = writing(what);
        assert!((80..=120).contains(&slices), "{what}: {slices}");
    }
    assert_eq!(writing("(memory.fill (i32.const 1) (i32.const 1) (i32.const 0x4000))"), 1);
}

#[test]
fn all_that_a_guest_costs_for_a_few_bytes_is_a_call() {
    // With so little fuel, nothing but a call and a few comparisons can be paid for.
    let mut limits = Limits::default();
    (limits.fuel, limits.slice) = (100, 100);
    for what in ["memory.fill (i32.const 64)", "memory.copy (i32.const 64)"] {
        let fields = format!(
            r#"(memory (export "memory") 1) (global $len (mut i32) (i32.const 8))
            (func (export "timer") ({what} (i32.const 0) (global.get $len)))"#
        );
        let mut room = room_with(&fields, limits);
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done), "{what}");
    }
}

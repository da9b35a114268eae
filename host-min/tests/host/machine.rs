//! A guest that can be told to do anything that changes state: a message is a list of instructions of four
//! bytes.

use stateroom_core::{ClientId, MessagePayload};
use stateroom_host_min::{ClientInfo, Effect, Event, Limits, Program, Room, Step};

use crate::guest::{IMPORTS, wat};

/// The operation, which is the first byte of an instruction; `a`, `b` and `c` are the others.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Op {
    /// Writes `c` to the memory, at `256 a + b`.
    Store,
    /// Fills `256 c` bytes of the second page with `b`, from `256 a` on.
    Fill,
    /// Copies `256 c` bytes within the second page, from `256 a` to `256 b`.
    Copy,
    /// Grows the memory by a page, and stores where that worked.
    Grow,
    /// Computes with `a` in each of the hidden globals.
    Compute,
    /// Puts a function at place `a` of the table: that which adds or that which multiplies, by whether `b` is
    /// odd.
    Point,
    /// Calls the function at place `a` of the table. Where there is none yet this traps.
    Call,
    /// Writes random numbers to `256 a`, as many as `b`.
    Random,
    /// Goes around a loop `256 a + b` times.
    Spin,
    /// Copies from a piece of data, and then drops it if `a` is odd. Once it is dropped this traps.
    Init,
    /// Fills a place of the table from a segment, and then drops that if `a` is odd. Likewise.
    InitTable,
    /// Sends a piece of the memory and all globals.
    Send,
    /// Asks for the timer in `256 a + b` milliseconds.
    Timer,
    /// Writes a line to the log.
    Log,
    /// Closes connections: those of `a` as a recipient, with the code `4000 + b`.
    Close,
    /// Traps.
    Trap,
}

pub(crate) const OPS: [Op; 16] = [
    Op::Store,
    Op::Fill,
    Op::Copy,
    Op::Grow,
    Op::Compute,
    Op::Point,
    Op::Call,
    Op::Random,
    Op::Spin,
    Op::Init,
    Op::InitTable,
    Op::Send,
    Op::Timer,
    Op::Log,
    Op::Close,
    Op::Trap,
];

const MACHINE: &str = r#"
    (memory (export "memory") 3)
    (data (i32.const 32768) "the quick brown fox")
    (data (i32.const 60000) "query")
    (data $spare "jumps over the lazy dog")
    (global $number (mut i32) (i32.const 1))
    (global $long (mut i64) (i64.const -1))
    (global $float (mut f32) (f32.const 1.5))
    (global $double (mut f64) (f64.const -0.1))
    (global $constant i32 (i32.const 7))
    (type $unary (func (param i32) (result i32)))
    (table $table 8 funcref)
    (table $fixed 2 funcref)
    (elem (table $table) (i32.const 0) func $add $multiply $add $add $multiply $multiply $add)
    (elem (table $fixed) (i32.const 0) func $multiply $add)
    (elem $more func $multiply $multiply $add)
    (func $add (type $unary) (i32.add (local.get 0) (global.get $number)))
    (func $multiply (type $unary) (i32.mul (local.get 0) (i32.const 31)))
    (func $started (global.set $number (i32.const 2)))
    (start $started)
    (func (export "_initialize") (global.set $number (i32.mul (global.get $number) (i32.const 21))))
    (func (export "jam_malloc") (param i32) (result i32) i32.const 1024)
    (func $state (param $at i32)
        (i32.store (local.get $at) (global.get $number))
        (i64.store offset=8 (local.get $at) (global.get $long))
        (f32.store offset=16 (local.get $at) (global.get $float))
        (f64.store offset=24 (local.get $at) (global.get $double))
        (i32.store offset=36 (local.get $at) (memory.size)))
    ;; Takes its time, and then asks what the client has brought with it.
    (func (export "connect") (param $client i32) (local $n i32)
        (loop $again
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $n) (i32.const 100))))
        (global.set $number (i32.add (global.get $number)
            (call $client_info (local.get $client) (i32.const 60000) (i32.const 5) (i32.const 60008) (i32.const 16)))))
    (func (export "timer")
        (call $state (i32.const 512))
        (i64.store offset=40 (i32.const 512) (call $now_ms))
        (call $send_binary (i32.const 0) (i32.const 512) (i32.const 48)))
    (func (export "binary") (param $client i32) (param $at i32) (param $len i32)
        (local $end i32) (local $a i32) (local $b i32) (local $c i32)
        (local.set $end (i32.add (local.get $at) (local.get $len)))
        (loop $next
            (if (i32.ge_u (local.get $at) (local.get $end)) (then return))
            (local.set $a (i32.load8_u offset=1 (local.get $at)))
            (local.set $b (i32.load8_u offset=2 (local.get $at)))
            (local.set $c (i32.load8_u offset=3 (local.get $at)))
            (block $done
            (block $trap (block $close_all (block $log (block $timer (block $send_state (block $init_table (block $init (block $spin
            (block $random_bytes (block $call (block $point (block $compute (block $grow (block $copy (block $fill
            (block $store
                (br_table $store $fill $copy $grow $compute $point $call $random_bytes $spin $init $init_table
                    $send_state $timer $log $close_all $trap (i32.load8_u (local.get $at))))
                (; store ;)
                (i32.store8 offset=32768 (i32.or (i32.shl (local.get $a) (i32.const 8)) (local.get $b)) (local.get $c))
                (br $done))
                (; fill ;)
                (memory.fill (i32.add (i32.const 65536) (i32.shl (local.get $a) (i32.const 8))) (local.get $b)
                    (i32.shl (local.get $c) (i32.const 8)))
                (br $done))
                (; copy ;)
                (memory.copy (i32.add (i32.const 65536) (i32.shl (local.get $b) (i32.const 8)))
                    (i32.add (i32.const 65536) (i32.shl (local.get $a) (i32.const 8)))
                    (i32.shl (local.get $c) (i32.const 8)))
                (br $done))
                (; grow ;)
                (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then
                    (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (local.get $a))))
                (br $done))
                (; compute ;)
                (global.set $number (i32.add (i32.mul (global.get $number) (i32.const 33)) (local.get $a)))
                (global.set $long (i64.xor (i64.mul (global.get $long) (i64.const 6364136223846793005))
                    (i64.extend_i32_u (local.get $a))))
                (global.set $float (f32.div (global.get $float)
                    (f32.convert_i32_u (i32.and (local.get $a) (i32.const 3)))))
                (global.set $double (f64.add (global.get $double)
                    (f64.sqrt (f64.sub (f64.convert_i32_u (local.get $a)) (f64.const 2)))))
                (br $done))
                (; point ;)
                (table.copy $table $fixed (i32.and (local.get $a) (i32.const 7)) (i32.and (local.get $b) (i32.const 1))
                    (i32.const 1))
                (br $done))
                (; call ;)
                (global.set $number (call_indirect $table (type $unary) (global.get $number)
                    (i32.and (local.get $a) (i32.const 7))))
                (br $done))
                (; random ;)
                (call $random (i32.add (i32.const 32768) (i32.shl (local.get $a) (i32.const 4))) (local.get $b))
                (br $done))
                (; spin ;)
                (local.set $c (i32.or (i32.shl (local.get $a) (i32.const 8)) (local.get $b)))
                (loop $again
                    (global.set $number (i32.add (global.get $number) (i32.const 1)))
                    (local.set $c (i32.sub (local.get $c) (i32.const 1)))
                    (br_if $again (i32.gt_s (local.get $c) (i32.const 0))))
                (br $done))
                (; init ;)
                (memory.init $spare (i32.const 40000) (i32.const 0) (i32.const 23))
                (if (i32.and (local.get $a) (i32.const 1)) (then (data.drop $spare)))
                (br $done))
                (; init_table ;)
                (table.init $table $more (i32.and (local.get $b) (i32.const 3)) (i32.const 0) (i32.const 3))
                (if (i32.and (local.get $a) (i32.const 1)) (then (elem.drop $more)))
                (br $done))
                (; send_state ;)
                (call $state (i32.const 512))
                (call $send_binary (local.get $client) (i32.const 512) (i32.const 40))
                (call $send_binary (i32.const 0)
                    (i32.add (i32.const 32768) (i32.shl (local.get $a) (i32.const 4))) (local.get $b))
                (br $done))
                (; timer ;)
                (call $set_timer (i32.or (i32.shl (local.get $a) (i32.const 8)) (local.get $b)))
                (br $done))
                (; log ;)
                (call $log (i32.const 2) (i32.const 32768) (i32.const 0))
                (br $done))
                (; close ;)
                (call $close (local.get $a) (i32.add (i32.const 4000) (local.get $b)) (i32.const 0) (i32.const 0))
                (br $done))
                (; trap ;)
                unreachable)
            (local.set $at (i32.add (local.get $at) (i32.const 4)))
            (br $next)))"#;

/// Returns the machine in slices of this many units of fuel.
pub(crate) fn machine(slice: u64) -> Program {
    let mut limits = Limits::default();
    limits.slice = slice;
    limits.memory = 6 << 16;
    limits.fuel = 500_000;
    Program::load(&wat(&format!("{IMPORTS}{MACHINE}")), limits).unwrap()
}

/// Random numbers for tests: the same every time (xorshift64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The information that clients bring with them: nothing that the machine asks for, the longest value that it takes,
/// and values that do not count.
const BELONGINGS: [(&str, &str); 3] =
    [("address", "::1"), ("query", "0123456789abcdef"), ("query", "second")];

/// An event with data of its own.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A client with so many of [`BELONGINGS`].
    Connect(u32, usize),
    Timer,
    Instructions(Vec<u8>),
}

impl Happening {
    /// Picks an instruction. One in two hundred traps.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        match dice.below(10) {
            0 => Self::Connect(dice.below(5) as u32, dice.below(BELONGINGS.len() + 1)),
            1 => Self::Timer,
            _ => {
                let instruction = |dice: &mut Dice| {
                    let op = if dice.below(200) == 0 { Op::Trap } else { OPS[dice.below(OPS.len() - 1)] };
                    let [a, b, c, ..] = dice.next().to_le_bytes();
                    match op {
                        // Mostly within the page.
                        Op::Fill | Op::Copy => [op as u8, a & 127, b & 127, c & 127],
                        Op::Init | Op::InitTable => [op as u8, u8::from(dice.below(50) == 0), b, c],
                        _ => [op as u8, a, b, c],
                    }
                };
                Self::Instructions((0..=dice.below(8)).flat_map(|_| instruction(dice)).collect())
            }
        }
    }

    pub(crate) fn event(&self) -> Event<'_> {
        match self {
            Self::Connect(client, count) => {
                Event::Connect(ClientId(*client), ClientInfo(&BELONGINGS[..*count]))
            }
            Self::Timer => Event::Timer,
            Self::Instructions(bytes) => Event::Message(ClientId(1), MessagePayload::Bytes(bytes)),
        }
    }
}

/// Returns everything that can be seen of an event: how it ended and what it asked for.
pub(crate) fn outcome(room: &mut Room, event: Event<'_>, now_ms: u64) -> String {
    let mut step = room.handle(event, now_ms);
    while step == Ok(Step::Suspended) {
        step = room.resume();
    }
    let effects: Vec<Effect<'_>> = room.effects().collect();
    format!("{step:?} {effects:?}")
}

//! Tests that strangers' modules, guests and messages hurt nothing but their own room.

mod binaries;
mod endless;
mod engine;
mod extensions;
mod floats;
mod growth;
mod kinds;
mod operators;
mod phases;
mod pieces;
mod pointers;
mod programs;
mod sizes;
mod tables;

use std::{panic::resume_unwind, thread};

use stateroom_core::ClientId;
use stateroom_host_min::{Event, LoadError, Room, Step, Trap};

use crate::guest::{bytes, connect, text};

const CONNECT: Event<'_> = connect(1);

/// The exports that an event calls, in order, and their types.
const EXPORTS: [(&str, &str); 8] = [
    ("jam_malloc", "(param i32) (result i32)"),
    ("initialize", "(param i32 i32)"),
    ("jam_free", "(param i32 i32)"),
    ("connect", "(param i32)"),
    ("disconnect", "(param i32)"),
    ("timer", ""),
    ("message", "(param i32 i32 i32)"),
    ("binary", "(param i32 i32 i32)"),
];

/// The head of every module.
const HEAD: &[u8] = b"\0asm\x01\0\0\0";

/// Runs `work` on a thread with so little native stack that it ends the process of the tests to use much of
/// it.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap();
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Returns the trap that an error tells of.
fn trap<T: std::fmt::Debug>(result: Result<T, LoadError>) -> Trap {
    match result {
        Err(LoadError::Trapped(trap)) => trap,
        other => panic!("{other:?}"),
    }
}

/// Runs an event of each kind in a room. Each ends, well or badly, after so many slices at most.
fn every_event_ends(room: &mut Room, slices: usize) {
    let message = "a message of some length";
    for event in
        [CONNECT, text(message), bytes(message.as_bytes()), Event::Timer, Event::Disconnect(ClientId(1))]
    {
        let mut step = room.handle(event, 0);
        for _ in 0..slices {
            if step != Ok(Step::Suspended) {
                break;
            }
            step = room.resume();
        }
        assert_ne!(step, Ok(Step::Suspended), "{event:?}");
        assert_eq!(room.last().map_err(Trap::clone), step);
        let _ = room.effects().count();
    }
}

/// Returns a number as LEB128, as lengths and counts are written in modules.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Returns a section of a module.
fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], &leb(body.len())[..], body].concat()
}

/// Returns the head of a module and its sections.
fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [HEAD, &sections.concat()].concat()
}

/// Numbers that follow from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

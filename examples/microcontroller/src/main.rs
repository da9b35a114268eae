//! Rooms on a microcontroller: host-min on a Cortex-M4, without an operating system. Each line from the UART is a
//! command, most of which are events for a room. What the rooms do is written as lines.
#![no_std]
#![no_main]

extern crate alloc;

mod clock;
mod command;
mod failure;
mod line;
mod memory;
mod room;
mod uart;

use alloc::vec::Vec;

use cortex_m::Peripherals;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use embedded_io::Write as _;
use stateroom_host_min::{Event, Limits, MessagePayload, Program};

use crate::{
    command::{Command, Input},
    line::Line,
    room::{ServedRoom, Unserved},
    uart::Uart,
};

/// The rooms: a name, and the module that `stateroom build` has made.
const GUESTS: [(&str, &[u8]); 2] = [
    ("echo", include_bytes!(env!("ECHO_WASM"))),
    ("counter", include_bytes!(env!("COUNTER_WASM"))),
];

#[entry]
fn main() -> ! {
    memory::init();
    let mut uart = Uart::new();
    if let Some(core) = Peripherals::take() {
        clock::start(core.SYST);
    }
    serve(&mut uart);
    let _ = write!(uart, "{}", memory::Usage::now());
    failure::end(debug::EXIT_SUCCESS)
}

/// Limits that suit a machine with a quarter of a megabyte of memory.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.module_size = 32 << 10;
    limits.memory = 32 << 10;
    limits.table_elements = 100;
    limits.call_depth = 100;
    limits.message_size = line::SIZE;
    limits.effects = 100;
    limits.effect_bytes = 4 << 10;
    // About a second each.
    limits.startup_fuel = 1_000_000;
    limits.fuel = 1_000_000;
    limits
}

/// Serves the rooms until the command `stop`.
fn serve(uart: &mut Uart) {
    let mut rooms = Vec::new();
    for (name, module) in GUESTS {
        match load(name, module, uart) {
            Ok(room) => rooms.push(room),
            Err(error) => drop(writeln!(uart, "error {name}: {error}")),
        }
    }
    let _ = writeln!(uart, "ready");

    let mut line = Line::default();
    loop {
        rooms.iter_mut().for_each(|room| room.run_timer(uart));
        let Some(text) = line.poll(uart) else {
            continue;
        };
        let result = match text.map(Command::parse) {
            Some(Some(Command::Stop)) => return,
            Some(Some(Command::Input { room, input })) => carry_out(&mut rooms, room, input, uart),
            Some(None) => Err(Unserved::NoCommand),
            None => Err(Unserved::NoText),
        };
        if let Err(unserved) = result {
            let _ = writeln!(uart, "error {unserved}");
        }
    }
}

/// Makes a room of a module, and writes how much memory they take.
fn load(
    name: &'static str,
    module: &[u8],
    uart: &mut Uart,
) -> Result<ServedRoom, alloc::boxed::Box<dyn core::error::Error>> {
    let before = memory::heap_in_use();
    let program = Program::load(module, limits())?;
    let loaded = memory::heap_in_use();
    // A product takes the seed from its generator of random numbers, which this board does not have.
    let room = program.room(name, [7; 32])?;
    let mut room = ServedRoom::new(name, room);
    room.run(Event::Init, uart);
    let ready = memory::heap_in_use();
    let (size, program, room_size) = (module.len(), loaded - before, ready - loaded);
    let _ = writeln!(
        uart,
        "loaded {name}: module {size}, program {program}, room {room_size} bytes"
    );
    Ok(room)
}

/// Hands an event to the room of this name.
fn carry_out(
    rooms: &mut [ServedRoom],
    name: &str,
    input: Input<'_>,
    uart: &mut Uart,
) -> Result<(), Unserved> {
    let room = rooms
        .iter_mut()
        .find(|room| room.name() == name)
        .ok_or(Unserved::NoRoom)?;
    match input {
        Input::Connect(client) => room.connect(client, uart),
        Input::Message(client, text) => room.message(client, MessagePayload::Text(text), uart),
        Input::Disconnect(client) => room.disconnect(client, uart),
    }
}

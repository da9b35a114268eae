//! Measures how long a slice of fuel takes, by what a guest does with it.
//!
//! `cargo bench -p stateroom-tests --bench slices` measures it, in time of the processor; another size of slice may
//! follow after `--`. A slice is the least that a guest computes at a stretch: see `TIME_SLICE` in server-smol.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stateroom_host_min::{ClientInfo, Event, Limits, Step};
use stateroom_sdk_core::{ClientId, MessagePayload};
use stateroom_tests::Module;

/// The loops that a guest runs without end.
const LOOPS: [(&str, &str); 15] = [
    ("nothing", ""),
    ("adds", "(local.set $i (i32.add (local.get $i) (i32.const 1)))"),
    ("branches", "(block (br_if 0 (local.get $i)))"),
    (
        "divides",
        "(local.set $i (i32.add (i32.div_u (i32.const -1) (i32.add (local.get $i) (i32.const 7))) (i32.const 1)))",
    ),
    ("takes roots", "(drop (f64.sqrt (f64.convert_i32_u (local.get $i))))"),
    ("loads", "(local.set $i (i32.load offset=64 (local.get $i)))"),
    ("stores", "(i32.store offset=64 (i32.const 0) (local.get $i))"),
    ("branches by a table", "(block (br_table 0 0 (local.get $i)))"),
    ("calls", "(call $nothing)"),
    ("asks for the memory's size", "(drop (memory.size))"),
    ("grows the memory by nothing", "(drop (memory.grow (i32.const 0)))"),
    ("grows the memory too far", "(drop (memory.grow (i32.const 60000)))"),
    ("fills 64 bytes", "(memory.fill (i32.const 64) (i32.const 0) (i32.const 64))"),
    ("fills 64 KiB", "(memory.fill (i32.const 64) (i32.const 0) (i32.const 65536))"),
    ("sets the timer", "(call $set_timer (i32.const 1))"),
];

fn main() {
    // Cargo adds an argument of its own.
    let size = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let size = size.unwrap_or(Limits::default().slice);
    println!("Slices of {size} units of fuel.\n");
    println!("   ms a slice  ns a unit  a guest that");
    for (name, body) in LOOPS {
        let text = format!("(loop $again {body} (br $again))");
        let module = Module::new().told(Box::leak(text.into_boxed_str()));
        let endless = |limits: &mut Limits| {
            (limits.fuel, limits.effects, limits.slice) = (u64::MAX, u32::MAX as usize, size)
        };
        let program = module.limits(endless).program();
        let mut room = program.room("slices", [0; 32]).expect("it starts");
        let told = Event::Message(ClientId(1), MessagePayload::Text("!"));
        let begun = [Event::Init, Event::Connect(ClientId(1), ClientInfo::NONE), told]
            .map(|event| room.handle(event, 0));
        assert_eq!(begun[2], Ok(Step::Suspended), "{name}");
        let (begin, mut slices) = (cpu_time(), 0_u32);
        while cpu_time() - begin < Duration::from_millis(300) {
            assert_eq!(room.resume(), Ok(Step::Suspended), "{name}");
            slices += 1;
        }
        let slice = (cpu_time() - begin) / slices;
        let unit = slice.as_secs_f64() * 1e9 / size as f64;
        println!("{:>13.3} {unit:>10.2}  {name}", slice.as_secs_f64() * 1e3);
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it does not run backwards")
}

use std::{
    env, fs,
    path::Path,
    process::{self, Command},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stateroom_host_min::{Event, Limits, Program, Room, Step};
use stateroom_tests::grouped;

use crate::{
    Bench,
    page::{Page, Verdict, size},
    server::{confined, kilobytes},
};

/// The argument that makes this program the process that holds the rooms.
pub(crate) const COMMAND: &str = "hold-rooms";

const MOST_MEMORY: u64 = 16 << 30;
/// The number of bytes that are left to others.
const RESERVE: u64 = 3 << 29;
const MOST_TIME: Duration = Duration::from_secs(300);
/// The number of rooms between two looks at these.
const STEP: usize = 10_000;

/// Rooms of the library, in a process that has nothing else in it.
pub(crate) fn measure(bench: &Bench, page: &mut Page) {
    let count = bench.options.rooms;
    let program = env::current_exe().expect("a program has a path");
    let mut command = confined(&program);
    command.args([COMMAND, &count.to_string()]).arg(&bench.echo);
    let output = bench.cores.server(&mut command, Command::output).expect("it starts");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("the rooms are not held: {}", String::from_utf8_lossy(&output.stderr)));
    let number = |name: &str| report[name].as_f64().unwrap_or(f64::NAN);
    let (made, resident) = (number("rooms"), number("resident"));
    let target = format!("{} rooms in 16 GiB", grouped(count as u64));
    let result = format!(
        "{} rooms, RSS {}: {} for each",
        grouped(made as u64),
        size(resident),
        size(number("per_room"))
    );
    let verdict = match report["stopped"].as_str() {
        None => Verdict::from(resident <= MOST_MEMORY as f64),
        Some("memory") => Verdict::Missed,
        Some(why) => {
            page.note(format!("the library's rooms: {why}"));
            Verdict::None
        }
    };
    page.line("rooms of the library, all held at once", &target, &result, verdict);
    let result = format!("{:.1} µs of CPU, {:.1} s for all", number("us_per_room"), number("seconds"));
    page.line("making one of them, `init` included", "", &result, Verdict::None);
}

/// Makes rooms and holds them, until there are so many or it has to stop; says how it went.
pub(crate) fn hold(count: usize, module: &Path) {
    // Where memory is short after all, this is what goes.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let module = fs::read(module).expect("it has been built");
    let program = Program::load(&module, Limits::default()).expect("it is a guest");
    let mut rooms: Vec<Room> = Vec::with_capacity(count);
    let (mut stopped, mut first) = (None, None);
    let (begin, cpu, empty) = (Instant::now(), cpu_time(), resident());
    while rooms.len() < count && stopped.is_none() {
        for number in rooms.len()..count.min(rooms.len() + STEP) {
            let mut room = program.room(&number.to_string(), [0; 32]).expect("there is memory");
            assert_eq!(room.handle(Event::Init, 0), Ok(Step::Done));
            rooms.push(room);
        }
        let used = resident() - empty;
        let more = (count - rooms.len()) as u64 * (used / rooms.len() as u64);
        let first = *first.get_or_insert(used);
        stopped = if resident() > MOST_MEMORY {
            Some("memory".to_owned())
        } else if available() < more.min(first) + RESERVE
            || (rooms.len() == STEP && available() < more + RESERVE)
        {
            Some(format!(
                "the machine has {} left, and they take {} more",
                size(available() as f64),
                size(more as f64)
            ))
        } else if begin.elapsed() > MOST_TIME {
            Some("it takes too long".to_owned())
        } else {
            None
        };
    }
    let cpu = cpu_time() - cpu;
    let report = json!({
        "rooms": rooms.len(),
        "resident": resident(),
        "per_room": (resident() - empty) as f64 / rooms.len() as f64,
        "seconds": begin.elapsed().as_secs_f64(),
        "us_per_room": cpu.as_secs_f64() * 1e6 / rooms.len() as f64,
        "stopped": stopped,
    });
    println!("{report}");
    // Nobody is interested in how long it takes to end them one by one.
    process::exit(0);
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it does not run backwards")
}

fn resident() -> u64 {
    kilobytes("/proc/self/status", "VmRSS:") * 1024
}

fn available() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:") * 1024
}

//! Measures how long a room's clients wait while other rooms compute without end, all on one thread, and whether
//! those rooms share the processor evenly.
//!
//! `cargo bench -p stateroom-tests --bench fairness` measures it; seconds for each line of the table may follow
//! after `--`. It fails where 1 answer in 100 comes over 5 ms later than without them, or where one of the
//! computing rooms gets on less than 8 tenths as far as another one.
//!
//! Where other programs keep the machine busy it is their share that shows; then run it with `nice -n -20`.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use stateroom_host_min::{Limits, Program, Room, Trap};
use stateroom_sdk_core::engine::{Engine, EngineContext, EngineFactory, Event, Progress};
use stateroom_tests::{Module, TestServer};

/// The additional delay that 99 in 100 answers may have because of computing rooms.
const MOST_DELAY: Duration = Duration::from_millis(5);
/// The least evenness with which they must share the processor: the fewest slices divided by the most.
const LEAST_EVENNESS: f64 = 0.8;

/// Makes a guest that answers, and that computes in one event without end when it is told to.
fn without_end() -> Program {
    Module::new().told("(loop $again (br $again))").limits(|limits| limits.fuel = u64::MAX).program()
}

/// Makes a guest that answers, and that computes in one short event after the other when it is told to, more than
/// there is time for.
fn over_and_over() -> Program {
    let compute = "(loop $again
        (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 30000))))
        (call $set_timer (i32.const 1))";
    Module::new().told("(call $set_timer (i32.const 1))").timer(compute).program()
}

/// A guest whose slices are counted.
struct Counted {
    guest: Room,
    slices: Arc<AtomicU64>,
}

impl Engine for Counted {
    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext) {
        self.guest.begin(event, context);
    }

    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_> {
        // All slices of a loop have the same fuel, so their number is the work that was done.
        self.slices.fetch_add(1, Ordering::Relaxed);
        self.guest.advance(context)
    }
}

/// Makes rooms, and keeps their counts by their ids.
#[derive(Clone)]
struct Rooms {
    program: Program,
    slices: Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>,
}

impl EngineFactory for Rooms {
    type Engine = Counted;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<Counted, Trap> {
        let guest = self.program.build(room_id, context)?;
        let slices = Arc::default();
        let mut all = self.slices.lock().expect("nobody panics with it");
        all.insert(room_id.to_owned(), Arc::clone(&slices));
        Ok(Counted { guest, slices })
    }
}

impl Rooms {
    fn slices(&self, room: usize) -> u64 {
        let all = self.slices.lock().expect("nobody panics with it");
        all.get(&format!("computing-{room}")).map_or(0, |slices| slices.load(Ordering::Relaxed))
    }
}

/// One line of the table.
struct Line {
    rooms: usize,
    kind: &'static str,
    /// The waits in ascending order.
    waits: Vec<Duration>,
    /// The slices of each computing room.
    slices: Vec<u64>,
    /// The CPU time of this process meanwhile. On a busy machine it is less than the time that has passed.
    cpu: Duration,
}

impl Line {
    fn measure(program: &Program, kind: &'static str, rooms: usize, time: Duration) -> Self {
        let factory = Rooms { program: program.clone(), slices: Arc::default() };
        let server = TestServer::new(factory.clone());
        let mut client = server.client("answering");
        let text = "x".repeat(64);
        let _computing: Vec<_> = (0..rooms)
            .map(|room| {
                let mut client = server.client(&format!("computing-{room}"));
                client.text("!");
                client
            })
            .collect();
        let begun = || (0..rooms).all(|room| factory.slices(room) > 1);
        while !begun() {
            thread::yield_now();
        }
        for _ in 0..100 {
            assert_eq!(client.ask(&text), text);
        }

        let count = || -> Vec<u64> { (0..rooms).map(|room| factory.slices(room)).collect() };
        let (before, cpu, begin) = (count(), cpu_time(), Instant::now());
        let mut waits = Vec::new();
        let mut chance = 1_u32;
        while begin.elapsed() < time {
            // Questions come at any time of a slice, and not always when one has just begun.
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            thread::sleep(Duration::from_micros(u64::from(chance >> 22)));
            let asked = Instant::now();
            assert_eq!(client.ask(&text), text);
            waits.push(asked.elapsed());
        }
        let (cpu, after) = (cpu_time() - cpu, count());
        waits.sort_unstable();
        let slices = before.iter().zip(&after).map(|(before, after)| after - before).collect();
        Self { rooms, kind, waits, slices, cpu }
    }

    /// Returns the wait that so many of a thousand do not exceed.
    fn quantile(&self, thousandths: usize) -> Duration {
        self.waits[(self.waits.len() - 1) * thousandths / 1000]
    }

    fn evenness(&self) -> f64 {
        let (least, most) = (self.slices.iter().min(), self.slices.iter().max());
        least.zip(most).map_or(1.0, |(least, most)| *least as f64 / *most as f64)
    }

    fn print(&self, none: &Self) {
        let ms = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3);
        let later = self.quantile(990).saturating_sub(none.quantile(990));
        let slices: u64 = self.slices.iter().sum();
        let slice = match slices {
            0 => "-".to_owned(),
            _ => ms(self.cpu.div_f64(slices as f64)),
        };
        println!(
            "{:>9} {:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9.3}",
            self.rooms,
            self.kind,
            self.waits.len(),
            ms(self.quantile(500)),
            ms(self.quantile(990)),
            ms(self.quantile(1000)),
            ms(later),
            slice,
            self.evenness(),
        );
    }
}

/// Returns how long this process has run.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it does not run backwards")
}

fn main() -> ExitCode {
    // Cargo adds an argument of its own.
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    println!("One thread; slices of {} units of fuel; times in ms.\n", Limits::default().slice);
    println!("computing rooms         answers      p50      p99      max    later    slice  evenness");
    let mut fair = true;
    for (kind, program) in [("without end", without_end()), ("over and over", over_and_over())] {
        let none = Line::measure(&program, kind, 0, time);
        none.print(&none);
        for rooms in [1, 10, 100] {
            let line = Line::measure(&program, kind, rooms, time);
            line.print(&none);
            fair &=
                line.quantile(990) <= none.quantile(990) + MOST_DELAY && line.evenness() >= LEAST_EVENNESS;
        }
    }
    println!();
    if fair {
        println!("Within {MOST_DELAY:?} of p99 without them, and even.");
        ExitCode::SUCCESS
    } else {
        println!(
            "Not fair: p99 may be {MOST_DELAY:?} later at most, and evenness {LEAST_EVENNESS} at least."
        );
        ExitCode::FAILURE
    }
}

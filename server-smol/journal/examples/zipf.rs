//! Measures the journal on files:
//! `cargo run --release -p stateroom-journal --example zipf -- [FOLDER] [ROOMS] [EVENTS] [TIMES] [SNAPSHOT] [AFTER]`.
//!
//! 100,000 rooms (or another number) have events of 220 bytes, with a Zipf distribution of exponent 0.99. A room is snapshotted when its
//! events since its base exceed a number of times its snapshot, and 4 KiB. It prints the bytes that are written for
//! each byte of events, for each eighth of the events: the journal ages. `TIMES` is `Options::times_live`. With `SNAPSHOT` and `AFTER`,
//! only snapshots of this size are measured, each after events of so many times its size.

#[path = "../tests/journal/files/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod files;

use std::{error::Error, fs, path::PathBuf, time::Instant};

use files::Files;
use stateroom_journal::{Entries, Journal, JournalError, Options, RoomNumber, Stats};

const EVENT: usize = 220;
/// The entries of one commit.
const GROUP: u64 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/zipf".to_owned()));
    let mut number = |or: u64| arguments.next().map_or(Ok(or), |text| text.parse());
    let (rooms, events, times_live) = (number(100_000)?, number(3_000_000)?, number(4)?);
    let (snapshot, after) = (number(0)? as usize, number(8)? as usize);
    let only = (snapshot > 0).then_some((snapshot, after));
    let all = [(700, 4), (700, 8), (4_096, 4), (4_096, 8)];
    for (snapshot, times) in all.into_iter().filter(|_| only.is_none()).chain(only) {
        measure(&folder, (rooms, events, times_live), (snapshot, times))?;
    }
    Ok(())
}

fn measure(
    folder: &PathBuf,
    (rooms, events, times_live): (u64, u64, u64),
    (snapshot, times): (usize, usize),
) -> Result<(), Box<dyn Error>> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut options = Options::new(random.u128(..).to_le_bytes());
    options.max_size = 8 << 30;
    options.times_live = times_live as u32;
    if rooms < 50_000 {
        options.segment_size = 4 << 20;
    }
    let zipf = Zipf::new(rooms, 0.99);
    let bytes: Vec<u8> = (0..snapshot.max(EVENT)).map(|_| random.u8(..)).collect();
    let before = memory();
    let (mut journal, _) = Journal::open(Files::new(folder), options.clone())?;
    let mut entries = Entries::default();
    for number in 1..=rooms {
        entries.create(RoomNumber(number), &format!("room-{number}"), &bytes[..snapshot]);
        if number % GROUP == 0 || number == rooms {
            journal.write(&[&entries])?;
            entries.clear();
            while journal.maintain()? {}
        }
    }
    journal.sync()?;
    println!(
        "{snapshot} B snapshots, k = {times}: {} B a room in memory",
        (memory() - before) * 1024 / rooms
    );
    let mut since = vec![0_usize; rooms as usize + 1];
    let mut start = (journal.stats(), Instant::now());
    for number in 0..events {
        let room = zipf.next(&mut random);
        entries.event(RoomNumber(room), None, &bytes[..EVENT]);
        since[room as usize] += EVENT;
        if since[room as usize] > (times * snapshot).max(4_096) {
            entries.snapshot(RoomNumber(room), None, &bytes[..snapshot]);
            since[room as usize] = 0;
        }
        if number % GROUP == 0 {
            write(&mut journal, &entries)?;
            entries.clear();
            while journal.maintain()? {}
        }
        if (number + 1) % (events / 8).max(1) == 0 {
            report(&journal.stats(), &start, (number + 1, events / 8));
            start = (journal.stats(), Instant::now());
        }
    }
    write(&mut journal, &entries)?;
    journal.sync()?;
    drop(journal);
    for what in ["after a kill", "again"] {
        options.random = random.u128(..).to_le_bytes();
        let begun = Instant::now();
        let (journal, recovery) = Journal::open(Files::new(folder), options.clone())?;
        println!(
            "  opened {what} in {:.0} ms: {} rooms, {} MB read",
            begun.elapsed().as_secs_f64() * 1e3,
            recovery.rooms,
            recovery.bytes_read >> 20
        );
        if what == "again" {
            continue;
        }
        journal.close()?;
    }
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Prints what was written since `start` for the last `events` of those that there have been.
fn report(stats: &Stats, (start, begun): &(Stats, Instant), (age, events): (u64, u64)) {
    let bytes_of_events = (events * EVENT as u64) as f64;
    let share = |now: u64, then: u64| (now - then) as f64 / bytes_of_events;
    println!(
        "  {:>5.1} GB of events: written {:.3} for each byte (moved {:.3}, checkpoints {:.3}); {} MB live, {} MB used; {:.0} events/s",
        (age * EVENT as u64) as f64 / 1e9,
        share(stats.bytes_written, start.bytes_written),
        share(stats.bytes_moved, start.bytes_moved),
        share(stats.bytes_checkpoints, start.bytes_checkpoints),
        stats.bytes_live >> 20,
        stats.bytes_used >> 20,
        events as f64 / begun.elapsed().as_secs_f64(),
    );
}

fn write(journal: &mut Journal<Files>, entries: &Entries) -> Result<(), JournalError> {
    journal.write(&[entries])
}

/// Returns the memory of the process in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Chooses rooms by the shares of their ranks.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(rooms: u64, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=rooms)
            .map(|rank| {
                sum += 1.0 / (rank as f64).powf(exponent);
                sum
            })
            .collect();
        Self { sums }
    }

    fn next(&self, random: &mut fastrand::Rng) -> u64 {
        let at = random.f64() * self.sums[self.sums.len() - 1];
        // The most frequent rooms are not neighbours.
        (self.sums.partition_point(|&sum| sum < at) as u64 * 7_919) % self.sums.len() as u64 + 1
    }
}

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use stateroom_journal::{Entries, Journal, Options, RoomNumber};

#[path = "../../../server-smol/journal/tests/journal/files/mod.rs"]
#[allow(dead_code, unreachable_pub)]
mod files;

use files::Files;

/// The bytes of a record.
pub(crate) const RECORD: usize = 200;
/// The base of a room, and the bytes of events after which it gets a new one, as in the server.
const BASE: usize = 700;
const RENEW: usize = 8 * BASE;
/// The size of the file: that of a segment.
const SIZE: u64 = 16 << 20;

/// Something that writes a group of records, and has them on the disk.
pub(crate) trait Log {
    fn write(&mut self, records: usize);
    /// Does what can be done while nobody waits.
    fn maintain(&mut self) {}
    /// Returns how many groups there were, and how often the disk was asked to keep what it has.
    fn groups_and_syncs(&self) -> [u64; 2];
}

/// A figure of a load: the latency of records in microseconds, and what it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) per_second: f64,
    /// The processor time for each record, in microseconds.
    pub(crate) cpu: f64,
}

/// Writes groups of records for some time, one after the other.
pub(crate) fn run(log: &mut impl Log, records: usize, time: Duration) -> Sample {
    let (begin, cpu) = (Instant::now(), cpu_time());
    let mut waits = Vec::new();
    while begin.elapsed() < time {
        let begin = Instant::now();
        log.write(records);
        waits.push(begin.elapsed().as_secs_f64() * 1e6);
        log.maintain();
    }
    let all = (waits.len() * records) as f64;
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / all;
    let [p50, p99] = [500, 990].map(|thousandths| crate::page::quantile(waits.iter().copied(), thousandths));
    Sample { p50, p99, per_second: all / begin.elapsed().as_secs_f64(), cpu }
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("it does not run backwards")
}

/// Returns the bytes of the histories in the directory of a server that has ended.
pub(crate) fn live_bytes(data: &Path) -> u64 {
    let mut options = Options::new(fastrand::u128(..).to_le_bytes());
    options.max_size = 64 << 30;
    let (journal, _) = Journal::open(Files::new(data.join("journal")), options).expect("it was complete");
    journal.stats().bytes_live
}

/// A file of zeros that is written again and again, with one `pwrite` and one `fdatasync` for each group.
#[derive(Debug)]
pub(crate) struct Raw {
    file: File,
    at: u64,
    bytes: Vec<u8>,
    groups: u64,
}

impl Raw {
    pub(crate) fn new(path: &Path) -> Self {
        let mut file = File::create(path).expect("it can be written");
        let zeros = vec![0; SIZE as usize];
        file.write_all(&zeros).and_then(|()| file.sync_all()).expect("there is space");
        Self { file, at: 0, bytes: Vec::new(), groups: 0 }
    }
}

impl Log for Raw {
    fn write(&mut self, records: usize) {
        self.bytes.clear();
        self.bytes.resize(records * RECORD, self.groups.to_le_bytes()[0]);
        if self.at + self.bytes.len() as u64 > SIZE {
            self.at = 0;
        }
        self.file.write_all_at(&self.bytes, self.at).expect("it can be written");
        self.file.sync_data().expect("the disk keeps it");
        self.at += self.bytes.len() as u64;
        self.groups += 1;
    }

    fn groups_and_syncs(&self) -> [u64; 2] {
        [self.groups, self.groups]
    }
}

/// The journal, with a room for each record of a group.
#[derive(Debug)]
pub(crate) struct Direct {
    journal: Journal<Files>,
    entries: Entries,
    bytes: Vec<u8>,
    /// The bytes of the events of each room since its base.
    since: Vec<usize>,
}

impl Direct {
    pub(crate) fn new(directory: &Path, rooms: usize) -> Self {
        fs::create_dir_all(directory).expect("it can be written");
        let mut rng = fastrand::Rng::with_seed(7);
        let options = Options::new(rng.u128(..).to_le_bytes());
        let (mut journal, _) = Journal::open(Files::new(directory), options).expect("it is new");
        let bytes: Vec<_> = (0..BASE).map(|_| rng.u8(..)).collect();
        let mut entries = Entries::default();
        for room in 1..=rooms {
            entries.create(RoomNumber(room as u64), &format!("room-{room}"), &bytes);
        }
        journal.write(&[&entries]).and_then(|()| journal.sync()).expect("the disk keeps it");
        Self { journal, entries, bytes, since: vec![0; rooms + 1] }
    }
}

impl Log for Direct {
    fn write(&mut self, records: usize) {
        self.entries.clear();
        for room in 1..=records {
            let number = RoomNumber(room as u64);
            self.entries.event(number, None, &self.bytes[..RECORD]);
            self.since[room] += RECORD;
            // Not all at once.
            if self.since[room] > RENEW + room % 16 * RECORD {
                self.entries.snapshot(number, None, &self.bytes);
                self.since[room] = 0;
            }
        }
        self.journal.write(&[&self.entries]).expect("there is space");
        self.journal.sync().expect("the disk keeps it");
    }

    fn maintain(&mut self) {
        self.journal.maintain().expect("the disk keeps it");
    }

    fn groups_and_syncs(&self) -> [u64; 2] {
        let stats = self.journal.stats();
        [stats.batches, stats.syncs]
    }
}

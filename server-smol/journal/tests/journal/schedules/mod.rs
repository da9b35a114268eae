//! Random schedules of writes, faults and crashes, compared with a model.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use fastrand::Rng;
use stateroom_journal::{BaseKind, Entries, Journal, JournalError, OpenError, Options, RoomNumber};

use crate::simulated::{Faults, Simulated, Tried};

/// Bytes that are made from a number when they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Payload {
    seed: u64,
    length: usize,
}

impl Payload {
    fn new(random: &mut Rng, large: bool) -> Self {
        let length = match random.u32(..20) {
            0 if large => random.usize(..9_000),
            0..6 => random.usize(..900),
            _ => random.usize(..120),
        };
        Self { seed: random.u64(..), length }
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.length + 8);
        let mut word = self.seed;
        while bytes.len() < self.length {
            bytes.extend_from_slice(&word.to_le_bytes());
            word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
        bytes.truncate(self.length);
        bytes
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelRoom {
    id: String,
    snapshot: bool,
    base_due: Option<u64>,
    due: Option<u64>,
    base: Payload,
    events: Vec<(Option<Option<u64>>, Payload)>,
}

type Model = BTreeMap<u64, ModelRoom>;

#[derive(Debug, Default)]
struct Counts {
    recoveries: u64,
    crashes_in_recovery: u64,
    commits: u64,
    acknowledged: u64,
    histories: u64,
    full: u64,
    dropped_tails: u64,
    rewritten: u64,
    checkpoints_used: u64,
    recycled: u64,
    broken: u64,
}

struct Schedule {
    random: Rng,
    disk: Simulated,
    /// The entries that must be there, and those that may be there in addition, commit by commit.
    acknowledged: Model,
    candidates: Vec<Model>,
    next_room: u64,
    next_id: u64,
    segments: u64,
    checkpoint_every: u64,
    large: bool,
    /// True if something could not be read, so that the process must have been killed.
    unreadable: bool,
    counts: Counts,
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        Self {
            disk: Simulated::new(random.u64(..)),
            acknowledged: Model::new(),
            candidates: Vec::new(),
            next_room: 1,
            next_id: 0,
            segments: random.u64(8..30),
            checkpoint_every: random.u64(500..20_000),
            large: random.u32(..3) == 0,
            unreadable: false,
            counts: Counts::default(),
            random,
        }
    }

    fn options(&mut self) -> Options {
        let mut options = Options::new(self.random.u128(..).to_le_bytes());
        options.segment_size = 4096;
        options.max_size = self.segments * 4096;
        options.checkpoint_every = self.checkpoint_every;
        options
    }

    fn faults(&mut self) -> Faults {
        let mut faults = Faults::default();
        match self.random.u32(..8) {
            0 => faults.write = 20,
            1 => faults.sync = 15,
            2 => faults.create = 2,
            3 => faults.names = 8,
            4 => {}
            _ => faults.die_in = Some(self.random.u64(..200)),
        }
        faults
    }

    fn crash(&mut self) {
        if self.random.bool() {
            self.disk.kill();
            // A computer can also fail after the process.
            if self.random.u32(..4) == 0 {
                self.disk.cut_power();
            }
        } else {
            self.disk.cut_power();
        }
    }

    fn run(&mut self) {
        for _ in 0..self.random.u32(2..6) {
            self.live();
            self.crash();
        }
        self.disk.faults = Faults::default();
        self.live();
    }

    /// Opens the journal and compares it, works with it, and ends when something fails.
    fn live(&mut self) {
        let mut disk = std::mem::replace(&mut self.disk, Simulated::new(0));
        let mut journal = loop {
            if self.random.u32(..3) == 0 {
                disk.faults = self.faults();
                if disk.faults.die_in.is_some() {
                    disk.faults.die_in = Some(self.random.u64(..40));
                }
            }
            let options = self.options();
            match Journal::open(&mut disk, options) {
                Ok((journal, recovery)) => {
                    self.counts.recoveries += 1;
                    self.counts.dropped_tails += u64::from(recovery.dropped > 0);
                    self.counts.rewritten += recovery.rewritten as u64;
                    self.counts.checkpoints_used += u64::from(!recovery.full_scan);
                    break journal;
                }
                Err(OpenError::Io(_)) => {
                    self.counts.crashes_in_recovery += 1;
                    self.disk = disk;
                    self.crash();
                    disk = std::mem::replace(&mut self.disk, Simulated::new(0));
                }
                Err(error) => panic!("{error}"),
            }
        };
        let alive = self.compare_opened(&mut journal).is_some();
        self.unreadable = !alive;
        if alive {
            self.work(&mut journal);
        }
        self.counts.recycled += journal.stats().segments;
        if alive && self.random.u32(..5) == 0 {
            let sure = journal.close().is_ok();
            if sure {
                self.acknowledge();
            }
        } else {
            drop(journal);
        }
        assert!(!self.unreadable || disk.is_dead(), "something cannot be read");
        self.disk = disk;
    }

    /// Takes over what was found, which must be what was acknowledged and some commits more. Returns `None` if the
    /// process is killed before all was read.
    fn compare_opened(&mut self, journal: &mut Journal<&mut Simulated>) -> Option<()> {
        // From the newest on, because those that are equal are the same.
        let mut found = None;
        for candidate in self.candidates.iter().rev().chain([&self.acknowledged]) {
            if same(candidate, journal)? {
                found = Some(candidate.clone());
                break;
            }
        }
        let Some(found) = found else {
            for (number, room) in &self.acknowledged {
                println!("acknowledged {number}: {} {} {:?}", room.base.length, room.events.len(), room.due);
            }
            let rooms: Vec<_> = journal.rooms().collect();
            panic!(
                "what was acknowledged is not there, or something else is: {rooms:?}, {} more",
                self.candidates.len()
            );
        };
        self.acknowledged = found;
        self.candidates.clear();
        for room in journal.rooms() {
            assert_eq!(journal.find(room.id), Some(room.number));
            assert!(room.number < journal.next_room());
        }
        assert!(journal.next_room().0 > *self.acknowledged.keys().max().unwrap_or(&0));
        self.next_room = self.next_room.max(journal.next_room().0);
        Some(())
    }

    fn now(&self) -> &Model {
        self.candidates.last().unwrap_or(&self.acknowledged)
    }

    fn acknowledge(&mut self) {
        if let Some(last) = self.candidates.pop() {
            self.counts.acknowledged += self.candidates.len() as u64 + 1;
            self.acknowledged = last;
            self.candidates.clear();
        }
    }

    fn work(&mut self, journal: &mut Journal<&mut Simulated>) {
        for _ in 0..self.random.u32(..80) {
            let result = match self.random.u32(..20) {
                0..11 => self.write(journal),
                11..15 => journal.sync().map(|()| self.acknowledge()),
                15..18 => journal.maintain().map(|_| ()),
                18 => (0..20).try_for_each(|_| journal.maintain().map(|_| ())),
                _ => {
                    match same(self.now(), journal) {
                        Some(same) => assert!(same, "a history is wrong"),
                        None => {
                            self.unreadable = true;
                            return;
                        }
                    }
                    self.counts.histories += 1;
                    Ok(())
                }
            };
            match result {
                Ok(()) => {}
                Err(JournalError::Full(_)) => self.counts.full += 1,
                Err(JournalError::Broken(_)) => {
                    self.counts.broken += 1;
                    // It stays so.
                    assert!(matches!(journal.sync(), Err(JournalError::Broken(_))));
                    return;
                }
                // The process was killed while it read.
                Err(JournalError::Read(_)) => {
                    self.unreadable = true;
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn write(&mut self, journal: &mut Journal<&mut Simulated>) -> Result<(), JournalError> {
        let mut model = self.now().clone();
        let mut entries = [Entries::default(), Entries::default()];
        for _ in 0..self.random.u32(1..6) {
            // All entries of a room come from one thread.
            let thread = |number: u64| (number % 2) as usize;
            let chosen = model.keys().nth(self.random.usize(..model.len().max(1))).copied();
            let (number, new) = match chosen {
                Some(number) if self.random.u32(..6) != 0 || model.len() > 8 => (number, false),
                _ => {
                    self.next_room += 1;
                    (self.next_room - 1, true)
                }
            };
            let to = &mut entries[thread(number)];
            let payload = Payload::new(&mut self.random, self.large);
            let due = self.random.bool().then(|| self.random.u64(..1 << 40));
            if new {
                let id = if self.random.bool() {
                    format!("room {}", self.next_id % 3)
                } else {
                    format!("r{}", self.next_id)
                };
                self.next_id += 1;
                if model.values().any(|room| room.id == id) {
                    continue;
                }
                to.create(RoomNumber(number), &id, &payload.bytes());
                let room = ModelRoom {
                    id,
                    snapshot: false,
                    base_due: None,
                    due: None,
                    base: payload,
                    events: Vec::new(),
                };
                model.insert(number, room);
                continue;
            }
            let room = model.get_mut(&number).unwrap();
            match self.random.u32(..20) {
                0 => {
                    to.end(RoomNumber(number));
                    model.remove(&number);
                    // Its id may be used by another thread only after this commit.
                    break;
                }
                1..4 => {
                    to.snapshot(RoomNumber(number), due, &payload.bytes());
                    *room = ModelRoom {
                        id: room.id.clone(),
                        snapshot: true,
                        base_due: due,
                        due,
                        base: payload,
                        events: Vec::new(),
                    };
                }
                _ => {
                    let timer = self.random.bool().then_some(due);
                    to.event(RoomNumber(number), timer, &payload.bytes());
                    room.events.push((timer, payload));
                    if let Some(due) = timer {
                        room.due = due;
                    }
                }
            }
        }
        self.candidates.push(model);
        let result = journal.write(&[&entries[0], &entries[1]]);
        self.counts.commits += 1;
        if let Err(JournalError::Full(_) | JournalError::Read(_)) = result {
            // Nothing has changed.
            self.candidates.pop();
        }
        result
    }
}

/// Compares all rooms with a model. Returns `None` if they cannot be read, because the process is killed.
fn same(model: &Model, journal: &mut Journal<&mut Simulated>) -> Option<bool> {
    if model.len() != journal.rooms().count() {
        return Some(false);
    }
    for (&number, room) in model {
        let history = match journal.history(RoomNumber(number)) {
            Ok(history) => history,
            Err(JournalError::Broken(_) | JournalError::Read(_)) => return None,
            Err(JournalError::UnknownRoom(_)) => return Some(false),
            Err(error) => panic!("{error}"),
        };
        let same = journal
            .room(RoomNumber(number))
            .is_some_and(|entry| entry.id == room.id && entry.due == room.due)
            && history.kind == if room.snapshot { BaseKind::Snapshot } else { BaseKind::Created }
            && history.due == room.base_due
            && history.base() == room.base.bytes()
            && history.events().len() == room.events.len()
            && history
                .events()
                .zip(&room.events)
                .all(|(event, (timer, payload))| event.timer == *timer && event.event == payload.bytes());
        if !same {
            return Some(false);
        }
    }
    Some(true)
}

#[test]
fn what_was_acknowledged_is_found_after_any_crash() {
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let schedules: u64 = from_environment("JOURNAL_SCHEDULES").unwrap_or(20_000);
    let first: u64 = from_environment("JOURNAL_SEED").unwrap_or(0);
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<(Counts, Tried)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut sum = (Counts::default(), Tried::default());
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + schedules {
                            return sum;
                        }
                        let mut schedule = Schedule::new(seed);
                        let result =
                            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| schedule.run()));
                        if result.is_err() {
                            next.store(u64::MAX / 2, Ordering::Relaxed);
                            panic!("seed {seed} fails: JOURNAL_SEED={seed} JOURNAL_SCHEDULES=1");
                        }
                        add(&mut sum, &schedule);
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a schedule failed")).collect()
    });
    let sum = |of: &dyn Fn(&Counts, &Tried) -> u64| {
        results.iter().map(|(counts, tried)| of(counts, tried)).sum::<u64>()
    };
    let rows: [(&str, u64); 22] = [
        ("schedules", schedules),
        ("operations of the disk", sum(&|_, tried| tried.operations)),
        ("commits", sum(&|counts, _| counts.commits)),
        ("commits acknowledged and checked", sum(&|counts, _| counts.acknowledged)),
        ("all histories compared", sum(&|counts, _| counts.histories)),
        ("power cuts", sum(&|_, tried| tried.power_cuts)),
        ("kills", sum(&|_, tried| tried.kills)),
        ("failed writes", sum(&|_, tried| tried.failed_writes)),
        ("torn writes", sum(&|_, tried| tried.torn_writes)),
        ("failed syncs", sum(&|_, tried| tried.failed_syncs)),
        ("failed syncs of the folder", sum(&|_, tried| tried.failed_directory_syncs)),
        ("no space", sum(&|_, tried| tried.no_space)),
        ("writes refused for space", sum(&|counts, _| counts.full)),
        ("journals that broke", sum(&|counts, _| counts.broken)),
        ("lost sectors", sum(&|_, tried| tried.lost_sectors)),
        ("lost names", sum(&|_, tried| tried.lost_names)),
        ("recoveries", sum(&|counts, _| counts.recoveries)),
        ("recoveries from a checkpoint", sum(&|counts, _| counts.checkpoints_used)),
        ("crashes in recovery", sum(&|counts, _| counts.crashes_in_recovery)),
        ("dropped tails", sum(&|counts, _| counts.dropped_tails)),
        ("commits written again", sum(&|counts, _| counts.rewritten)),
        ("segments in use at ends", sum(&|counts, _| counts.recycled)),
    ];
    for (name, count) in rows {
        println!("{count:>12} {name}");
    }
    println!("{:>12.1} seconds", begun.elapsed().as_secs_f64());
    if schedules >= 1_000 {
        assert!(rows.iter().all(|&(_, count)| count > 0), "something was not tried");
    }
}

fn add(sum: &mut (Counts, Tried), schedule: &Schedule) {
    let (counts, of) = (&mut sum.0, &schedule.counts);
    counts.recoveries += of.recoveries;
    counts.crashes_in_recovery += of.crashes_in_recovery;
    counts.commits += of.commits;
    counts.acknowledged += of.acknowledged;
    counts.histories += of.histories;
    counts.full += of.full;
    counts.dropped_tails += of.dropped_tails;
    counts.rewritten += of.rewritten;
    counts.checkpoints_used += of.checkpoints_used;
    counts.recycled += of.recycled;
    counts.broken += of.broken;
    let (tried, of) = (&mut sum.1, &schedule.disk.tried);
    tried.power_cuts += of.power_cuts;
    tried.kills += of.kills;
    tried.failed_writes += of.failed_writes;
    tried.torn_writes += of.torn_writes;
    tried.failed_syncs += of.failed_syncs;
    tried.failed_directory_syncs += of.failed_directory_syncs;
    tried.no_space += of.no_space;
    tried.lost_sectors += of.lost_sectors;
    tried.lost_names += of.lost_names;
    tried.operations += of.operations;
}

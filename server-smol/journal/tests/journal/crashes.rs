//! A crash at each operation of the disk, in the first use of segments and when they are used again.

use stateroom_journal::{Disk, Entries, Journal, JournalError, OpenError, Options, RoomNumber};

use crate::simulated::Simulated;

const ROOMS: u64 = 5;

fn options(seed: u64) -> Options {
    let mut options = Options::new((u128::from(seed) << 64 | 5).to_le_bytes());
    options.segment_size = 4096;
    options.max_size = 10 * 4096;
    options.checkpoint_every = 9_000;
    options
}

/// Writes commits from this number on. Commit `n` is an event of one room; every tenth is a snapshot of all, and
/// what rooms say is the number. Returns how many are acknowledged and how many are written.
fn work(journal: &mut Journal<impl Disk>, from: u64, to: u64) -> (u64, u64) {
    let mut entries = Entries::default();
    let mut acknowledged = from;
    for number in from..to {
        entries.clear();
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(8 + (number * 37 % 400) as usize, number as u8);
        for room in (1..=ROOMS).map(RoomNumber) {
            if number == 0 {
                entries.create(room, &room.0.to_string(), &payload);
            } else if number.is_multiple_of(10) {
                entries.snapshot(room, None, &payload);
            } else if number % ROOMS + 1 == room.0 {
                entries.event(room, None, &payload);
            }
        }
        if journal.write(&[&entries]).is_err() {
            return (acknowledged, number + 1);
        }
        if number % 3 == 0 {
            if journal.sync().is_err() {
                return (acknowledged, number + 1);
            }
            acknowledged = number + 1;
        }
        if number % 4 == 0 && journal.maintain().is_err() {
            return (acknowledged, number + 1);
        }
    }
    (acknowledged, to)
}

/// Returns how many commits a journal has, and checks that it has all before.
fn commits(journal: &mut Journal<impl Disk>) -> Result<u64, JournalError> {
    let mut found = Vec::new();
    for room in (1..=ROOMS).map(RoomNumber) {
        let history = match journal.history(room) {
            Ok(history) => history,
            Err(JournalError::UnknownRoom(_)) => return Ok(0),
            Err(error) => return Err(error),
        };
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let mut numbers: Vec<u64> = history.events().map(|event| number(event.event)).collect();
        numbers.insert(0, number(history.base()));
        found.push(numbers);
    }
    let count = found.iter().flatten().max().unwrap() + 1;
    let base = (count - 1) / 10 * 10;
    for (room, numbers) in (1..).zip(&found) {
        let expected =
            std::iter::once(base).chain((base + 1..count).filter(|number| number % ROOMS + 1 == room));
        assert!(numbers.iter().copied().eq(expected), "room {room} of {count} commits: {numbers:?}");
    }
    Ok(count)
}

/// Lets the process or the power fail at each operation, and again at each operation of the recovery.
fn fail_everywhere(from: u64, to: u64) {
    for power in [false, true] {
        for at in 0.. {
            let mut disk = Simulated::new(at);
            let mut acknowledged = 0;
            let mut written = 0;
            if from > 0 {
                let (mut journal, _) = Journal::open(&mut disk, options(1)).unwrap();
                assert_eq!(work(&mut journal, 0, from).1, from);
                journal.sync().unwrap();
                (acknowledged, written) = (from, from);
                assert!(journal.stats().bytes_written > 15 * 4096, "segments are used again");
            }
            disk.faults.die_in = Some(at);
            if let Ok((mut journal, _)) = Journal::open(&mut disk, options(2)) {
                (acknowledged, written) = work(&mut journal, from, to);
            }
            let finished = written == to;
            if std::env::var_os("JOURNAL_TRACE").is_some() {
                println!("AT {at} {acknowledged} {written}");
            }
            let fail = |disk: &mut Simulated| if power { disk.cut_power() } else { disk.kill() };
            fail(&mut disk);
            let mut before = 0;
            for again in (0..).step_by(1 + at as usize % 4) {
                disk.faults.die_in = Some(again);
                let opened = match Journal::open(&mut disk, options(3 + again)) {
                    Ok((mut journal, _)) => match commits(&mut journal) {
                        Ok(count) => Some(count),
                        Err(JournalError::Read(_)) => {
                            drop(journal);
                            assert!(disk.is_dead(), "something cannot be read");
                            None
                        }
                        Err(error) => panic!("at {at}, again at {again}: {error}"),
                    },
                    Err(OpenError::Io(_)) => None,
                    Err(error) => panic!("at {at}, again at {again}: {error}"),
                };
                if let Some(count) = opened {
                    let all = acknowledged.max(before)..=written;
                    assert!(all.contains(&count), "at {at}, again at {again}: {count} of {all:?}");
                    before = count;
                    if again > 60 {
                        break;
                    }
                }
                assert!(again < 400, "it grows with each start");
                fail(&mut disk);
            }
            if finished {
                break;
            }
        }
    }
}

#[test]
fn a_new_journal_survives_a_crash_at_each_operation() {
    fail_everywhere(0, 60);
}

#[test]
fn recycled_segments_survive_a_crash_at_each_operation() {
    fail_everywhere(400, 470);
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let mut disk = Simulated::new(0);
    disk.space = 8 * 4096;
    let mut entries = Entries::default();
    let mut options = options(1);
    options.max_size = 100 * 4096;
    let (mut journal, _) = Journal::open(&mut disk, options.clone()).unwrap();
    let mut written = 0;
    loop {
        entries.clear();
        entries.create(RoomNumber(written + 1), &format!("{written}"), &[1; 700]);
        match journal.write(&[&entries]) {
            Ok(()) => written += 1,
            Err(JournalError::Full(_)) => break,
            Err(error) => panic!("{error}"),
        }
        journal.sync().unwrap();
    }
    assert!(written > 20, "{written}");
    for _ in 0..50 {
        let error = journal.write(&[&entries]).unwrap_err();
        assert!(matches!(error, JournalError::Full(_)) && !error.is_limit(), "{error}");
        let _ = journal.maintain();
    }
    // Rooms can end, which makes space.
    let mut ends = Entries::default();
    for number in 1..=12 {
        ends.end(RoomNumber(number));
    }
    journal.write(&[&ends]).unwrap();
    journal.write(&[&entries]).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.rooms().count() as u64, written - 12 + 1);
    drop(journal);
    // So does the operator.
    disk.cut_power();
    let (mut journal, recovery) = Journal::open(&mut disk, options.clone()).unwrap();
    assert_eq!(recovery.rooms as u64, written - 12 + 1);
    while journal.write(&[&entries]).is_ok() {
        let room = journal.find(&format!("{}", written)).unwrap_or(RoomNumber(written + 1));
        entries.clear();
        entries.snapshot(room, None, &[2; 700]);
        if journal.stats().batches > 500 {
            break;
        }
    }
    drop(journal);
    disk.space = u64::MAX;
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    for number in 500..540 {
        entries.clear();
        entries.create(RoomNumber(number), &format!("{number}"), &[1; 700]);
        journal.write(&[&entries]).unwrap();
    }
    journal.sync().unwrap();
}

#[test]
fn the_size_is_a_limit_and_cleaning_keeps_to_it() {
    let mut disk = Simulated::new(0);
    let (mut journal, _) = Journal::open(&mut disk, options(1)).unwrap();
    assert_eq!(work(&mut journal, 0, 3_000), (2_998, 3_000));
    let stats = journal.stats();
    assert!(stats.segments + stats.spares <= 10, "{stats:?}");
    // All of it lives.
    let mut entries = Entries::default();
    let mut refused = 0;
    for number in 100..200 {
        entries.clear();
        entries.create(RoomNumber(number), &format!("{number}"), &[9; 1000]);
        match journal.write(&[&entries]) {
            Ok(()) => assert_eq!(refused, 0),
            Err(error) if error.is_limit() => refused += 1,
            Err(error) => panic!("{error}"),
        }
        while journal.maintain().unwrap() {}
    }
    assert!(refused > 50);
    let stats = journal.stats();
    assert!(stats.segments + stats.spares <= 10, "{stats:?}");
    // After a few rooms have ended, there is space again.
    entries.clear();
    for room in journal.rooms().map(|room| room.number).filter(|number| number.0 >= 100) {
        entries.end(room);
    }
    journal.write(&[&entries]).unwrap();
    entries.clear();
    entries.create(RoomNumber(300), "300", &[9; 1000]);
    journal.write(&[&entries]).unwrap();
}

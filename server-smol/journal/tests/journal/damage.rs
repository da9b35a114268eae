//! Damaged bytes are found, and no bytes make the journal panic.

use fastrand::Rng;
use stateroom_journal::{Entries, Journal, JournalError, OpenError, Options, RoomNumber};

use crate::simulated::{Faults, Simulated};

type Files = Vec<(String, Vec<u8>)>;
/// The rooms with the events after their bases.
type State = Vec<(u64, Vec<Vec<u8>>)>;

fn options(seed: u8) -> Options {
    let mut options = Options::new([seed; 16]);
    options.segment_size = 4096;
    options
}

/// A journal of three segments: its files before and after the last commit, and with both, its rooms.
struct Example {
    files: Files,
    before: State,
    after: State,
    /// The last batch.
    segment: String,
    last: std::ops::Range<usize>,
}

fn state<D: stateroom_journal::Disk>(journal: &mut Journal<D>) -> Result<State, JournalError> {
    let mut numbers: Vec<RoomNumber> = journal.rooms().map(|room| room.number).collect();
    numbers.sort_unstable();
    numbers
        .into_iter()
        .map(|number| {
            let history = journal.history(number)?;
            let mut events: Vec<Vec<u8>> = history.events().map(|event| event.event.to_vec()).collect();
            events.insert(0, history.base().to_vec());
            Ok((number.0, events))
        })
        .collect()
}

fn example(checkpoint: bool) -> Example {
    let mut random = Rng::with_seed(3);
    let mut disk = Simulated::new(0);
    let mut options = options(1);
    if checkpoint {
        options.checkpoint_every = 4_000;
    }
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    let mut entries = Entries::default();
    for number in 1..5 {
        entries.create(RoomNumber(number), &format!("room {number}"), b"the base of a room");
    }
    let mut before = State::new();
    while journal.stats().segments < 3 || before.is_empty() {
        journal.write(&[&entries]).unwrap();
        journal.sync().unwrap();
        if checkpoint {
            journal.maintain().unwrap();
        }
        before = if journal.stats().segments == 3 { state(&mut journal).unwrap() } else { State::new() };
        entries.clear();
        let event: Vec<u8> = (0..random.usize(1..200)).map(|_| random.u8(..)).collect();
        entries.event(RoomNumber(random.u64(1..5)), None, &event);
    }
    for _ in 0..5 {
        before = state(&mut journal).unwrap();
        entries.clear();
        entries.event(RoomNumber(2), None, b"one of the last events, of which there are several");
        journal.write(&[&entries]).unwrap();
        journal.sync().unwrap();
    }
    let after = state(&mut journal).unwrap();
    drop(journal);
    let files = disk.files();
    let (segment, bytes) = files.iter().rfind(|(name, _)| name.starts_with("segment-")).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    let text = b"one of the last events";
    let place = bytes.windows(text.len()).rposition(|bytes| bytes == text).unwrap();
    // A batch header, and the head of a record: checksum, kind, room, way back, length.
    let last = place - 40 - (4 + 1 + 1 + 1 + 1)..end;
    Example { segment: segment.clone(), files, before, after, last }
}

#[test]
fn a_commit_that_is_cut_at_any_byte_is_dropped() {
    let example = example(false);
    assert_eq!(example.files.iter().filter(|(name, _)| name.starts_with("segment-")).count(), 3);
    for cut in example.last.clone() {
        let mut files = example.files.clone();
        let (_, bytes) = files.iter_mut().find(|(name, _)| *name == example.segment).unwrap();
        bytes[cut..].fill(0);
        let mut disk = Simulated::with_files(&files);
        let (mut journal, recovery) = Journal::open(&mut disk, options(2)).unwrap();
        assert!(recovery.dropped > 0 || cut < example.last.start + 32, "cut at {cut}");
        assert_eq!(state(&mut journal).unwrap(), example.before, "cut at {cut}");
        drop(journal);
        let (mut journal, recovery) = Journal::open(&mut disk, options(3)).unwrap();
        assert_eq!((state(&mut journal).unwrap(), recovery.dropped), (example.before.clone(), 0));
    }
}

#[test]
fn each_byte_that_changes_is_found() {
    let mut random = Rng::with_seed(4);
    let example = example(false);
    let every_bit = std::env::var_os("JOURNAL_EVERY_BIT").is_some();
    let (mut refused, mut dropped, mut unused) = (0, 0, 0);
    for file in 0..example.files.len() {
        let Some(number) = example.files[file].0.strip_prefix("segment-") else { continue };
        let number: u64 = number.parse().unwrap();
        for place in 0..4096 {
            for bit in if every_bit { 0..8 } else { random.u32(..8)..9 }.take(if every_bit { 8 } else { 1 }) {
                let mut files = example.files.clone();
                files[file].1[place] ^= 1 << bit;
                let mut disk = Simulated::with_files(&files);
                let what = format!("byte {place} of segment {number}, bit {bit}");
                let in_last = files[file].0 == example.segment && place >= example.last.start;
                match Journal::open(&mut disk, options(2)) {
                    Ok((mut journal, _)) => {
                        let found = state(&mut journal).expect(&what);
                        if found == example.after {
                            // Nobody reads what is behind the last batch of a segment.
                            assert!(example.files[file].1[place..].iter().all(|&byte| byte == 0), "{what}");
                            unused += 1;
                        } else {
                            assert!(in_last && found == example.before, "{what}");
                            dropped += 1;
                        }
                    }
                    Err(OpenError::Damaged { segment, offset }) => {
                        assert!(segment == number && offset <= place as u64, "{what}: {segment}, {offset}");
                        assert!(!in_last, "{what}");
                        refused += 1;
                        files.sort_unstable();
                        assert_eq!(disk.files(), files, "{what}: nothing is changed");
                    }
                    Err(error) => panic!("{what}: {error}"),
                }
            }
        }
    }
    println!("{refused} refused, {dropped} dropped with the last commit, {unused} in unused space");
}

#[test]
fn what_a_checkpoint_hides_is_found_when_it_is_read() {
    let example = example(true);
    let mut later = 0;
    for file in 0..example.files.len() {
        if !example.files[file].0.starts_with("segment-") {
            continue;
        }
        for place in (0..4096).step_by(3) {
            let mut files = example.files.clone();
            files[file].1[place] ^= 0x10;
            let mut disk = Simulated::with_files(&files);
            let Ok((mut journal, _)) = Journal::open(&mut disk, options(2)) else { continue };
            match state(&mut journal) {
                Ok(found) => assert!(found == example.after || found == example.before),
                Err(JournalError::Damaged { .. }) => later += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(later > 100);
}

#[test]
fn a_damaged_history_holds_up_no_other() {
    let mut options = options(1);
    options.checkpoint_every = 4_000;
    let mut disk = Simulated::new(0);
    let (mut journal, _) = Journal::open(&mut disk, options.clone()).unwrap();
    let rooms = 1..=8;
    let mut entries = Entries::default();
    for number in rooms.clone() {
        let base = format!("the base of room {number}, ").repeat(10);
        entries.create(RoomNumber(number), &format!("room {number}"), base.as_bytes());
    }
    fn write<D: stateroom_journal::Disk>(journal: &mut Journal<D>, entries: &Entries) {
        journal.write(&[entries]).unwrap();
        journal.sync().unwrap();
    }
    write(&mut journal, &entries);
    entries.clear();
    entries.event(RoomNumber(8), None, &[7; 1_000]);
    while journal.stats().bytes_checkpoints == 0 || journal.stats().segments < 6 {
        write(&mut journal, &entries);
        journal.maintain().unwrap();
    }
    journal.close().unwrap();
    let mut files = disk.files();
    let text = b"the base of room 1, ";
    let place = |bytes: &[u8]| bytes.windows(text.len()).position(|bytes| bytes == text);
    let (file, place) =
        files.iter().enumerate().find_map(|(file, (_, bytes))| Some((file, place(bytes)?))).unwrap();
    files[file].1[place] ^= 1;

    let mut disk = Simulated::with_files(&files);
    let (mut journal, _) = Journal::open(&mut disk, options.clone()).expect("a checkpoint hides it");
    // Its segment is not used again, and all others are, many times.
    for round in 0..400 {
        entries.clear();
        entries.snapshot(RoomNumber(8), None, &[round as u8; 1_000]);
        write(&mut journal, &entries);
        while journal.maintain().unwrap() {}
        assert!(journal.stats().segments <= 17, "the log is bounded");
    }
    let damaged = journal.take_damaged();
    assert_eq!(damaged.iter().map(|room| &*room.id).collect::<Vec<_>>(), ["room 1"]);
    assert!(journal.take_damaged().is_empty());
    let (segment, offset) = (damaged[0].segment, damaged[0].offset);
    assert_eq!((format!("segment-{segment:012}"), journal.stats().damaged_files), (files[file].0.clone(), 1));
    assert!(offset <= place as u64);
    drop(journal);
    let kept = disk.files().into_iter().find(|(name, _)| *name == format!("damaged-{segment:012}"));
    assert!(kept.is_some_and(|(_, bytes)| bytes[..] == files[file].1[..]), "it is kept as it is");

    // Its id is not free, and the place of the damage is known, whatever happens to the rest.
    for start in 2..6 {
        options.random = [start; 16];
        let (mut journal, _) = Journal::open(&mut disk, options.clone()).unwrap();
        assert_eq!(journal.stats().damaged_files, 1);
        for number in rooms.clone() {
            match journal.history(RoomNumber(number)) {
                Ok(history) => {
                    assert!(number != 1 && (number == 8 || history.base().starts_with(b"the base of room")));
                }
                Err(JournalError::Damaged { segment: found, offset: at }) => {
                    assert_eq!((number, found, at), (1, segment, offset));
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(journal.find("room 1"), Some(RoomNumber(1)));
        // Its mark is moved as well.
        for round in 0..100 {
            entries.clear();
            entries.snapshot(RoomNumber(8), None, &[round; 1_000]);
            write(&mut journal, &entries);
            while journal.maintain().unwrap() {}
        }
        assert!(journal.take_damaged().is_empty());
    }
    // A new base of a room that was in memory makes it whole, and its end makes its id free.
    options.random = [7; 16];
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    entries.clear();
    entries.event(RoomNumber(1), None, b"an event");
    write(&mut journal, &entries);
    assert!(matches!(journal.history(RoomNumber(1)), Err(JournalError::Damaged { .. })));
    entries.clear();
    entries.snapshot(RoomNumber(1), None, b"a new base");
    write(&mut journal, &entries);
    assert_eq!(journal.history(RoomNumber(1)).unwrap().base(), b"a new base");
    entries.clear();
    entries.end(RoomNumber(1));
    write(&mut journal, &entries);
    assert_eq!(journal.find("room 1"), None);
}

fn upkeep(journal: &mut Journal<&mut Simulated>) -> Result<(), JournalError> {
    while journal.maintain()? {}
    Ok(())
}

/// A history is damaged in its base or in an event, and the process or the power fails at each operation after that.
#[test]
fn a_damaged_history_is_given_up_whenever_the_power_fails() {
    let mut kept = 0;
    for (text, power) in [
        ("the base of room 1", false),
        ("the base of room 1", true),
        ("an event of 1", false),
        ("an event of 1", true),
    ] {
        for at in (0..).step_by(3) {
            let mut options = options(1);
            (options.max_size, options.checkpoint_every) = (16 * 4096, 6_000);
            let mut disk = Simulated::new(0);
            let (mut journal, _) = Journal::open(&mut disk, options.clone()).unwrap();
            let mut entries = Entries::default();
            for number in 1..=3 {
                entries.create(
                    RoomNumber(number),
                    &format!("room {number}"),
                    format!("the base of room {number}").as_bytes(),
                );
            }
            journal.write(&[&entries]).unwrap();
            for number in 0..9 {
                entries.clear();
                entries.event(RoomNumber(2), None, &[2; 1_000]);
                if number == 4 {
                    entries.event(RoomNumber(1), None, b"an event of 1");
                }
                journal.write(&[&entries]).unwrap();
                journal.sync().unwrap();
            }
            journal.close().unwrap();
            // The next segment names the checkpoint.
            options.random = [10; 16];
            let (mut journal, _) = Journal::open(&mut disk, options.clone()).unwrap();
            upkeep(&mut journal).unwrap();
            drop(journal);
            let mut files = disk.files();
            let place = |bytes: &[u8]| bytes.windows(text.len()).position(|bytes| bytes == text.as_bytes());
            let (file, place) =
                files.iter().enumerate().find_map(|(file, (_, bytes))| Some((file, place(bytes)?))).unwrap();
            files[file].1[place] ^= 1;
            let mut disk = Simulated::with_files(&files);
            options.random = [2; 16];
            drop(Journal::open(&mut disk, options.clone()).expect("a checkpoint hides it"));
            disk.faults.die_in = Some(at);
            let fail = |disk: &mut Simulated| if power { disk.cut_power() } else { disk.kill() };
            let mut last = 0;
            let mut finished = false;
            for start in 3..6 {
                options.random = [start; 16];
                let Ok((opened, _)) = Journal::open(&mut disk, options.clone()) else {
                    fail(&mut disk);
                    continue;
                };
                let mut journal = opened;
                for round in 0..40_u8 {
                    entries.clear();
                    entries.snapshot(RoomNumber(3), None, &[round; 1_000]);
                    let written = journal.write(&[&entries]).and_then(|()| journal.sync());
                    if let Err(error) = written.and_then(|()| upkeep(&mut journal)) {
                        assert!(start == 3, "{at}: {error}");
                        break;
                    }
                    last = round;
                }
                drop(journal);
                if start == 3 {
                    finished = !disk.is_dead();
                    disk.faults = Faults::default();
                }
                if disk.is_dead() {
                    fail(&mut disk);
                }
            }
            assert_eq!(last, 39, "it goes on, {at}");
            options.random = [9; 16];
            let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
            assert!(matches!(journal.history(RoomNumber(1)), Err(JournalError::Damaged { .. })), "{at}");
            assert_eq!(journal.history(RoomNumber(2)).unwrap().events().count(), 9);
            assert_eq!(journal.history(RoomNumber(3)).unwrap().base(), [39; 1_000]);
            assert!(journal.stats().segments <= 16);
            kept += journal.stats().damaged_files;
            if finished {
                break;
            }
        }
    }
    assert!(kept > 50, "{kept}");
}

#[test]
fn a_batch_that_was_exchanged_breaks_the_chain() {
    let example = example(false);
    let mut files = example.files.clone();
    let (_, bytes) = files.iter_mut().find(|(name, _)| name.ends_with("002")).unwrap();
    // Another event with right checksums, in the second batch of the second segment.
    let length =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    let at = 512 + 40 + length(bytes, 512);
    let end = at + 40 + length(bytes, at);
    bytes[end - 1] ^= 1;
    let crc = crc32fast::hash(&bytes[at + 44..end]);
    bytes[at + 40..at + 44].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32fast::hash(&bytes[at + 4..end]);
    bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    match Journal::open(Simulated::with_files(&files), options(2)) {
        Err(OpenError::Damaged { segment: 2, offset }) => assert_eq!(offset, end as u64),
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
}

#[test]
fn batches_of_an_earlier_use_of_the_file_are_not_read() {
    let example = example(false);
    let mut files = example.files.clone();
    let (_, bytes) = files.iter_mut().find(|(name, _)| *name == example.segment).unwrap();
    // The header has another salt, and all else fits.
    bytes[28] ^= 1;
    let crc = crc32fast::hash(&bytes[12..512]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let (mut journal, recovery) = Journal::open(Simulated::with_files(&files), options(2)).unwrap();
    assert_ne!(state(&mut journal).unwrap(), example.after);
    assert_eq!(recovery.dropped, 0);
}

#[test]
fn a_missing_segment_is_found() {
    let example = example(false);
    for missing in 1..4_u64 {
        let mut files = example.files.clone();
        files.retain(|(name, _)| !name.ends_with(&format!("{missing:012}")));
        let opened = Journal::open(Simulated::with_files(&files), options(2));
        // Without the last segment, what is left is a journal of earlier.
        match opened {
            Err(OpenError::Damaged { segment, .. }) => assert_eq!(segment, missing),
            _ => assert_eq!(missing, 3),
        }
    }
}

/// Changes bytes in records and makes all checksums right, so that the change reaches the decoders.
#[test]
fn no_bytes_make_it_panic() {
    let mut random = Rng::with_seed(5);
    let examples = [example(false), example(true)];
    let rounds = std::env::var("JOURNAL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let (mut opened, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut files = examples[round % 2].files.clone();
        for _ in 0..random.u32(1..4) {
            let count = files.len();
            let (name, bytes) = &mut files[random.usize(..count)];
            if !name.starts_with("segment-") {
                continue;
            }
            match random.u32(..8) {
                0 => {
                    let (from, to, length) = (random.usize(..4000), random.usize(..4000), random.usize(..96));
                    bytes.copy_within(from..from + length, to);
                }
                1 => {
                    let place = 12 + random.usize(..76);
                    bytes[place] = random.u8(..);
                }
                _ => {
                    let place = random.usize(512..4096);
                    bytes[place] = [0, 1, 0x7f, 0x80, 0xff, random.u8(..)][random.usize(..6)];
                }
            }
            mend(bytes);
        }
        let mut disk = Simulated::with_files(&files);
        match Journal::open(&mut disk, options(2)) {
            Ok((mut journal, _)) => {
                opened += 1;
                let numbers: Vec<RoomNumber> = journal.rooms().map(|room| room.number).collect();
                for number in numbers {
                    let _ = journal.history(number);
                }
                let mut entries = Entries::default();
                let next = journal.next_room();
                entries.create(next, "a new one", &[7; 3000]);
                let _ = journal.write(&[&entries]);
                for _ in 0..10 {
                    let _ = journal.maintain();
                }
                let _ = journal.close();
            }
            Err(_) => refused += 1,
        }
    }
    println!("{opened} opened, {refused} refused");
    assert!(opened > 0 && refused > 0);
}

/// Makes the checksums of a segment right, as far as its batches and records can be followed.
fn mend(bytes: &mut [u8]) {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let crc = crc32fast::hash(&bytes[12..512]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let mut chain = word(bytes, 60);
    let mut at = 512;
    while at + 40 <= bytes.len() {
        let length = word(bytes, at + 4) as usize;
        if length == 0 || at + 40 + length > bytes.len() {
            return;
        }
        let skip = (word(bytes, at + 12) >> 2) as usize;
        let mut record = at + 40 + skip;
        while let Some((body, total)) = head(&bytes[record.min(at + 40 + length)..at + 40 + length]) {
            let crc = crc32fast::hash(&bytes[record + 4..record + total]);
            bytes[record..record + 4].copy_from_slice(&crc.to_le_bytes());
            let _ = body;
            record += total;
        }
        bytes[at + 8..at + 12].copy_from_slice(&chain.to_le_bytes());
        chain = crc32fast::hash(&bytes[at + 4..at + 40 + length]);
        bytes[at..at + 4].copy_from_slice(&chain.to_le_bytes());
        at += 40 + length;
    }
}

/// Returns the lengths of the head of a record and of the record, if all of it is there.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 5;
    let mut varint = || {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = *bytes.get(at)?;
            at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value as usize);
            }
        }
        None
    };
    let kind = *bytes.get(4)?;
    varint()?;
    if kind & 0xf == 3 {
        varint()?;
    }
    if kind >> 4 == 2 {
        varint()?;
    }
    let id = if kind & 0xf < 3 { varint()? } else { 0 };
    let body = varint()?;
    let total = at.checked_add(id)?.checked_add(body)?;
    (total <= bytes.len()).then_some((at, total))
}

//! Tests of the journal when nothing fails.

use std::{fs, path::PathBuf};

use stateroom_journal::{
    BaseKind, Contradiction, Entries, Entry, Journal, JournalError, OpenError, Options, RoomNumber,
};

use crate::{files::Files, simulated::Simulated};

/// Returns a new, empty folder for a test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    folder
}

fn small(seed: u8) -> Options {
    let mut options = Options::new([seed; 16]);
    options.segment_size = 4096;
    options.max_size = 64 * 4096;
    options.checkpoint_every = 32 << 10;
    options
}

#[test]
fn a_history_is_read_as_it_was_written_on_files() {
    let folder = folder("history");
    let (mut journal, recovery) = Journal::open(Files::new(&folder), small(1)).unwrap();
    assert!(recovery.created);
    let mut entries = Entries::default();
    entries.create(RoomNumber(1), "lobby", b"base");
    entries.event(RoomNumber(1), Some(Some(77)), b"one");
    entries.event(RoomNumber(1), None, b"");
    journal.write(&[&entries]).unwrap();
    journal.sync().unwrap();
    for _ in 0..3 {
        while journal.maintain().unwrap() {}
    }
    journal.close().unwrap();
    for seed in 2..5 {
        let (mut journal, recovery) = Journal::open(Files::new(&folder), small(seed)).unwrap();
        assert!(!recovery.created && !recovery.full_scan);
        assert_eq!((recovery.rooms, recovery.dropped, recovery.rewritten), (1, 0, 0));
        assert_eq!(journal.next_room(), RoomNumber(2));
        assert_eq!(journal.find("lobby"), Some(RoomNumber(1)));
        assert_eq!(journal.find("lobb"), None);
        let entry = journal.room(RoomNumber(1)).unwrap();
        assert_eq!((entry.id, entry.due), ("lobby", Some(77)));
        let history = journal.history(RoomNumber(1)).unwrap();
        assert_eq!((history.kind, history.due, history.base()), (BaseKind::Created, None, &b"base"[..]));
        let events: Vec<_> = history.events().map(|event| (event.timer, event.event)).collect();
        assert_eq!(events, [(Some(Some(77)), &b"one"[..]), (None, b"")]);
        journal.close().unwrap();
    }
}

#[test]
fn the_start_of_a_base_is_read_without_the_rest() {
    let mut journal = Journal::open(Simulated::new(0), small(1)).unwrap().0;
    let base: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let mut entries = Entries::default();
    entries.create(RoomNumber(1), "lobby", &base);
    entries.create(RoomNumber(2), "hall", b"short");
    entries.snapshot(RoomNumber(2), None, b"");
    entries.event(RoomNumber(2), None, b"one");
    entries.create(RoomNumber(3), "cellar", b"short");
    journal.write(&[&entries]).unwrap();
    let mut start = |room, most| journal.base_start(RoomNumber(room), most).unwrap();
    assert_eq!(start(1, 256), base[..256]);
    assert_eq!(start(1, 9_000), base[..9_000], "it is in several segments");
    assert_eq!(start(2, 256), b"");
    assert_eq!((start(3, 256), start(3, 2)), (b"short".to_vec(), b"sh".to_vec()));
    assert!(matches!(journal.base_start(RoomNumber(4), 1), Err(JournalError::UnknownRoom(_))));
}

#[test]
fn entries_can_be_larger_than_segments() {
    let mut disk = Simulated::new(0);
    let mut options = small(1);
    options.max_size = 256 * 4096;
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    let large: Vec<u8> = (0..50_000_u32).map(|n| ((n * n) >> 5) as u8).collect();
    let mut entries = Entries::default();
    entries.create(RoomNumber(7), "large", &large[1..]);
    entries.event(RoomNumber(7), None, &large);
    entries.snapshot(RoomNumber(7), Some(5), &large[..49_999]);
    entries.event(RoomNumber(7), None, &large[2..]);
    journal.write(&[&entries]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let (mut journal, _) = Journal::open(&mut disk, small(2)).unwrap();
    let history = journal.history(RoomNumber(7)).unwrap();
    assert_eq!((history.kind, history.due), (BaseKind::Snapshot, Some(5)));
    assert_eq!(history.base(), &large[..49_999]);
    assert!(history.events().map(|event| event.event).eq([&large[2..]]));
}

#[test]
fn entries_of_a_wrong_room_end_the_use_and_are_not_written() {
    for (wrong, what) in [
        (|entries: &mut Entries| entries.event(RoomNumber(2), None, b"x"), Contradiction::NoSuchRoom),
        (|entries: &mut Entries| entries.create(RoomNumber(1), "b", b"x"), Contradiction::NumberInUse),
        (|entries: &mut Entries| entries.create(RoomNumber(2), "a", b"x"), Contradiction::IdInUse),
    ] as [(fn(&mut Entries), Contradiction); 3]
    {
        let mut disk = Simulated::new(0);
        let (mut journal, _) = Journal::open(&mut disk, small(1)).unwrap();
        let mut entries = Entries::default();
        entries.create(RoomNumber(1), "a", b"x");
        journal.write(&[&entries]).unwrap();
        journal.sync().unwrap();
        entries.clear();
        entries.event(RoomNumber(1), None, b"not written");
        wrong(&mut entries);
        match journal.write(&[&entries]) {
            Err(JournalError::Contradiction(found, _)) => assert_eq!(found, what),
            other => panic!("{other:?}"),
        }
        assert!(matches!(journal.sync(), Err(JournalError::Broken(_))));
        drop(journal);
        let (mut journal, _) = Journal::open(&mut disk, small(2)).unwrap();
        assert_eq!(journal.history(RoomNumber(1)).unwrap().events().len(), 0);
    }
}

#[test]
fn segments_of_impossible_sizes_are_refused() {
    let mut options = small(1);
    options.segment_size = 100;
    assert!(matches!(Journal::open(&mut Simulated::new(0), options), Err(OpenError::SegmentSize(100))));
}

/// The place of a history may be used after the journal has moved the history, and has used the file again.
#[test]
fn a_place_leads_to_the_history_as_it_was_or_to_an_error() {
    let mut options = Options::new([1; 16]);
    options.segment_size = 4096;
    options.max_size = 16 * 4096;
    let mut disk = Simulated::new(0);
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    let mut entries = Entries::default();
    entries.create(RoomNumber(1), "room", b"its base");
    entries.event(RoomNumber(1), None, b"an event");
    entries.create(RoomNumber(2), "other", b"");
    journal.write(&[&entries]).unwrap();
    journal.sync().unwrap();
    let place = journal.place(RoomNumber(1)).unwrap();
    assert_eq!(journal.place(RoomNumber(1)).unwrap(), place);
    assert!(matches!(journal.place(RoomNumber(3)), Err(JournalError::UnknownRoom(_))));
    drop(journal);
    // Another reader has the files as they are then.
    let mut files = vec![disk.files()];
    let mut options = Options::new([2; 16]);
    options.max_size = 16 * 4096;
    let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
    let moved = journal.place(RoomNumber(1)).unwrap();
    for round in 0..60 {
        entries.clear();
        entries.snapshot(RoomNumber(2), None, &[round; 3_000]);
        journal.write(&[&entries]).unwrap();
        journal.sync().unwrap();
        while journal.maintain().unwrap() {}
    }
    assert_ne!(journal.place(RoomNumber(1)).unwrap(), moved);
    assert!(journal.history(RoomNumber(1)).is_ok());
    drop(journal);
    files.push(disk.files());
    let mut results = files.iter().map(|files| {
        let mut disk = Simulated::with_files(files);
        place.read(&mut disk).map(|history| {
            assert_eq!(history.base(), b"its base");
            history.events().map(|event| event.event.to_vec()).collect::<Vec<_>>()
        })
    });
    assert_eq!(results.next().unwrap().unwrap(), [b"an event"]);
    assert!(matches!(results.next().unwrap(), Err(JournalError::Damaged { .. } | JournalError::Read(_))));
}

#[test]
fn events_of_a_room_are_joined_until_another_entry_comes_or_they_are_many() {
    let [one, two] = [RoomNumber(1), RoomNumber(2)];
    let large = vec![7; 60 << 10];
    let mut entries = Entries::default();
    for _ in 0..2 {
        entries.clear();
        entries.join_event(one, None, b"a");
        entries.join_event(one, Some(Some(5)), b"b");
        entries.join_event(one, None, b"");
        entries.join_event(one, Some(None), b"c");
        entries.join_event(two, Some(Some(6)), b"d");
        entries.join_event(two, None, b"e");
        entries.event(two, None, b"f");
        entries.join_event(two, None, b"g");
        entries.join_event(one, None, b"h");
        entries.end(two);
        entries.join_event(one, None, &large);
        entries.join_event(one, None, &large);
        let event = |room, timer, event| Entry::Event { room, timer, event };
        let expected = [
            event(one, Some(None), &b"abc"[..]),
            event(two, Some(Some(6)), b"de"),
            event(two, None, b"f"),
            event(two, None, b"g"),
            event(one, None, b"h"),
            Entry::End { room: two },
            event(one, None, &large),
            event(one, None, &large),
        ];
        assert!(entries.iter().eq(expected), "{:?}", entries.iter().take(6).collect::<Vec<_>>());
    }
}

#[test]
fn joined_events_come_back_as_one() {
    let mut disk = Simulated::new(1);
    let (mut journal, _) = Journal::open(&mut disk, small(1)).unwrap();
    let mut entries = Entries::default();
    entries.create(RoomNumber(1), "lobby", b"base");
    entries.join_event(RoomNumber(1), Some(Some(7)), b"one ");
    entries.join_event(RoomNumber(1), Some(Some(8)), b"two");
    journal.write(&[&entries]).unwrap();
    journal.sync().unwrap();
    drop(journal);
    let (mut journal, _) = Journal::open(&mut disk, small(2)).unwrap();
    assert_eq!(journal.room(RoomNumber(1)).unwrap().due, Some(8));
    let history = journal.history(RoomNumber(1)).unwrap();
    let events: Vec<_> = history.events().map(|event| (event.timer, event.event)).collect();
    assert_eq!(events, [(Some(Some(8)), &b"one two"[..])]);
}

//! Reads a journal as `docs/reference/journal.md` says, with no code of the crate.

use std::collections::BTreeMap;

use fastrand::Rng;
use stateroom_journal::{Disk, Entries, Journal, Options, RoomNumber};

use crate::simulated::Simulated;

const SIZE: usize = 4096;

/// The id, the time of the timer, the base and the events of a room.
type Room = (String, Option<u64>, Vec<u8>, Vec<Vec<u8>>);

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    unreachable!()
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length as usize);
    *bytes = rest;
    taken
}

/// Reads all segments from the oldest on. Checkpoints need not be read.
fn read(files: &[(String, Vec<u8>)]) -> BTreeMap<u64, Room> {
    let segments: Vec<&[u8]> =
        files.iter().filter(|(name, _)| name.starts_with("segment-")).map(|(_, bytes)| &bytes[..]).collect();
    let mut commits: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    let mut last = None;
    for (place, segment) in segments.iter().enumerate() {
        assert_eq!((&segment[..8], segment.len()), (&b"strmjrn\0"[..], SIZE));
        assert_eq!(u32_at(segment, 8), crc32fast::hash(&segment[12..512]));
        let (first, recovery) = (u64_at(segment, 52), u32_at(segment, 64) & 1 == 1);
        let end = segments[place + 1..].iter().map(|later| u64_at(later, 52)).min().unwrap_or(u64::MAX);
        if first >= end {
            continue;
        }
        if let Some((number, chain)) = last {
            assert_eq!((first, u32_at(segment, 60)), (number + 1, chain));
        }
        if recovery {
            open = None;
        }
        let (mut number, mut chain, mut at) = (first, u32_at(segment, 60), 512);
        while number < end && at + 40 < SIZE {
            let (length, flags) = (u32_at(segment, at + 4) as usize, u32_at(segment, at + 12));
            let valid = at + 40 + length <= SIZE
                && u64_at(segment, at + 16) == u64_at(segment, 28)
                && u64_at(segment, at + 24) == number
                && u32_at(segment, at + 8) == chain
                && u32_at(segment, at) == crc32fast::hash(&segment[at + 4..at + 40 + length]);
            if !valid {
                assert_eq!(place + 1, segments.len(), "only the newest segment has a tail");
                break;
            }
            let data = &segment[at + 40..at + 40 + length];
            let skip = (flags >> 2) as usize;
            if flags & 1 == 1 {
                open = Some(data.to_vec());
            } else if let Some(commit) = &mut open {
                commit.extend_from_slice(data);
            } else if skip < length {
                open = Some(data[skip..].to_vec());
            }
            chain = u32_at(segment, at);
            last = Some((number, chain));
            number += 1;
            at += 40 + length;
            if flags & 2 == 2 {
                commits.extend(open.take());
            }
        }
    }
    let mut rooms = BTreeMap::new();
    for commit in &commits {
        let mut bytes = &commit[..];
        while !bytes.is_empty() {
            record(&mut bytes, &mut rooms);
        }
    }
    rooms
}

fn record(bytes: &mut &[u8], rooms: &mut BTreeMap<u64, Room>) {
    let start = *bytes;
    let (crc, tag) = (u32_at(bytes, 0), bytes[4]);
    *bytes = &bytes[5..];
    let room = varint(bytes);
    if tag & 15 == 3 {
        varint(bytes);
    }
    let timer = match tag >> 4 {
        0 => None,
        1 => Some(None),
        _ => Some(Some(varint(bytes))),
    };
    let id = if tag & 15 <= 2 { varint(bytes) } else { 0 };
    let body = varint(bytes);
    let (id, body) = (take(bytes, id), take(bytes, body));
    assert_eq!(crc, crc32fast::hash(&start[4..start.len() - bytes.len()]));
    match tag & 15 {
        1 | 2 => {
            let id = String::from_utf8(id.to_vec()).unwrap();
            rooms.insert(room, (id, timer.flatten(), body.to_vec(), Vec::new()));
        }
        3 => {
            if let Some((_, due, _, events)) = rooms.get_mut(&room) {
                events.push(body.to_vec());
                *due = timer.unwrap_or(*due);
            }
        }
        4 => {
            rooms.remove(&room);
        }
        kind => assert_eq!(kind, 5),
    }
}

fn rooms(journal: &mut Journal<impl Disk>) -> BTreeMap<u64, Room> {
    let rooms: Vec<_> = journal.rooms().map(|room| (room.number, room.id.to_owned(), room.due)).collect();
    let mut all = BTreeMap::new();
    for (number, id, due) in rooms {
        let history = journal.history(number).unwrap();
        let events = history.events().map(|event| event.event.to_vec()).collect();
        all.insert(number.0, (id, due, history.base().to_vec(), events));
    }
    all
}

#[test]
fn the_format_is_as_it_is_documented() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let mut disk = Simulated::new(seed);
        for start in 0..4 {
            let mut options = Options::new(random.u128(..).to_le_bytes());
            options.segment_size = SIZE as u32;
            options.max_size = 40 * 4096;
            options.checkpoint_every = 10_000;
            let (mut journal, _) = Journal::open(&mut disk, options).unwrap();
            let mut entries = Entries::default();
            for _ in 0..random.u32(..200) {
                entries.clear();
                let most = if random.u32(..9) == 0 { 6_000 } else { 200 };
                let payload = vec![random.u8(..); random.usize(..most)];
                let due = random.bool().then(|| random.u64(..));
                let count = journal.rooms().count();
                let chosen = journal.rooms().nth(random.usize(..count + 1)).map(|room| room.number);
                match (chosen, random.u32(..9)) {
                    (None, _) if count < 6 => {
                        entries.create(journal.next_room(), &format!("{start} {}", random.u64(..)), &payload);
                    }
                    (Some(room), 0) => entries.end(room),
                    (Some(room), 1) => entries.snapshot(room, due, &payload),
                    (Some(room), _) => entries.event(room, random.bool().then_some(due), &payload),
                    (None, _) => {
                        entries.snapshot(RoomNumber(journal.rooms().next().unwrap().number.0), due, &payload)
                    }
                }
                match journal.write(&[&entries]) {
                    Ok(()) | Err(stateroom_journal::JournalError::Full(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                journal.maintain().unwrap();
            }
            journal.sync().unwrap();
            let expected = rooms(&mut journal);
            drop(journal);
            assert_eq!(read(&disk.files()), expected, "seed {seed}, start {start}");
        }
    }
}

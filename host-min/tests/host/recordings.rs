//! A room has the same events again, from its recording.

use stateroom_host_min::{
    ClientId, ClientInfo, Effect, Event, EventResult, Limits, MessagePayload, MessageRecipient, Outcome,
    OwnedEvent, Program, Recording, RecordingError, RecordingHeader, RecordingStart, Records, Room, Step,
};

use crate::{
    guest::{IMPORTS, program, text, wat},
    machine::{Dice, Happening, machine},
};

/// A guest that sends its messages to everybody, with the number that came before; bytes end it, and `t` sets the timer.
const GUEST: &str = r#"
    (memory (export "memory") 1)
    (data (i32.const 0) "key")
    (global $n (mut i32) (i32.const 48))
    (func (export "connect") (param i32)
        (call $send (i32.const 0) (i32.const 64)
            (call $client_info (local.get 0) (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 64))))
    (func (export "message") (param i32 i32 i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (i32.store8 (i32.const 32) (global.get $n))
        (call $log (i32.const 3) (i32.const 0) (i32.const 3))
        (call $send (i32.const 0) (i32.const 32) (i32.const 1))
        (if (i32.eq (i32.load8_u (local.get 1)) (i32.const 116)) (then (call $set_timer (i32.const 300)))))
    (func (export "timer") (call $random (i32.const 100) (i32.const 8))
        (call $send_binary (i32.const 0) (i32.const 100) (i32.const 8)))
    (func (export "binary") (param i32 i32 i32) unreachable)"#;

const EVENTS: [(u64, Event<'_>); 8] = [
    (1_000, Event::Init),
    (1_001, Event::Connect(ClientId(1), ClientInfo(&[("key", "Ada"), ("other", "")]))),
    (1_001, Event::Message(ClientId(1), MessagePayload::Text("t"))),
    (1_301, Event::Timer),
    // The clock was set back. For the guest, it stands still.
    (900, Event::Connect(ClientId(2), ClientInfo(&[("key", "")]))),
    (901, Event::Message(ClientId(2), MessagePayload::Text(""))),
    (902, Event::Disconnect(ClientId(1))),
    (903, Event::Message(ClientId(2), MessagePayload::Bytes(&[0xff]))),
];

/// Runs events, and returns the bytes of the recording and the outcomes.
fn record(
    room: &mut Room,
    header: &RecordingHeader<'_>,
    events: &[(u64, Event<'_>)],
) -> (Vec<u8>, Vec<Outcome>) {
    let (mut bytes, mut outcomes) = (Vec::new(), Vec::new());
    header.write(&mut bytes);
    room.start_recording();
    for (now_ms, event) in events {
        let mut step = room.handle(*event, *now_ms);
        while step == Ok(Step::Suspended) {
            assert_eq!((room.outcome(), room.take_records()), (None, vec![]));
            step = room.resume();
        }
        outcomes.push(room.outcome().unwrap());
        bytes.extend(room.take_records());
    }
    (bytes, outcomes)
}

fn recorded() -> (Program, Vec<u8>, Vec<Outcome>) {
    let module = wat(&format!("{IMPORTS}{GUEST}"));
    let program = Program::load_and_keep(module.into(), Limits::default()).unwrap();
    let seed = [5; 32];
    let header = RecordingHeader::new(&program, "lobby", RecordingStart::New { seed });
    let (bytes, outcomes) = record(&mut program.room("lobby", seed).unwrap(), &header, &EVENTS);
    (program, bytes, outcomes)
}

#[test]
fn a_recording_has_all_that_a_room_began_with_and_each_event_with_its_outcome() {
    let (program, bytes, outcomes) = recorded();
    let recording = Recording::read(&bytes).unwrap();
    let header = &recording.header;
    assert_eq!((header.room_id, header.module_hash), ("lobby", program.hash()));
    assert_eq!(header.limits, Limits::default());
    assert_eq!(header.start, RecordingStart::New { seed: [5; 32] });
    let from_module = Program::load(header.module, header.limits).unwrap();
    assert_eq!(from_module.hash(), program.hash(), "it can be run without anything else");
    let records: Vec<_> = recording.records().map(Result::unwrap).collect();
    for ((now_ms, event), record) in EVENTS.iter().zip(&records) {
        let now_ms = if *now_ms < 1_000 { 1_301 } else { *now_ms };
        assert_eq!((record.now_ms, &record.event), (now_ms, &OwnedEvent::from(*event)));
        record.event.with(|again| assert_eq!(again, *event));
    }
    assert!(records.iter().map(|record| &record.outcome).eq(&outcomes));
    assert_eq!(outcomes[2].timer, Some(300));
    assert_eq!((&outcomes[2].result, outcomes[3].timer), (&EventResult::Done, None));
    let EventResult::Trapped(reason) = &outcomes[7].result else { panic!("{outcomes:?}") };
    assert!(reason.starts_with("the guest failed in `binary`: "), "{reason}");
}

#[test]
fn a_room_has_its_events_again() {
    let (program, bytes, outcomes) = recorded();
    let recording = Recording::read(&bytes).unwrap();
    let mut room = recording.start(&program).unwrap();
    let again: Vec<_> = recording.records().map(|record| record.unwrap().run(&mut room)).collect();
    assert_eq!(again, outcomes);
    // Each effect counts, and no log line does.
    for (change, differs) in [
        ("(global.get $n) (i32.const 1)", Some((5, 2))),
        ("(i32.const 300)", Some((2, 2))),
        ("(call $log (i32.const 3) (i32.const 0)", None),
    ] {
        let digits = change.rfind(|digit: char| digit.is_ascii_digit()).unwrap();
        let other = format!("{}7{}", &change[..digits], &change[digits + 1..]);
        let other = super::guest::program(&GUEST.replacen(change, &other, 1));
        let mut room = recording.start(&other).unwrap();
        let again = recording.records().map(|record| record.unwrap().run(&mut room));
        let first = again.zip(&outcomes).position(|(again, outcome)| !again.agrees_with(outcome));
        assert_eq!(first, differs.map(|(_, first)| first), "{change}");
    }
}

#[test]
fn a_recording_may_begin_with_a_snapshot() {
    let program = program(GUEST);
    let mut room = program.room("lobby", [2; 32]).unwrap();
    for (now_ms, event) in &EVENTS[..4] {
        let _ = room.handle(*event, *now_ms);
    }
    let snapshot = room.snapshot().unwrap();
    let header = RecordingHeader::new(&program, "lobby", RecordingStart::Snapshot(&snapshot));
    let (bytes, outcomes) = record(&mut room, &header, &EVENTS[4..]);
    let recording = Recording::read(&bytes).unwrap();
    let mut again = recording.start(&program).unwrap();
    assert_eq!(again.clients(), [ClientId(1)]);
    assert!(recording.records().map(|record| record.unwrap().run(&mut again)).eq(outcomes));
}

#[test]
fn ten_thousand_recorded_events_come_to_the_same_in_slices_of_any_size() {
    let (long, short) = (machine(400_000), machine(100));
    let mut dice = Dice(4);
    for seed in 0..10 {
        let seed = [seed; 32];
        let mut room = long.room("replay", seed).unwrap();
        let header = RecordingHeader::new(&long, "replay", RecordingStart::New { seed });
        let happenings: Vec<_> = (0..1_000).map(|_| Happening::random(&mut dice)).collect();
        let events = happenings.iter().zip(1..).map(|(happening, now_ms)| (now_ms, happening.event()));
        let events: Vec<_> = [(0, Event::Init)].into_iter().chain(events).collect();
        let (bytes, outcomes) = record(&mut room, &header, &events);
        let recording = Recording::read(&bytes).unwrap();
        let mut again = recording.start(&short).unwrap();
        for (record, outcome) in recording.records().zip(&outcomes) {
            let record = record.unwrap();
            let again = record.run(&mut again);
            assert!(again.agrees_with(outcome), "{:?}: {again:?}, {outcome:?}", record.event);
        }
    }
}

#[test]
fn a_recording_that_ends_early_is_whole_up_to_its_last_event() {
    let (_, bytes, outcomes) = recorded();
    let records = Recording::read(&bytes).unwrap().records();
    assert_eq!(records.count(), outcomes.len());
    let begin = bytes.len() - record_sizes(&bytes).iter().sum::<usize>();
    for end in 0..bytes.len() {
        let Ok(recording) = Recording::read(&bytes[..end]) else {
            assert!(end < begin);
            continue;
        };
        let mut whole = 0;
        for record in recording.records() {
            match record {
                Ok(_) => whole += 1,
                Err(error) => assert_eq!(error, RecordingError::CutOff, "{end}"),
            }
        }
        let ends = record_sizes(&bytes).into_iter().scan(begin, |at, size| {
            *at += size;
            Some(*at)
        });
        assert_eq!(whole, ends.filter(|record_end| *record_end <= end).count(), "{end}");
    }
}

/// Returns the size of each record, with its length before it: one byte, as all of these are short, or two.
fn record_sizes(bytes: &[u8]) -> Vec<usize> {
    let (program, mut sizes) = (program(GUEST), Vec::new());
    let recording = Recording::read(bytes).unwrap();
    let mut room = recording.start(&program).unwrap();
    room.start_recording();
    for record in recording.records() {
        record.unwrap().run(&mut room);
        sizes.push(room.take_records().len());
    }
    sizes
}

#[test]
fn what_is_no_recording_is_refused() {
    let (_, bytes, _) = recorded();
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        Recording::read(&bytes).map(drop).unwrap_err()
    };
    assert_eq!(error(&|bytes| bytes.clear()), RecordingError::NotARecording);
    assert_eq!(error(&|bytes| bytes[0] += 1), RecordingError::NotARecording);
    let newer = error(&|bytes| bytes[8] += 1);
    assert_eq!(newer, RecordingError::Version { version: 2 });
    assert_eq!(newer.to_string(), "this recording has format 2; this host reads format 1");
    assert_eq!(error(&|bytes| bytes.truncate(40)), RecordingError::Damaged);
}

#[test]
fn records_are_small() {
    let mut room = program(GUEST).room("lobby", [2; 32]).unwrap();
    room.start_recording();
    let mut size = |event: Event<'_>, now_ms| {
        let _ = room.handle(event, now_ms);
        room.take_records().len()
    };
    size(Event::Init, 1_800_000_000_000);
    size(Event::Connect(ClientId(1), ClientInfo(&[("key", "Ada")])), 1_800_000_000_000);
    assert_eq!(size(text("eleven bytes"), 1_800_000_000_016), 12 + 17);
}

#[test]
fn the_senders_of_records_are_found_without_reading_them() {
    let mut room = program(GUEST).room("lobby", [2; 32]).unwrap();
    room.start_recording();
    let message = |client| Event::Message(ClientId(client), MessagePayload::Text("a"));
    // These end the guest.
    let bytes = Event::Message(ClientId(7), MessagePayload::Bytes(&[1]));
    for event in [Event::Init, message(1), Event::Timer, message(300), Event::Disconnect(ClientId(2)), bytes]
    {
        let _ = room.handle(event, 1_800_000_000_000);
    }
    let records = room.take_records();
    let senders = |records: &[u8]| {
        let mut senders = Vec::new();
        Records::new(records).each_sender(|ClientId(client)| senders.push(client));
        senders
    };
    assert_eq!(senders(&records), [1, 300, 7]);
    // What is cut off has none.
    for len in 0..records.len() {
        let senders = senders(&records[..len]);
        assert!([&[][..], &[1], &[1, 300]].contains(&&senders[..]), "{len}: {senders:?}");
    }
}

#[test]
fn a_sealed_recording_has_all_of_its_events_and_no_other_bytes() {
    let (_, whole, _) = recorded();
    let count = |bytes: &[u8]| Recording::read(bytes).unwrap().records().map(Result::unwrap).count();
    let mut sealed = whole.clone();
    Recording::seal(&mut sealed);
    assert!(Recording::is_sealed(&sealed) && !Recording::is_sealed(&whole));
    assert_eq!(count(&sealed), count(&whole));
    for end in 0..sealed.len() {
        assert!(!Recording::is_sealed(&sealed[..end]), "{end}");
    }
    for index in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[index] ^= 1;
        assert!(!Recording::is_sealed(&changed), "{index}");
    }
}

#[test]
fn a_recording_says_who_is_in_the_room() {
    let (program, bytes, _) = recorded();
    let recording = Recording::read(&bytes).unwrap();
    assert_eq!(recording.clients(), Ok(vec![ClientId(2)]));
    assert_eq!(RecordingHeader::module_hash_of(&bytes[..200]), Some(recording.header.module_hash));
    assert_eq!(RecordingHeader::module_hash_of(&bytes[..30]), None);
    // The last event has broken it. So this is the state before.
    let kept = recording.records().count() - 1;
    let mut room = recording.start(&program).unwrap();
    recording.records().take(kept).for_each(|record| _ = record.unwrap().run(&mut room));
    let snapshot = room.snapshot().unwrap();
    let mut bytes = Vec::new();
    RecordingHeader::new(&program, "lobby", RecordingStart::Snapshot(&snapshot)).write(&mut bytes);
    assert_eq!(Recording::read(&bytes).unwrap().clients(), Ok(vec![ClientId(2)]));
}

#[test]
fn a_room_can_go_on_under_another_id() {
    let program = program(GUEST);
    let mut room = program.room("lobby", [2; 32]).unwrap();
    let _ = room.handle(Event::Init, 1_000);
    let other = program.restore(&room.snapshot_as("hall").unwrap()).unwrap();
    assert_eq!(other.id(), "hall");
    assert_eq!(other.snapshot_as("lobby"), room.snapshot());
}

/// Computes the checksum of the last event's effects as `docs/reference/events.md` says, with no code of the crate.
fn documented_checksum(room: &Room) -> u32 {
    let mut bytes = Vec::new();
    for effect in room.effects() {
        let (kind, recipient, number, data) = match effect {
            Effect::Send { recipient, payload: MessagePayload::Text(text) } => {
                (0, Some(recipient), 0, text.as_bytes())
            }
            Effect::Send { recipient, payload: MessagePayload::Bytes(bytes) } => {
                (1, Some(recipient), 0, bytes)
            }
            Effect::SetTimer { ms } => (2, None, ms, &[][..]),
            Effect::CancelTimer => (2, None, 0, &[][..]),
            Effect::Close { recipient, code, reason } => (3, Some(recipient), code.into(), reason.as_bytes()),
            _ => continue,
        };
        let (who, client) = match recipient {
            None => (0, 0),
            Some(MessageRecipient::Broadcast) => (1, 0),
            Some(MessageRecipient::Client(client)) => (2, client.0),
            Some(MessageRecipient::EveryoneExcept(client)) => (3, client.0),
        };
        bytes.extend([kind, who, 0, 0]);
        bytes.extend([client, number, data.len() as u32].map(u32::to_le_bytes).concat());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let mut number = 0_u64;
    for word in bytes.chunks(8) {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        let product = u128::from(number ^ word) * 0x517c_c1b7_2722_0a95;
        number = ((product % (1 << 64)) ^ (product / (1 << 64))) as u64;
    }
    (number % (1 << 32)) as u32
}

#[test]
fn the_checksum_of_effects_is_as_it_is_documented_and_differs_with_each_bit() {
    let guest = r#"
        (memory (export "memory") 1)
        (func (export "message") (param i32 i32 i32)
            (call $log (i32.const 3) (local.get 1) (local.get 2))
            (call $send (i32.const 0) (local.get 1) (local.get 2))
            (call $set_timer (local.get 2))
            (call $close (i32.const 1) (i32.const 4000) (local.get 1) (local.get 2)))
        (func (export "binary") (param i32 i32 i32)
            (call $send_binary (i32.const -1) (local.get 1) (local.get 2)))"#;
    let mut room = program(guest).room("lobby", [0; 32]).unwrap();
    let mut checksum = |payload: MessagePayload<'_>| {
        assert_eq!(room.handle(Event::Message(ClientId(1), payload), 0), Ok(Step::Done));
        let found = room.outcome().unwrap().effects;
        assert_eq!(found, documented_checksum(&room));
        found
    };
    for size in 0..40 {
        let mut bytes = vec![b'a'; size];
        let text = std::str::from_utf8(&bytes).unwrap().to_owned();
        let mut all = vec![checksum(MessagePayload::Text(&text)), checksum(MessagePayload::Bytes(&bytes))];
        for bit in 0..8 * size {
            bytes[bit / 8] ^= 1 << (bit % 8);
            all.push(checksum(MessagePayload::Bytes(&bytes)));
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "{size} bytes");
    }
}

#[test]
fn records_of_all_sizes_have_the_shortest_length_before_them() {
    let guest = r#"(memory (export "memory") 1) (func (export "message") (param i32 i32 i32))"#;
    let mut room = program(guest).room("lobby", [0; 32]).unwrap();
    room.start_recording();
    for size in (0..300).chain(16_300..16_420) {
        let text = "x".repeat(size);
        let event = Event::Message(ClientId(1), MessagePayload::Text(&text));
        // The time has from one to six bytes.
        assert_eq!(room.handle(event, 1 << size.min(41)), Ok(Step::Done));
        let bytes = room.take_records();
        let record = Records::new(&bytes).next().unwrap().unwrap();
        assert_eq!(record.event, OwnedEvent::from(event));
        assert_eq!(record.outcome, room.outcome().unwrap());
        let length = [1, 2, 3].into_iter().find(|length| bytes.len() - length < 1 << (7 * length)).unwrap();
        assert_eq!(bytes[..length].iter().filter(|byte| **byte < 0x80).count(), 1, "{size}");
        assert!(bytes[length - 1] < 0x80, "{size}");
    }
}

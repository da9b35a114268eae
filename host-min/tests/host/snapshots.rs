use stateroom_host_min::{ClientId, Event, Limits, MessagePayload, RestoreError, Room, SnapshotError, Step};

use crate::{
    guest::{connect, finish, program, program_with, room, said, text},
    machine::{Dice, Happening, machine, outcome},
};

/// A guest that answers each timer with the digits of a number that it keeps where nobody sees it.
const COUNTER: &str = r#"
    (memory (export "memory") 17)
    (global $n (mut i32) (i32.const 0))
    (func (export "timer")
        (i32.store8 (i32.const 1048576) (i32.add (global.get $n) (i32.const 48)))
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (call $send (i32.const 0) (i32.const 1048576) (i32.const 1)))"#;

#[test]
fn a_room_goes_on_from_its_snapshot() {
    let program = program(COUNTER);
    let mut room = program.room("lobby", [3; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    for expected in ["0", "1", "2"] {
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&room), [expected]);
    }
    let snapshot = room.snapshot().unwrap();
    drop(room);
    for _ in 0..2 {
        let mut restored = program.restore(&snapshot).unwrap();
        assert_eq!((restored.id(), restored.effects().count()), ("lobby", 0));
        assert_eq!(finish(&mut restored, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&restored), ["3"]);
    }
    assert!(snapshot.len() < 700, "only what has changed: {} bytes", snapshot.len());
}

#[test]
fn a_room_that_has_not_had_its_first_event_has_a_snapshot_too() {
    let fields = r#"(global $n (mut i32) (i32.const 48)) (memory (export "memory") 1)
        (func $start (global.set $n (i32.add (global.get $n) (i32.const 1)))) (start $start)
        (func (export "timer") (i32.store8 (i32.const 0) (global.get $n))
            (call $send (i32.const 0) (i32.const 0) (i32.const 1)))"#;
    let program = program(fields);
    let room = program.room("lobby", [0; 32]).unwrap();
    let mut restored = program.restore(&room.snapshot().unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(finish(&mut restored, Event::Init), Ok(Step::Done));
        assert_eq!(finish(&mut restored, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&restored), ["1"], "the start function runs once");
        restored = program.restore(&restored.snapshot().unwrap()).unwrap();
    }
}

#[test]
fn a_room_knows_its_clients_and_its_timer_also_where_it_hibernates_and_is_restored() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "message") (param i32 i32 i32) (call $set_timer (i32.const 500)) (call $set_timer (i32.const 70)))
        (func (export "binary") (param i32 i32 i32) (call $set_timer (i32.const 0)))
        (func (export "disconnect") (param i32) (call $set_timer (i32.const 9)) unreachable)"#;
    let program = program(fields);
    let mut room = program.room("lobby", [3; 32]).unwrap();
    let known = |room: &Room| (room.clients().to_vec(), room.next_client(), room.timer_due());
    let ids = |ids: &[u32]| ids.iter().copied().map(ClientId).collect::<Vec<_>>();
    assert_eq!(known(&room), (vec![], ClientId(1), None));
    let steps: [(Event<'_>, &[u32], u32, Option<u64>); 8] = [
        (Event::Init, &[], 1, None),
        (connect(1), &[1], 2, None),
        (connect(4), &[1, 4], 5, None),
        (connect(2), &[1, 2, 4], 5, None),
        (text("set"), &[1, 2, 4], 5, Some(1_070)),
        (Event::Timer, &[1, 2, 4], 5, None),
        (text("again"), &[1, 2, 4], 5, Some(1_070)),
        (Event::Message(ClientId(4), MessagePayload::Bytes(b"cancel")), &[1, 2, 4], 5, None),
    ];
    for (event, clients, next, due) in steps {
        assert_eq!(room.handle(event, 1_000), Ok(Step::Done));
        let expected = (ids(clients), ClientId(next), due);
        assert_eq!(known(&room), expected, "{event:?}");
        let restored = program.restore(&room.snapshot().unwrap()).unwrap();
        assert_eq!(known(&restored), expected, "{event:?}");
        room.hibernate().unwrap();
        assert_eq!(known(&room), expected, "{event:?}");
    }
    assert!(room.handle(Event::Disconnect(ClientId(2)), 2_000).is_err());
    assert_eq!(known(&room), (ids(&[1, 4]), ClientId(5), None), "a trap sets no timer");
}

#[test]
fn random_numbers_go_on_where_they_were() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "connect") (param $n i32)
            (call $random (i32.const 0) (local.get $n))
            (call $send_binary (i32.const 0) (i32.const 0) (local.get $n)))"#;
    let program = program(fields);
    // Whole blocks of the cipher, parts of them, and more than it keeps ready.
    for used in [0, 1, 3, 4, 63, 64, 255, 256, 257, 260, 1000, 1024, 4096] {
        let mut original = program.room("a", [9; 32]).unwrap();
        let _ = finish(&mut original, Event::Init);
        let _ = finish(&mut original, connect(used));
        let mut restored = program.restore(&original.snapshot().unwrap()).unwrap();
        for wanted in [5, 300] {
            let event = connect(wanted);
            assert_eq!(
                outcome(&mut original, event, 0),
                outcome(&mut restored, event, 0),
                "after {used} bytes"
            );
        }
    }
}

#[test]
fn only_a_room_between_two_events_has_a_snapshot() {
    let mut limits = Limits::default();
    limits.slice = 100;
    let fields = r#"(func (export "timer") (local i32)
        (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000)))))
        (func (export "connect") (param i32) unreachable)"#;
    let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert_eq!(room.handle(Event::Timer, 0), Ok(Step::Suspended));
    assert_eq!(room.snapshot(), Err(SnapshotError::Suspended));
    while room.resume() == Ok(Step::Suspended) {}
    assert!(room.snapshot().is_ok());
    assert!(finish(&mut room, connect(1)).is_err());
    assert_eq!(room.snapshot(), Err(SnapshotError::Broken));
}

#[test]
fn a_snapshot_of_another_module_or_format_is_refused() {
    let snapshot = room(COUNTER).snapshot().unwrap();
    // Another module, even if it only has another name.
    let other = program(&format!("(@custom \"name\" \"\") {COUNTER}"));
    assert_eq!(other.restore(&snapshot).unwrap_err(), RestoreError::OtherModule);
    let program = program(COUNTER);
    let mut newer = snapshot.clone();
    newer[8] += 1;
    let error = program.restore(&newer).unwrap_err();
    assert_eq!(error, RestoreError::Version { version: 4 });
    assert!(error.to_string().contains("format 4; this host reads format 3"), "{error}");
    for bytes in [&b""[..], b"stat", b"something else altogether"] {
        assert_eq!(program.restore(bytes).unwrap_err(), RestoreError::NotASnapshot);
    }
}

#[test]
fn a_snapshot_beyond_the_limits_is_refused() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "timer") (drop (memory.grow (i32.const 9))) (i32.store (i32.const 600000) (i32.const 7)))"#;
    let mut large = room(fields);
    assert_eq!(finish(&mut large, Event::Timer), Ok(Step::Done));
    let snapshot = large.snapshot().unwrap();
    let mut limits = Limits::default();
    limits.memory = 9 << 16;
    let error = program_with(fields, limits).restore(&snapshot).unwrap_err();
    assert!(matches!(error, RestoreError::TooLarge(_)), "{error}");
    assert!(error.to_string().contains("a memory of 655360 bytes"), "{error}");
}

/// Returns a snapshot with everything in it that one can have.
fn full() -> Vec<u8> {
    let program = machine(400_000);
    let mut room = program.room("full", [5; 32]).unwrap();
    let (mut dice, mut snapshot) = (Dice(3), Vec::new());
    outcome(&mut room, Event::Init, 0);
    while !outcome(&mut room, Happening::random(&mut dice).event(), 0).starts_with("Err") {
        snapshot = room.snapshot().unwrap();
    }
    snapshot
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let (program, snapshot) = (machine(400_000), full());
    for len in 12..snapshot.len() {
        assert_eq!(program.restore(&snapshot[..len]).unwrap_err(), RestoreError::Damaged, "{len} bytes");
    }
    for at in 12..snapshot.len() {
        let mut damaged = snapshot.clone();
        damaged[at] ^= 1 << (at % 8);
        assert_eq!(program.restore(&damaged).unwrap_err(), RestoreError::Damaged, "at {at}");
    }
}

#[test]
fn a_forged_snapshot_can_do_no_more_than_its_room() {
    let (program, snapshot) = (machine(400_000), full());
    let (mut dice, mut refused, mut taken) = (Dice(4), 0, 0);
    for _ in 0..20_000 {
        let mut forged = snapshot[..snapshot.len() - 4].to_vec();
        for _ in 0..=dice.below(4) {
            // Behind the module's hash; more often near the end, where globals and tables are.
            let from = if dice.below(2) == 0 { 44 } else { forged.len() - 150 };
            let at = from + dice.below(forged.len() - from);
            forged[at] = [0, 1, 2, 5, 255, dice.next() as u8][dice.below(6)];
        }
        forged.extend(crc32fast::hash(&forged).to_le_bytes());
        match program.restore(&forged) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, RestoreError::Damaged | RestoreError::TooLarge(_)), "{error}");
            }
            Ok(mut room) => {
                taken += 1;
                assert!(room.snapshot().is_ok());
                for event in [Event::Timer, text("x")] {
                    outcome(&mut room, event, 0);
                }
            }
        }
    }
    assert!(refused > 1_000 && taken > 1_000, "{refused} refused, {taken} taken");
}

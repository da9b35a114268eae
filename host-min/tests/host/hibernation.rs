//! A room between two events may hibernate, and nobody can tell. That it makes no difference to ten thousand events is
//! in `replay.rs`.

use stateroom_host_min::{Effect, Event, Hibernation, Limits, Room, SnapshotError, Step, TrapReason};

use crate::{
    effects::ECHO,
    guest::{broadcast, connect, finish, program, program_with, room, room_with, said, text},
    machine::{Dice, Happening, machine, outcome},
};

#[test]
fn a_room_that_has_hibernated_answers_as_before() {
    let mut room = room(ECHO);
    assert_eq!(finish(&mut room, text("hello")), Ok(Step::Done));
    let (snapshot, memory) = (room.snapshot().unwrap(), room.memory_size());
    assert!(!room.is_hibernating());
    // To do it twice changes nothing.
    for _ in 0..2 {
        assert_eq!(room.hibernate(), Ok(()));
        assert!(room.is_hibernating());
        assert_eq!((room.id(), room.memory_size()), ("lobby", memory));
        assert_eq!(room.last(), Ok(Step::Done));
        assert_eq!(room.resume(), Ok(Step::Done));
        assert_eq!(room.effects().collect::<Vec<_>>(), [broadcast("hello")]);
        assert_eq!(room.snapshot().as_ref(), Ok(&snapshot));
        assert!(format!("{room:?}").contains("hibernating"));
    }
    assert_eq!(finish(&mut room, text("again")), Ok(Step::Done));
    assert!(!room.is_hibernating());
    assert_eq!(said(&room), ["again"]);
}

#[test]
fn a_hibernating_room_has_the_snapshot_of_one_that_is_awake() {
    let (program, mut dice) = (machine(400_000), Dice(11));
    let mut room = program.room("full", [5; 32]).unwrap();
    outcome(&mut room, Event::Init, 0);
    for now_ms in 0..1_000 {
        let happening = Happening::random(&mut dice);
        if outcome(&mut room, happening.event(), now_ms).starts_with("Err") {
            room = program.room("full", [5; 32]).unwrap();
            outcome(&mut room, Event::Init, 0);
        }
        let before = room.snapshot().unwrap();
        room.hibernate().unwrap();
        assert_eq!(room.snapshot().as_ref(), Ok(&before));
        // It can be restored like any other, and that room hibernate, too.
        let mut restored = program.restore(&before).unwrap();
        restored.hibernate().unwrap();
        assert_eq!(restored.snapshot(), Ok(before));
    }
}

#[test]
fn a_room_that_was_refused_a_message_still_says_so() {
    let fields = r#"(memory (export "memory") 1)
        (func (export "jam_malloc") (param i32) (result i32) (i32.const -1))
        (func (export "initialize") (param i32 i32))"#;
    let mut room = program(fields).room("", [0; 32]).unwrap();
    assert_eq!(finish(&mut room, text("hello")), Ok(Step::Refused));
    room.hibernate().unwrap();
    assert_eq!(room.last(), Ok(Step::Refused));
    assert_eq!(room.resume(), Ok(Step::Refused));
    assert_eq!(room.effects().count(), 0);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
}

#[test]
fn a_room_may_hibernate_before_its_first_event() {
    let fields = r#"(global $n (mut i32) (i32.const 48)) (memory (export "memory") 1)
        (func $start (global.set $n (i32.add (global.get $n) (i32.const 1)))) (start $start)
        (func (export "timer") (i32.store8 (i32.const 0) (global.get $n))
            (call $send (i32.const 0) (i32.const 0) (i32.const 1)))"#;
    let mut room = program(fields).room("lobby", [0; 32]).unwrap();
    for event in [Event::Init, Event::Timer, Event::Timer] {
        room.hibernate().unwrap();
        assert_eq!(finish(&mut room, event), Ok(Step::Done));
    }
    assert_eq!(said(&room), ["1"], "the start function runs once");
}

#[test]
fn only_a_room_between_two_events_hibernates() {
    let mut limits = Limits::default();
    limits.slice = 100;
    let fields = r#"(func (export "timer") (local i32)
        (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000))))
        (call $log (i32.const 2) (i32.const 0) (i32.const 0)))
        (func (export "connect") (param i32) unreachable)"#;
    let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert_eq!(room.handle(Event::Timer, 0), Ok(Step::Suspended));
    assert_eq!((room.hibernate(), room.is_hibernating()), (Err(SnapshotError::Suspended), false));
    // It goes on where it was.
    while room.resume() == Ok(Step::Suspended) {
        assert_eq!(room.hibernate(), Err(SnapshotError::Suspended));
    }
    assert!(matches!(room.effects().collect::<Vec<_>>()[..], [Effect::Log { .. }]));
    assert_eq!(room.hibernate(), Ok(()));
    let trap = finish(&mut room, connect(1)).unwrap_err();
    assert_eq!((room.hibernate(), room.is_hibernating()), (Err(SnapshotError::Broken), false));
    assert_eq!(room.last(), Err(&trap));
}

#[test]
fn what_a_room_may_have_is_the_same_after_hibernation() {
    let mut limits = Limits::default();
    limits.memory = 3 << 16;
    let fields = r#"(memory (export "memory") 1)
        (func (export "timer") (i32.store8 (i32.const 0) (i32.add (i32.const 49) (memory.grow (i32.const 1))))
            (call $send (i32.const 0) (i32.const 0) (i32.const 1)))"#;
    let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
    // It grows from 1 page to 3 and then no more, of which -1 comes.
    for expected in ["2", "3", "0", "0"] {
        assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
        assert_eq!(said(&room), [expected]);
        room.hibernate().unwrap();
    }
    assert_eq!(room.memory_size(), 3 << 16);
}

/// Returns a guest with 8 MiB of memory, of which it fills so many bytes, beginning in the middle, and sends a few.
fn large(filled: u32) -> String {
    format!(
        r#"(memory (export "memory") 128) (data (i32.const 7000000) "data at a far place")
        (func (export "connect") (param i32)
            (memory.fill (i32.const 1000000) (i32.const 97) (i32.const {filled})))
        (func (export "timer")
            (call $send (i32.const 0) (i32.const 1000000) (i32.const 3))
            (call $send (i32.const 0) (i32.const 7000000) (i32.const 19)))"#
    )
}

/// Hands in an event and counts its slices.
fn slices(room: &mut Room, event: Event<'_>) -> usize {
    let (mut slices, mut step) = (1, room.handle(event, 0));
    while step == Ok(Step::Suspended) {
        assert_eq!(room.snapshot(), Err(SnapshotError::Suspended));
        (slices, step) = (slices + 1, room.resume());
    }
    assert_eq!(step, Ok(Step::Done));
    slices
}

#[test]
fn a_room_gets_its_memory_in_pieces_and_pays_nothing_for_it() {
    let mut limits = Limits::default();
    (limits.fuel, limits.slice) = (1_000, 1_000);
    let mut room = program_with(&large(0), limits).room("lobby", [0; 32]).unwrap();
    assert_eq!(room.memory_size(), 8 << 20);
    assert!(room.memory_held() < 100_000, "{}", room.memory_held());
    let before = room.snapshot().unwrap();
    assert!(before.len() < 200, "it has changed nothing");
    // Of 64 KiB each, of which it has had one.
    let slices = slices(&mut room, Event::Timer);
    assert!((127..=129).contains(&slices), "{slices}");
    assert_eq!(said(&room), ["\0\0\0", "data at a far place"]);
    assert!(room.memory_held() > 8 << 20);
}

#[test]
fn small_rooms_begin_and_wake_in_one_slice() {
    for memory in ["1", "65536 (pagesize 1)", "2048 (pagesize 1)"] {
        let fields = format!(
            r#"(memory (export "memory") {memory}) (data (i32.const 0) "a")
            (func (export "timer") (memory.fill (i32.const 1) (i32.const 1) (i32.const 1000)))"#
        );
        let mut room = program(&fields).room("lobby", [0; 32]).unwrap();
        for event in [Event::Init, Event::Timer, Event::Timer] {
            assert_eq!(slices(&mut room, event), 1, "{memory}");
            room.hibernate().unwrap();
        }
    }
}

#[test]
fn a_room_hibernates_and_wakes_in_pieces() {
    let mut room = room(&large(3_000_000));
    slices(&mut room, connect(1));
    let snapshot = room.snapshot().unwrap();
    let held = room.memory_held();
    let mut steps = 1;
    while room.hibernate_step() == Hibernation::Unfinished {
        assert!(!room.is_hibernating());
        steps += 1;
    }
    assert!(room.is_hibernating());
    // Of 128 KiB each.
    assert_eq!(steps, 64);
    assert_eq!(room.hibernate_step(), Hibernation::Done);
    assert!(held > 8 << 20 && (3_000_000..3_100_000).contains(&room.memory_held()), "{}", room.memory_held());
    assert_eq!(room.snapshot().as_ref(), Ok(&snapshot));
    // 128 for the memory, and some for what it has filled.
    let slices = slices(&mut room, Event::Timer);
    assert!((128..=160).contains(&slices), "{slices}");
    assert_eq!(said(&room), ["aaa", "data at a far place"]);
    assert_eq!(room.snapshot(), Ok(snapshot));
}

#[test]
fn an_event_interrupts_a_room_on_its_way_into_hibernation() {
    let mut room = room(&large(1_000));
    for _ in 0..2 {
        for _ in 0..10 {
            assert_eq!(room.hibernate_step(), Hibernation::Unfinished);
        }
        let held = room.memory_held();
        // It changes what has been compared.
        slices(&mut room, connect(1));
        assert!(room.memory_held() <= held, "what has been copied is given back");
    }
    let snapshot = room.snapshot().unwrap();
    while room.hibernate_step() == Hibernation::Unfinished {}
    assert!(room.is_hibernating());
    assert_eq!(room.snapshot(), Ok(snapshot));
    slices(&mut room, Event::Timer);
    assert_eq!(said(&room)[0], "aaa");
}

#[test]
fn a_room_that_would_gain_little_stays_as_it_is() {
    let mut room = room(&large(5_000_000));
    slices(&mut room, connect(1));
    let held = room.memory_held();
    let mut outcome = Hibernation::Unfinished;
    while outcome == Hibernation::Unfinished {
        outcome = room.hibernate_step();
    }
    assert_eq!(
        (outcome, room.memory_held()),
        (Hibernation::Kept, held),
        "what has been copied is given back"
    );
    slices(&mut room, Event::Timer);
    assert_eq!(said(&room)[0], "aaa");
}

#[test]
fn the_event_that_wakes_a_room_may_use_as_much_fuel_as_any_other() {
    let fields = r#"(memory (export "memory") 4) (data $spare "spare")
        (func (export "connect") (param i32) (data.drop $spare))
        (func (export "timer") (loop (br 0)))"#;
    let mut limits = Limits::default();
    (limits.slice, limits.fuel) = (1_000, 100_000);
    for dropped in [false, true] {
        let mut room = room_with(fields, limits);
        if dropped {
            slices(&mut room, connect(1));
        }
        room.hibernate().unwrap();
        let (mut slices, mut step) = (1, room.handle(Event::Timer, 0));
        while step == Ok(Step::Suspended) {
            (slices, step) = (slices + 1, room.resume());
        }
        assert_eq!(*step.unwrap_err().reason(), TrapReason::OutOfFuel { limit: 100_000 });
        // 100, beside the one in which it got its memory.
        assert_eq!(slices, 101, "{dropped}");
    }
}

#[test]
fn what_is_told_of_a_rooms_memory_is_what_it_takes() {
    let fields = r#"(memory (export "memory") 2048 (pagesize 1))
        (func (export "connect") (param i32) (drop (memory.grow (i32.const 1000000))))
        (func (export "timer") (local $n i32)
            (loop (call $send (i32.const 0) (i32.const 0) (i32.const 2048))
                (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000)))))"#;
    let mut room = room(fields);
    let small = room.memory_held();
    assert!(small < 10_000, "{small}");
    assert_eq!(room.reclaimable(), small);
    slices(&mut room, Event::Timer);
    assert!(room.memory_held() > small + 2_048_000, "its messages");
    slices(&mut room, connect(1));
    // Of which the engine takes up to twice as much.
    assert!((small + 1_000_000..small + 2_050_000).contains(&room.memory_held()), "and its memory");
    room.hibernate().unwrap();
    assert!(room.memory_held() < 2_000, "{}", room.memory_held());
    assert_eq!(room.reclaimable(), 0);
}

#[test]
fn the_message_of_a_suspended_event_counts_as_the_rooms() {
    let fields = r#"(memory (export "memory") 64)
        (func (export "jam_malloc") (param i32) (result i32) (local i32)
            (loop (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 100000))))
            (i32.const 65536))"#;
    let mut room = room(fields);
    let before = room.memory_held();
    let message = "a".repeat(300_000);
    assert_eq!(room.handle(text(&message), 0), Ok(Step::Suspended));
    assert!((before + 300_000..before + 310_000).contains(&room.memory_held()), "{}", room.memory_held());
    while room.resume() == Ok(Step::Suspended) {}
    assert_eq!(room.memory_held(), before);
}

/// Returns a guest that does something with the data that it is given; `free` is the body of its `jam_free`.
fn receiving(inbox: bool, free: &str, message: &str) -> String {
    let inbox = if inbox { r#"(global (export "jam_inbox") i32 (i32.const 16))"# } else { "" };
    format!(
        r#"(memory (export "memory") 64) (data (i32.const 16) "\00\00\01\00\00\00\20\00") {inbox}
        (global $freed (mut i32) (i32.const 0))
        (func (export "jam_malloc") (param i32) (result i32) (i32.const 65536))
        (func (export "jam_free") (param $at i32) (param $len i32) {free})
        (func (export "message") (param i32) (param $at i32) (param $len i32) {message})
        (func (export "timer")
            (call $send (i32.const 0) (i32.const 65536) (i32.const 2))
            (call $send (i32.const 0) (i32.const 1065534) (i32.const 2)))"#
    )
}

const FREE: &str = "(global.set $freed (local.get $len))";

/// Returns what the room takes while it hibernates, after a message of a million bytes, if it does.
fn after_a_large_message(fields: &str) -> (Option<usize>, Room) {
    let mut room = room(fields);
    let message = "x".repeat(1_000_000);
    slices(&mut room, text(&message));
    while room.hibernate_step() == Hibernation::Unfinished {}
    (room.is_hibernating().then(|| room.memory_held()), room)
}

#[test]
fn a_message_that_the_guest_is_done_with_is_not_kept() {
    for (inbox, free) in [(false, FREE), (true, FREE), (true, "")] {
        let (held, mut room) = after_a_large_message(&receiving(inbox, free, ""));
        assert!(held.is_some_and(|held| held < 4_000), "{inbox} {free}: {held:?}");
        slices(&mut room, Event::Timer);
        assert_eq!(said(&room), ["\0\0", "\0\0"]);
    }
}

#[test]
fn a_message_that_the_guest_may_keep_stays() {
    let moves = "(i32.store (i32.const 16) (i32.const 3000000))";
    for (inbox, message) in [
        // It has been given nothing back, and nowhere said what becomes of the place.
        (false, ""),
        // It has another inbox from now on.
        (true, moves),
    ] {
        let (held, mut room) = after_a_large_message(&receiving(inbox, "", message));
        assert!(held.is_some_and(|held| held > 1_000_000), "{held:?}");
        slices(&mut room, Event::Timer);
        assert_eq!(said(&room), ["xx", "xx"]);
    }
}

#[test]
fn small_messages_are_left_where_they_are() {
    for (inbox, free) in [(false, FREE), (true, "")] {
        let mut room = room(&receiving(inbox, free, ""));
        slices(&mut room, text(&"x".repeat(4_000)));
        slices(&mut room, Event::Timer);
        assert_eq!(said(&room), ["xx", "\0\0"]);
    }
}

#[test]
fn a_large_message_is_cleared_in_pieces_after_an_event_has_returned_and_before_it_is_over() {
    let mut room = room(&receiving(true, "", "(call $send (i32.const 0) (i32.const 65536) (i32.const 1))"));
    let message = "x".repeat(1_000_000);
    let (mut slices, mut step) = (1, room.handle(text(&message), 0));
    while step == Ok(Step::Suspended) {
        assert_eq!(room.effects().count(), 0);
        (slices, step) = (slices + 1, room.resume());
    }
    // Of 128 KiB each.
    assert!(slices >= 7, "{slices}");
    assert_eq!((step, said(&room)), (Ok(Step::Done), vec!["x"]));
}

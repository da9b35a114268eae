//! A room between two events may be folded, and nobody can tell. That it makes no difference to ten thousand events is
//! in `replay.rs`.

use stateroom_host_min::{Effect, Event, Limits, SnapshotError, Step};

use crate::{
    effects::ECHO,
    guest::{broadcast, connect, finish, program, program_with, room, said, text},
    machine::{Dice, Happening, machine, outcome},
};

#[test]
fn a_folded_room_answers_as_before() {
    let mut room = room(ECHO);
    assert_eq!(finish(&mut room, text("hello")), Ok(Step::Done));
    let (snapshot, memory) = (room.snapshot().unwrap(), room.memory_size());
    assert!(!room.is_folded());
    // To fold a folded room changes nothing.
    for _ in 0..2 {
        assert_eq!(room.fold(), Ok(()));
        assert!(room.is_folded());
        assert_eq!((room.id(), room.memory_size()), ("lobby", memory));
        assert_eq!(room.last(), Ok(Step::Done));
        assert_eq!(room.resume(), Ok(Step::Done));
        assert_eq!(room.effects().collect::<Vec<_>>(), [broadcast("hello")]);
        assert_eq!(room.snapshot().as_ref(), Ok(&snapshot));
        assert!(format!("{room:?}").contains("folded"));
    }
    assert_eq!(finish(&mut room, text("again")), Ok(Step::Done));
    assert!(!room.is_folded());
    assert_eq!(said(&room), ["again"]);
}

#[test]
fn a_folded_room_has_the_snapshot_of_an_unfolded_one() {
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
        room.fold().unwrap();
        assert_eq!(room.snapshot().as_ref(), Ok(&before));
        // It can be restored like any other, and that room be folded, too.
        let mut restored = program.restore(&before).unwrap();
        restored.fold().unwrap();
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
    room.fold().unwrap();
    assert_eq!(room.last(), Ok(Step::Refused));
    assert_eq!(room.resume(), Ok(Step::Refused));
    assert_eq!(room.effects().count(), 0);
    assert_eq!(finish(&mut room, Event::Timer), Ok(Step::Done));
}

#[test]
fn a_room_may_fold_before_its_first_event() {
    let fields = r#"(global $n (mut i32) (i32.const 48)) (memory (export "memory") 1)
        (func $start (global.set $n (i32.add (global.get $n) (i32.const 1)))) (start $start)
        (func (export "timer") (i32.store8 (i32.const 0) (global.get $n))
            (call $send (i32.const 0) (i32.const 0) (i32.const 1)))"#;
    let mut room = program(fields).room("lobby", [0; 32]).unwrap();
    for event in [Event::Init, Event::Timer, Event::Timer] {
        room.fold().unwrap();
        assert_eq!(finish(&mut room, event), Ok(Step::Done));
    }
    assert_eq!(said(&room), ["1"], "the start function runs once");
}

#[test]
fn only_a_room_between_two_events_folds() {
    let mut limits = Limits::default();
    limits.slice = 100;
    let fields = r#"(func (export "timer") (local i32)
        (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000))))
        (call $log (i32.const 2) (i32.const 0) (i32.const 0)))
        (func (export "connect") (param i32) unreachable)"#;
    let mut room = program_with(fields, limits).room("a", [0; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert_eq!(room.handle(Event::Timer, 0), Ok(Step::Suspended));
    assert_eq!((room.fold(), room.is_folded()), (Err(SnapshotError::Suspended), false));
    // It goes on where it was.
    while room.resume() == Ok(Step::Suspended) {
        assert_eq!(room.fold(), Err(SnapshotError::Suspended));
    }
    assert!(matches!(room.effects().collect::<Vec<_>>()[..], [Effect::Log { .. }]));
    assert_eq!(room.fold(), Ok(()));
    let trap = finish(&mut room, connect(1)).unwrap_err();
    assert_eq!((room.fold(), room.is_folded()), (Err(SnapshotError::Broken), false));
    assert_eq!(room.last(), Err(&trap));
}

#[test]
fn what_a_room_may_have_is_the_same_after_a_fold() {
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
        room.fold().unwrap();
    }
    assert_eq!(room.memory_size(), 3 << 16);
}

//! A room continues in another program, with the state that its guest has saved.

use stateroom_host_min::{
    ClientId, Event, Limits, Migration, MigrationError, Program, Room, SnapshotError, Step, TrapReason,
};

use crate::guest::{IMPORTS, connect, finish, load_with, program, program_with, said, text};

const SAVE: &str = r#"(import "stateroom" "save" (func $save (param i32 i32)))"#;

/// Returns a guest that counts its messages, saves the number as a byte, and loads what this code does with `$n` and `$at`.
fn counter(load: &str) -> Program {
    let fields = format!(
        r#"{SAVE}
        (memory (export "memory") 1)
        (global $n (mut i32) (i32.const 48))
        (func $tell (i32.store8 (i32.const 32) (global.get $n))
            (call $send (i32.const 0) (i32.const 32) (i32.const 1)))
        (func (export "initialize") (param i32 i32) (call $set_timer (i32.const 7)) (call $tell))
        (func (export "message") (param i32 i32 i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $tell))
        (func (export "stateroom_save")
            (i32.store8 (i32.const 33) (global.get $n))
            (call $send (i32.const 0) (i32.const 0) (i32.const 0))
            (call $save (i32.const 33) (i32.const 1)))
        (func (export "stateroom_load") (param $at i32) (param $len i32) {load})"#
    );
    program(&fields)
}

const TAKES_OVER: &str = "(global.set $n (i32.load8_u (local.get $at))) (call $tell)";

fn migrate(room: &Room, program: &Program) -> Result<Room, MigrationError> {
    let mut migration = Migration::begin(room, program, [8; 32], 5_000)?;
    loop {
        if let Some(room) = migration.advance(room)? {
            return Ok(room);
        }
    }
}

/// Returns a room with two clients and three messages, whose timer is due at 1,007.
fn room() -> Room {
    let mut room = counter(TAKES_OVER).room("lobby", [1; 32]).unwrap();
    for event in [Event::Init, connect(1), connect(2), text("a"), text("b"), text("c")] {
        assert_eq!(room.handle(event, 1_000), Ok(Step::Done));
    }
    room
}

#[test]
fn a_room_continues_in_another_program_with_its_state_its_clients_and_its_timer() {
    let mut old = room();
    let double =
        "(global.set $n (i32.sub (i32.mul (i32.load8_u (local.get $at)) (i32.const 2)) (i32.const 48)))";
    let new = counter(double);
    let mut migrated = migrate(&old, &new).unwrap();
    assert_eq!((migrated.id(), migrated.clients()), ("lobby", &[ClientId(1), ClientId(2)][..]));
    assert_eq!((migrated.next_client(), migrated.timer_due()), (ClientId(3), Some(1_007)));
    // Those of `initialize` and `stateroom_save` have not happened.
    assert_eq!(said(&migrated), Vec::<&str>::new());
    assert_eq!(finish(&mut migrated, text("d")), Ok(Step::Done));
    assert_eq!(said(&migrated), ["7"]);
    // The old one is as it was.
    assert_eq!(finish(&mut old, text("d")), Ok(Step::Done));
    assert_eq!(said(&old), ["4"]);
}

#[test]
fn loading_may_have_effects_and_set_the_timer() {
    let new = counter(&format!("{TAKES_OVER} (call $set_timer (i32.const 20))"));
    let mut old = room();
    old.hibernate().unwrap();
    let migrated = migrate(&old, &new).unwrap();
    assert_eq!((said(&migrated), migrated.timer_due()), (vec!["3"], Some(5_020)));
    assert!(old.is_hibernating());
}

#[test]
fn a_room_whose_state_cannot_be_loaded_or_saved_stays_as_it_is() {
    let mut old = room();
    let fails = migrate(&old, &counter("unreachable")).unwrap_err();
    assert!(matches!(&fails, MigrationError::Load(trap) if trap.during() == "stateroom_load"), "{fails:?}");
    assert!(
        fails.to_string().starts_with("its state cannot be loaded: the guest failed in `stateroom_load`: ")
    );
    let endless = migrate(&old, &counter("(loop (br 0))")).unwrap_err();
    let MigrationError::Load(trap) = endless else { panic!("{endless:?}") };
    assert!(matches!(trap.reason(), TrapReason::OutOfFuel { .. }));
    assert_eq!(finish(&mut old, text("d")), Ok(Step::Done));
    assert_eq!(said(&old), ["4"]);

    let does_not_save = program(&format!(r#"{SAVE} (func (export "stateroom_save") unreachable)"#));
    let mut room = does_not_save.room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert!(matches!(migrate(&room, &counter("")), Err(MigrationError::Save(_))));
    assert_eq!(finish(&mut room, text("a")), Ok(Step::Done));
}

#[test]
fn guests_need_not_save_or_load() {
    let neither = program("");
    let old = room();
    assert!(old.snapshot().is_ok() && !neither.saves_state() && !neither.loads_state());
    assert_eq!(migrate(&old, &neither).unwrap_err(), MigrationError::DoesNotLoad);
    let mut room = neither.room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert_eq!(migrate(&room, &counter("")).unwrap_err(), MigrationError::DoesNotSave);
}

#[test]
fn only_a_room_between_two_events_is_migrated() {
    let mut limits = Limits::default();
    limits.slice = 100;
    let fields = r#"(func (export "stateroom_save")) (func (export "stateroom_load") (param i32 i32))
        (func (export "timer") (local i32)
            (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 1000)))))"#;
    let program = program_with(fields, limits);
    let mut room = program.room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    assert_eq!(room.handle(Event::Timer, 0), Ok(Step::Suspended));
    assert_eq!(migrate(&room, &program).unwrap_err(), MigrationError::Room(SnapshotError::Suspended));
}

#[test]
fn a_large_state_goes_over_in_pieces_and_has_a_limit() {
    // It saves its first pages, of which each byte is the number of its page, in two calls.
    let fields = format!(
        r#"{SAVE}
        (memory (export "memory") 40)
        (func (export "jam_malloc") (param i32) (result i32) i32.const 1310720)
        (func (export "initialize") (param i32 i32) (memory.fill (i32.const 655360) (i32.const 9) (i32.const 65536)))
        (func (export "stateroom_save")
            (call $save (i32.const 655360) (i32.const 100000))
            (call $save (i32.const 720000) (i32.const 5)))
        (func (export "stateroom_load") (param $at i32) (param $len i32)
            (memory.copy (i32.const 655360) (local.get $at) (local.get $len)))
        (func (export "timer")
            (call $send_binary (i32.const 0) (i32.const 655360) (i32.const 65537)))"#
    );
    let program = program_with(&fields, Limits::default());
    let mut room = program.room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    let mut migrated = migrate(&room, &program).unwrap();
    let sent = |room: &mut Room| {
        assert_eq!(finish(room, Event::Timer), Ok(Step::Done));
        format!("{:?}", room.effects().collect::<Vec<_>>())
    };
    assert_eq!(sent(&mut migrated), sent(&mut room));

    let saves = format!(
        r#"{SAVE} (func (export "stateroom_save") (call $save (i32.const 0) (i32.const 65536))
            (call $save (i32.const 0) (i32.const 65536)))
        (func (export "stateroom_load") (param i32 i32))"#
    );
    let mut limits = Limits::default();
    limits.memory = 100_000;
    let program = program_with(&saves, limits);
    let mut room = program.room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    let error = migrate(&room, &program).unwrap_err();
    let MigrationError::Save(trap) = error else { panic!("{error:?}") };
    assert_eq!(*trap.reason(), TrapReason::StateTooLarge { size: 131_072, limit: 100_000 });
}

#[test]
fn a_state_is_saved_where_it_is_asked_for_alone() {
    let fields = format!(r#"{SAVE} (func (export "timer") (call $save (i32.const 0) (i32.const 1)))"#);
    let mut room = program(&fields).room("lobby", [1; 32]).unwrap();
    let _ = finish(&mut room, Event::Init);
    let trap = finish(&mut room, Event::Timer).unwrap_err();
    assert_eq!(*trap.reason(), TrapReason::NotSaving);
}

#[test]
fn what_has_the_names_has_the_types() {
    let fields = format!(r#"{IMPORTS} (func (export "stateroom_load") (param i32))"#);
    let error = load_with(&fields, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("`stateroom_load`") && error.contains("a function (i32, i32)"), "{error}");
}

#[test]
fn a_large_room_is_copied_in_many_steps_as_it_is_or_hibernating() {
    let fields = format!(
        r#"{SAVE}
        (memory (export "memory") 40)
        (func (export "timer") (memory.fill (i32.const 65536) (i32.const 9) (i32.const 2490368)))
        (func (export "stateroom_save") (call $save (i32.const 2555903) (i32.const 1)))
        (func (export "stateroom_load") (param $at i32) (param i32) (call $send (i32.const 0) (local.get $at) (i32.const 1)))"#
    );
    let program = program(&fields);
    let mut room = program.room("lobby", [1; 32]).unwrap();
    for event in [Event::Init, Event::Timer] {
        assert_eq!(finish(&mut room, event), Ok(Step::Done));
    }
    for _ in 0..2 {
        let mut migration = Migration::begin(&room, &program, [8; 32], 0).unwrap();
        let (mut steps, mut most) = (0, 0);
        let migrated = loop {
            steps += 1;
            if let Some(room) = migration.advance(&room).unwrap() {
                break room;
            }
            most = most.max(migration.memory_held());
        };
        assert_eq!(said(&migrated), ["\t"]);
        // Each window of 64 KiB, and each piece of the new memory.
        assert!(steps > 60, "{steps}");
        assert!(most > 2_400_000, "{most}");
        room.hibernate().unwrap();
    }
}

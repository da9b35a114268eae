use std::cell::{Cell, RefCell};

use stateroom_core::{
    ClientId, LogLevel, MessagePayload, MessageRecipient, StateroomContext, ToPayload,
    engine::{Engine, EngineContext, EngineFactory, Event, Hibernation, Progress},
};
use stateroom_host_min::{Limits, Program, Room};

use crate::{
    effects::ECHO,
    guest::{program, program_with, wat},
};

/// A world that remembers what a service did to it.
#[derive(Default)]
struct World {
    did: RefCell<Vec<String>>,
    seeds: Cell<u8>,
    /// True if it has enough after each thing.
    weary: Cell<bool>,
}

impl StateroomContext for World {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let recipient = recipient.into();
        message.with_payload(|payload| self.did.borrow_mut().push(format!("{recipient:?} {payload:?}")));
    }

    fn set_timer(&self, ms_delay: u32) {
        self.did.borrow_mut().push(format!("timer {ms_delay}"));
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.did.borrow_mut().push(format!("{level:?} {message}"));
    }

    fn now_ms(&self) -> u64 {
        77
    }

    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        self.did.borrow_mut().push(format!("close {:?} {code} {reason}", recipient.into()));
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(self.seeds.get());
    }
}

impl EngineContext for World {
    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        self.did.borrow_mut().push(format!("asked about {client}"));
        each("query", "");
        each("address", &format!("10.0.0.{client}"));
    }

    fn warn(&self, words: &dyn std::fmt::Display) {
        self.did.borrow_mut().push(format!("warning: {words}"));
    }

    fn wants_pause(&self) -> bool {
        self.weary.get()
    }
}

#[test]
fn a_room_is_an_engine_like_any_other() {
    let world = World::default();
    let mut room = program(&format!(
        r#"{ECHO} (memory (export "memory") 1) (data (i32.const 0) "late")
        (func (export "timer") (call $set_timer (i32.wrap_i64 (call $now_ms))) (call $set_timer (i32.const 0))
            (call $log (i32.const 4) (i32.const 0) (i32.const 4)))
        (func (export "disconnect") (param i32) unreachable)"#
    ))
    .build("lobby", &world)
    .unwrap();

    room.begin(Event::Init, &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    room.begin(Event::Message(ClientId(1), MessagePayload::Bytes(b"hi")), &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    room.begin(Event::Timer, &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    assert_eq!(world.did.take(), ["Broadcast Bytes([104, 105])", "timer 77", "timer 0", "Debug late"]);

    room.begin(Event::Disconnect(ClientId(1)), &world);
    let Progress::Failed(reason) = room.advance(&world) else { panic!("it failed") };
    assert!(reason.to_string().contains("unreachable"));
    assert!(world.did.take().is_empty());
}

#[test]
fn a_long_event_takes_effect_when_it_is_over_and_once() {
    let mut limits = Limits::default();
    limits.slice = 1_000;
    let world = World::default();
    let mut room = program_with(
        r#"(func (export "timer") (local $n i32)
            (loop (local.set $n (i32.add (local.get $n) (i32.const 1))) (br_if 0 (i32.lt_u (local.get $n) (i32.const 5000))))
            (call $set_timer (local.get $n)))"#,
        limits,
    )
    .build("a", &world)
    .unwrap();
    room.begin(Event::Timer, &world);
    let mut turns = 0;
    while let Progress::Unfinished = room.advance(&world) {
        turns += 1;
        assert!(world.did.borrow().is_empty());
    }
    assert!(turns > 3, "{turns}");
    assert!(matches!(room.advance(&world), Progress::Done));
    assert_eq!(world.did.take(), ["timer 5000"]);
}

#[test]
fn an_event_that_takes_long_is_warned_of_once_before_it_fails() {
    let world = World::default();
    for (fuel, warnings) in [(749_000_000, 0), (800_000_000, 1)] {
        let mut limits = Limits::default();
        limits.fuel = fuel;
        let mut room =
            program_with(r#"(func (export "timer") (loop (br 0)))"#, limits).build("a", &world).unwrap();
        room.begin(Event::Timer, &world);
        while let Progress::Unfinished = room.advance(&world) {}
        assert!(matches!(room.advance(&world), Progress::Failed(_)));
        let did = world.did.take();
        assert_eq!(did.len(), warnings, "{did:?}");
        for warning in did {
            let used =
                warning.strip_prefix("warning: `timer` still runs, and has used 7500").expect(&warning);
            assert!(used.ends_with(" units of fuel; it fails at 800000000 (the limit `fuel`)"), "{warning}");
        }
    }
}

#[test]
fn others_go_on_between_effects_and_each_is_carried_out_once() {
    let world = World::default();
    let mut room = program(
        r#"(memory (export "memory") 1) (data (i32.const 0) "abc")
        (func (export "timer")
            (call $send (i32.const 0) (i32.const 0) (i32.const 1))
            (call $set_timer (i32.const 5))
            (call $send (i32.const 0) (i32.const 1) (i32.const 2)))
        (func (export "disconnect") (param i32)
            (call $log (i32.const 4) (i32.const 0) (i32.const 1))
            (call $log (i32.const 4) (i32.const 1) (i32.const 1)) unreachable)"#,
    )
    .build("a", &world)
    .unwrap();
    room.begin(Event::Init, &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    world.weary.set(true);
    for _ in 0..2 {
        room.begin(Event::Timer, &world);
        assert!(matches!(room.advance(&world), Progress::Unfinished));
        assert_eq!(world.did.take(), ["Broadcast Text(\"a\")"]);
        assert!(matches!(room.advance(&world), Progress::Unfinished));
        assert_eq!(world.did.take(), ["timer 5"]);
        assert!(matches!(room.advance(&world), Progress::Done));
        assert_eq!(world.did.take(), ["Broadcast Text(\"bc\")"]);
        assert!(matches!(room.advance(&world), Progress::Done));
        assert!(world.did.take().is_empty());
    }
    room.begin(Event::Disconnect(ClientId(1)), &world);
    assert!(matches!(room.advance(&world), Progress::Unfinished));
    assert!(matches!(room.advance(&world), Progress::Failed(_)));
    assert!(matches!(room.advance(&world), Progress::Failed(_)));
    assert_eq!(world.did.take(), ["Debug a", "Debug b"]);
}

#[test]
fn a_newcomers_belongings_come_from_the_world_and_a_close_goes_to_it() {
    let world = World::default();
    let mut room = program(
        r#"(memory (export "memory") 1) (data (i32.const 0) "address")
        (func (export "connect") (param $client i32)
            (call $close (i32.sub (i32.const 0) (local.get $client)) (i32.const 4321) (i32.const 64)
                (call $client_info (local.get $client) (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 64))))"#,
    )
    .build("a", &world)
    .unwrap();
    for client in [1, 2] {
        room.begin(Event::Connect(ClientId(client)), &world);
        assert!(matches!(room.advance(&world), Progress::Done));
        let closed = format!("close EveryoneExcept(ClientId({client})) 4321 10.0.0.{client}");
        assert_eq!(world.did.take(), [format!("asked about {client}"), closed]);
    }
}

#[test]
fn the_world_is_not_asked_on_behalf_of_a_guest_that_does_not_ask() {
    let world = World::default();
    let mut room = Program::load(&wat(""), Limits::default()).unwrap().build("a", &world).unwrap();
    room.begin(Event::Connect(ClientId(1)), &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    assert!(world.did.take().is_empty());
}

/// Takes all steps.
fn hibernate(room: &mut Room) -> Hibernation {
    loop {
        match Engine::hibernate(room) {
            Hibernation::Unfinished => {}
            outcome => return outcome,
        }
    }
}

#[test]
fn a_room_that_has_changed_most_of_its_memory_does_not_hibernate() {
    let world = World::default();
    let fill = |size: &str| {
        format!(
            r#"(memory (export "memory") 1)
            (func (export "timer") (memory.fill (i32.const 0) (i32.const 1) (i32.const {size})))"#
        )
    };
    for (size, comes_to) in [("60000", Hibernation::Kept), ("20000", Hibernation::Done)] {
        let mut room = program(&fill(size)).build("lobby", &world).unwrap();
        room.begin(Event::Timer, &world);
        assert!(matches!(room.advance(&world), Progress::Done));
        assert_eq!(hibernate(&mut room), comes_to, "{size} bytes");
        assert_eq!(room.is_hibernating(), comes_to == Hibernation::Done);
        // A program that embeds rooms may know better.
        assert_eq!(room.hibernate(), Ok(()));
        assert!(room.is_hibernating());
    }
}

#[test]
fn a_room_that_hibernates_does_everything_once() {
    let world = World::default();
    let mut room = program(ECHO).build("lobby", &world).unwrap();
    room.begin(Event::Init, &world);
    for text in ["one", "two"] {
        let size = room.reclaimable();
        assert!(size > 65_536, "{size} bytes");
        assert_eq!(hibernate(&mut room), Hibernation::Done);
        assert_eq!((room.is_hibernating(), room.reclaimable()), (true, 0));
        // There is no more to give back.
        assert_eq!(hibernate(&mut room), Hibernation::Done);
        assert!(matches!(room.advance(&world), Progress::Done));
        room.begin(Event::Message(ClientId(1), MessagePayload::Text(text)), &world);
        assert!(matches!(room.advance(&world), Progress::Done));
    }
    assert_eq!(world.did.take(), ["Broadcast Text(\"one\")", "Broadcast Text(\"two\")"]);
}

#[test]
fn a_room_holds_what_its_program_says_until_it_hibernates() {
    let world = World::default();
    let grows = r#"(memory (export "memory") 1) (func (export "timer") (drop (memory.grow (i32.const 1))))"#;
    let program = program(grows);
    let mut room = program.build("lobby", &world).unwrap();
    assert_eq!(room.memory_held(), program.room_size());
    room.begin(Event::Timer, &world);
    assert!(matches!(room.advance(&world), Progress::Done));
    assert_eq!(room.memory_held(), program.room_size() + 65_536);
    assert_eq!(room.reclaimable(), room.memory_held());
    assert_eq!(hibernate(&mut room), Hibernation::Done);
    let held = room.memory_held();
    assert!((1..1000).contains(&held), "{held} bytes");
}

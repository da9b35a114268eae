//! A room goes on from its snapshot, or when it has hibernated, as if nothing had been, whatever its guest is made of. And its recording
//! leads to the same state.

use stateroom_host_min::{
    Effect, Event, Limits, Program, Recording, RecordingHeader, RecordingStart, Room, Step,
};
use stateroom_tests::{Foreign, Guest, Profile, example};

use crate::conversation::{bytes, connect, text};

/// Returns everything that can be seen of an event.
fn outcome(room: &mut Room, event: Event<'_>, now_ms: u64) -> String {
    let mut step = room.handle(event, now_ms);
    while step == Ok(Step::Suspended) {
        step = room.resume();
    }
    let effects: Vec<Effect<'_>> = room.effects().collect();
    format!("{step:?} {effects:?}")
}

/// Runs the same events in three rooms of a guest: one as it is, one restored from a snapshot before each event, by a
/// program that has been loaded anew, and one that hibernates before each event.
#[track_caller]
fn goes_on(module: &[u8]) {
    let load = || Program::load(module, Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let (program, other) = (load(), load());
    let mut original = program.room("lobby", [7; 32]).expect("there is memory");
    original.start_recording();
    let mut restored = other.room("lobby", [7; 32]).expect("there is memory");
    let mut hibernating = program.room("lobby", [7; 32]).expect("there is memory");
    // A simple generator (Numerical Recipes' constants): the events are the same in every run.
    let mut dice = 1_u32;
    for now_ms in 0..300 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // So that allocators have work to do.
        let long = "x".repeat((dice >> 20) as usize);
        let event = match now_ms {
            0 => Event::Init,
            1 => connect(1),
            _ => match dice >> 28 {
                0 => connect(2 + (dice >> 8) % 9),
                1 => Event::Disconnect((2 + (dice >> 8) % 9).into()),
                2 => Event::Timer,
                3..=7 => text(1, "increment"),
                8 => text(1, "later"),
                9 => text(1, "never"),
                10..=12 => text(2, &long),
                _ => bytes(1, long.as_bytes()),
            },
        };
        let expected = outcome(&mut original, event, now_ms);
        let snapshot = restored.snapshot().expect("it is between events");
        restored = other.restore(&snapshot).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome(&mut restored, event, now_ms), expected, "event {now_ms}");
        hibernating.hibernate().expect("it is between events");
        assert_eq!(outcome(&mut hibernating, event, now_ms), expected, "event {now_ms}");
        if expected.starts_with("Err") {
            panic!("{event:?}: {expected}");
        }
        assert_eq!(original.snapshot(), restored.snapshot(), "event {now_ms}");
        assert_eq!(original.snapshot(), hibernating.snapshot(), "event {now_ms}");
    }
    let mut recording = Vec::new();
    let start = RecordingStart::New { seed: [7; 32] };
    RecordingHeader::new(&program, "lobby", start).write(&mut recording);
    recording.extend(original.take_records());
    let recording = Recording::read(&recording).expect("it has just been written");
    let mut again = recording.start(&other).expect("there is memory");
    for (number, record) in recording.records().enumerate() {
        let record = record.expect("it is whole");
        assert!(record.run(&mut again).agrees_with(&record.outcome), "event {number}");
    }
    assert_eq!(again.snapshot(), original.snapshot());
}

#[test]
fn rooms_of_the_first_generation_go_on() {
    goes_on(&Foreign::Rust("jamsocket-0.1", Profile::Release).module());
    goes_on(&Foreign::Rust("stateroom-0.2", Profile::Release).module());
    goes_on(&Foreign::Rust("stateroom-0.2", Profile::Lto).module());
}

#[test]
fn rooms_of_the_0_4_line_go_on() {
    goes_on(&Foreign::Rust("stateroom-0.4", Profile::Release).module());
    goes_on(&Foreign::Rust("stateroom-0.4", Profile::Lto).module());
}

#[test]
fn rooms_of_this_sdk_go_on() {
    let source = include_str!("../../guests/sdk/room.rs");
    goes_on(&Guest::new("room", "[]", source).module());
}

#[test]
fn rooms_of_a_large_guest_go_on() {
    goes_on(&std::fs::read(example("yjs").join("server.wasm")).expect("it has been built"));
}

#[test]
fn rooms_of_other_languages_go_on() {
    for guest in [Foreign::C, Foreign::AssemblyScript, Foreign::Text] {
        goes_on(&guest.module());
    }
}

//! Modules made with the SDKs that were published before this project's, by a compiler of today.
//!
//! Their `jam_malloc` (`stateroom_malloc`) asks for memory with an alignment of 0, which is undefined. What
//! comes of it depends on the version and on how the module was built, so each is here in several builds.

use stateroom_host_min::{Effect, Event, Step, TrapReason};
use stateroom_tests::{Foreign, Profile};

use crate::conversation::{Host, bytes, bytes_to, connect, conversation, text, to, whisper};

const JAMSOCKET_0_1: Foreign = Foreign::Rust("jamsocket-0.1", Profile::Release);
const JAMSOCKET_0_1_LTO: Foreign = Foreign::Rust("jamsocket-0.1", Profile::Lto);
const STATEROOM_0_2: Foreign = Foreign::Rust("stateroom-0.2", Profile::Release);
const STATEROOM_0_2_LTO: Foreign = Foreign::Rust("stateroom-0.2", Profile::Lto);
const STATEROOM_0_2_DEV: Foreign = Foreign::Rust("stateroom-0.2", Profile::Dev);

/// The working guests with the older interface.
const WORKING: [Foreign; 3] = [JAMSOCKET_0_1, STATEROOM_0_2, STATEROOM_0_2_LTO];

/// Returns a room that two clients have come to.
#[track_caller]
pub(crate) fn room(guest: Foreign) -> Host {
    let mut room = Host::load(&guest.module());
    for event in [Event::Init, connect(1), connect(2)] {
        assert_eq!(room.run(event), Ok(Step::Done), "{guest:?}: {event:?}");
    }
    room
}

/// Bytes of which none is where another would do.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn jamsocket_0_1_converses() {
    Host::load(&JAMSOCKET_0_1.module()).converse(conversation());
}

#[test]
fn jamsocket_0_1_with_lto_traps_before_it_has_begun() {
    // It is beyond help: its `jam_malloc` has become `unreachable`, for every size.
    let mut room = Host::load(&JAMSOCKET_0_1_LTO.module());
    let trap = room.run(Event::Init).unwrap_err();
    assert_eq!(trap.during(), "jam_malloc");
    assert_eq!(trap.reason(), &TrapReason::Unreachable);
}

#[test]
fn stateroom_0_2_converses() {
    for guest in [STATEROOM_0_2, STATEROOM_0_2_LTO] {
        Host::load(&guest.module()).converse(conversation().into_iter().chain([whisper()]));
    }
}

#[test]
fn a_build_without_optimisation_traps_and_the_trap_says_why() {
    let mut room = Host::load(&STATEROOM_0_2_DEV.module());
    let trap = room.run(Event::Init).unwrap_err();
    assert_eq!(trap.during(), "jam_malloc");
    let reason = "unsafe precondition(s) violated: Layout::from_size_align_unchecked";
    assert!(trap.to_string().contains(reason), "{trap}");
}

#[test]
fn a_room_of_the_first_generation_knows_its_id() {
    for guest in WORKING {
        let mut room = Host::load(&guest.module());
        assert_eq!(room.run(Event::Init), Ok(Step::Done));
        assert_eq!(room.log(), ["Info room lobby"], "{guest:?}");
        assert_eq!(room.ask(text(1, "room")), [to(1, "lobby")], "{guest:?}");
    }
}

#[test]
fn a_working_malloc_takes_messages_as_large_as_the_host_does() {
    let large = pattern(1 << 20);
    for guest in [JAMSOCKET_0_1, STATEROOM_0_2] {
        let mut room = room(guest);
        assert_eq!(room.ask(bytes(1, &large)), [bytes_to(1, &large)], "{guest:?}");
    }
}

#[test]
fn a_malloc_that_always_answers_0_takes_half_of_the_stack() {
    let (largest, too_large) = (pattern(512 << 10), pattern((512 << 10) + 1));
    let mut room = room(STATEROOM_0_2_LTO);
    for _ in 0..3 {
        assert_eq!(room.ask(bytes(1, &largest)), [bytes_to(1, &largest)]);
        assert_eq!(room.run(bytes(1, &too_large)), Ok(Step::Refused));
    }
    // What it was given lay in its stack, and has hurt nothing.
    let letters = "x".repeat(512 << 10);
    assert_eq!(room.ask(text(2, &letters)), [to(2, &letters)]);
    room.ask(text(2, "increment"));
    assert_eq!(room.ask(text(2, "who")), [to(2, "2")]);
}

#[test]
fn an_empty_message_comes_in() {
    for guest in WORKING {
        assert_eq!(room(guest).ask(text(1, "")), [], "{guest:?}");
    }
}

#[test]
fn an_empty_message_does_not_go_out_and_the_trap_says_why() {
    for guest in WORKING {
        let mut room = room(guest);
        let trap = room.run(text(1, "nothing")).unwrap_err();
        assert_eq!(trap.during(), "message", "{guest:?}");
        assert!(trap.to_string().contains("index out of bounds: the len is 0"), "{trap}");
        assert!(room.run(bytes(1, &[])).is_err(), "the room has ended with it");
    }
}

#[test]
fn what_is_printed_becomes_log_lines() {
    WORKING.into_iter().for_each(prints);
}

#[track_caller]
pub(crate) fn prints(guest: Foreign) {
    let mut room = room(guest);
    assert_eq!(room.ask(text(2, "print")), []);
    let lines = ["Info to standard output", "Info in two lines", "Warn client 2 to standard error"];
    assert_eq!(room.log(), lines, "{guest:?}");
}

#[test]
fn the_order_of_a_hash_map_follows_from_the_room_s_seed() {
    WORKING.into_iter().for_each(order_of_a_hash_map);
}

#[track_caller]
pub(crate) fn order_of_a_hash_map(guest: Foreign) {
    let module = guest.module();
    let order = |seed| {
        let mut room = Host::seeded(&module, seed);
        room.ask(Event::Init);
        for client in 1..=8 {
            room.ask(connect(client));
            room.ask(text(client, "increment"));
        }
        match room.ask(text(1, "who"))[..] {
            [Effect::Send { payload, .. }] => payload.text().expect("it is text").to_owned(),
            ref other => panic!("{other:?}"),
        }
    };
    let orders: Vec<_> = (0..4).map(order).collect();
    for order in &orders {
        let mut clients: Vec<_> = order.split(' ').collect();
        clients.sort_unstable();
        assert_eq!(clients, ["1", "2", "3", "4", "5", "6", "7", "8"]);
    }
    assert_eq!(orders, (0..4).map(order).collect::<Vec<_>>(), "{guest:?}");
    assert!(orders.iter().any(|order| *order != orders[0]), "{guest:?}: {orders:?}");
}

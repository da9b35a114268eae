//! Modules made with `stateroom-wasm` 0.4, which have an interface of their own: one function takes all
//! events and another all answers, encoded with bincode.

use stateroom_host_min::{Effect, Event, Step};
use stateroom_tests::{Foreign, Profile};

use crate::{
    conversation::{Host, bytes, bytes_to, conversation, text, to, whisper},
    published::{order_of_a_hash_map, pattern, prints, room},
};

const STATEROOM_0_4: Foreign = Foreign::Rust("stateroom-0.4", Profile::Release);
const STATEROOM_0_4_LTO: Foreign = Foreign::Rust("stateroom-0.4", Profile::Lto);

const ALL: [Foreign; 2] = [STATEROOM_0_4, STATEROOM_0_4_LTO];

/// The size of an encoded message's header: two variants, the sender, the length.
const HEADER: usize = 4 + 4 + 4 + 8;

#[test]
fn stateroom_0_4_converses() {
    // All but one exchange are those of every guest: in the hosts of this line a timer of 0 ms is due at
    // once.
    let same = conversation().into_iter().map(|(event, effects)| match effects[..] {
        [Effect::CancelTimer] => (event, vec![Effect::SetTimer { ms: 1 }]),
        _ => (event, effects),
    });
    let conversation: Vec<_> = same.chain([whisper()]).collect();
    for guest in ALL {
        Host::load(&guest.module()).converse(conversation.clone());
    }
}

#[test]
fn a_room_of_the_second_generation_begins_before_its_first_client() {
    for guest in ALL {
        let mut room = Host::load(&guest.module());
        assert_eq!(room.ask(Event::Init), []);
        assert_eq!(room.log(), ["Info a room"], "{guest:?}");
    }
}

#[test]
fn empty_messages_pass_through_the_second_generation() {
    for guest in ALL {
        let mut room = room(guest);
        assert_eq!(room.ask(text(1, "")), [], "{guest:?}");
        assert_eq!(room.ask(text(1, "nothing")), [to(1, "")], "{guest:?}");
        assert_eq!(room.ask(bytes(2, &[])), [bytes_to(2, &[])], "{guest:?}");
    }
}

#[test]
fn a_working_malloc_of_the_second_generation_takes_large_messages() {
    let large = pattern(1 << 20);
    assert_eq!(room(STATEROOM_0_4).ask(bytes(1, &large)), [bytes_to(1, &large)]);
}

#[test]
fn a_malloc_of_the_second_generation_that_always_answers_0_takes_half_of_the_stack() {
    let largest = pattern((512 << 10) - HEADER);
    let too_large = pattern((512 << 10) - HEADER + 1);
    let mut room = room(STATEROOM_0_4_LTO);
    for _ in 0..3 {
        assert_eq!(room.ask(bytes(1, &largest)), [bytes_to(1, &largest)]);
        assert_eq!(room.run(bytes(1, &too_large)), Ok(Step::Refused));
    }
    room.ask(text(2, "increment"));
    assert_eq!(room.ask(text(2, "who")), [to(2, "2")]);
}

#[test]
fn what_the_second_generation_prints_becomes_log_lines() {
    ALL.into_iter().for_each(prints);
}

#[test]
fn the_order_of_a_hash_map_of_the_second_generation_follows_from_the_room_s_seed() {
    ALL.into_iter().for_each(order_of_a_hash_map);
}

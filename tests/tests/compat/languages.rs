//! The same conversation gives the same effects in every language.

use stateroom_host_min::{Step, TrapReason};
use stateroom_tests::{Foreign, Guest, binaryen};

use crate::conversation::{Host, bytes, bytes_to, conversation, text, whisper};

#[track_caller]
fn converses(module: &[u8]) {
    Host::load(module).converse(conversation().into_iter().chain([whisper()]));
}

#[test]
fn rust_converses() {
    let source = include_str!("../../guests/sdk/room.rs");
    converses(&Guest::new("room", "[]", source).module());
}

#[test]
fn modules_that_wasm_opt_has_made_smaller_converse() {
    let source = include_str!("../../guests/sdk/room.rs");
    let plain = Guest::new("room-as-compiled", "[]", source).module();
    let optimized = Guest::new("room-optimized", "[]", source).with_programs(binaryen());
    let portable = Guest::new("room-optimized-portable", "[]", source).with_programs(binaryen()).portable();
    for module in [optimized.module(), portable.module()] {
        assert!(module.len() < plain.len(), "{} bytes of {} are left", module.len(), plain.len());
        converses(&module);
    }
}

#[test]
fn c_converses() {
    converses(&Foreign::C.module());
}

#[test]
fn assembly_script_converses() {
    converses(&Foreign::AssemblyScript.module());
}

#[test]
fn hand_written_text_converses() {
    converses(&Foreign::Text.module());
}

#[test]
fn empty_messages_pass_through_every_language() {
    for guest in [Foreign::C, Foreign::AssemblyScript, Foreign::Text] {
        let mut room = Host::load(&guest.module());
        room.converse(conversation());
        assert_eq!(room.ask(bytes(2, &[])), [bytes_to(2, &[])], "{guest:?}");
    }
}

#[test]
fn a_message_for_which_a_guest_has_no_place_is_refused_and_its_room_lives_on() {
    let (fits, too_large) = ([1; 64 << 10], [1; (64 << 10) + 1]);
    for guest in [Foreign::C, Foreign::Text] {
        let mut room = Host::load(&guest.module());
        room.converse(conversation());
        assert_eq!(room.run(bytes(2, &too_large)), Ok(Step::Refused), "{guest:?}");
        assert_eq!(room.ask(bytes(2, &fits)), [bytes_to(2, &fits)], "{guest:?}");
    }
}

#[test]
fn assembly_script_takes_messages_as_large_as_the_host_does() {
    let large = vec![1; 1 << 20];
    let mut room = Host::load(&Foreign::AssemblyScript.module());
    room.converse(conversation());
    // More than once: what is freed is used again.
    for _ in 0..40 {
        assert_eq!(room.ask(bytes(2, &large)), [bytes_to(2, &large)]);
    }
}

#[test]
fn an_error_thrown_in_assembly_script_is_a_trap_with_its_message_and_place() {
    let mut room = Host::load(&Foreign::AssemblyScript.module());
    room.converse(conversation());
    let trap = room.run(text(2, "throw")).unwrap_err();
    let TrapReason::Aborted { message } = trap.reason() else { panic!("{trap}") };
    assert!(message.starts_with("thrown (room.ts:"), "{message}");
}

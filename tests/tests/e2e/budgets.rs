//! Tests of the sizes of guests that `stateroom build` makes.

use stateroom_host_min::{Event, Limits, Program, Step};
use stateroom_tests::{Guest, example};

#[track_caller]
fn example_within(name: &str, bytes: usize, memory: usize) {
    let module = std::fs::read(example(name).join("server.wasm")).expect("it has been built");
    within(&module, bytes, memory);
}

/// Checks that the module has at most so many bytes, and so has a new room's memory.
#[track_caller]
fn within(module: &[u8], bytes: usize, memory: usize) {
    assert!(module.len() <= bytes, "the module has {} bytes, and may have {bytes}", module.len());
    let program = Program::load(module, Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let mut room = program.room("lobby", [0; 32]).unwrap_or_else(|trap| panic!("{trap}"));
    assert_eq!(room.handle(Event::Init, 0), Ok(Step::Done));
    let size = room.memory_size();
    assert!(size <= memory, "a room has {size} bytes of memory, and may have {memory}");
}

#[test]
fn an_echo_has_400_bytes_and_4_kilobytes_of_memory() {
    example_within("echo", 400, 4 << 10);
    example_within("binary-echo", 400, 4 << 10);
}

#[test]
fn a_counter_without_an_allocator_formats_its_number_in_1200_bytes() {
    example_within("counter", 1200, 4 << 10);
    example_within("clock", 1200, 4 << 10);
}

#[test]
fn a_binary_protocol_with_a_map_takes_1600_bytes() {
    example_within("cursors", 1600, 4 << 10);
}

#[test]
fn a_counter_with_format_has_6_kilobytes() {
    let source = r#"
        #![no_std]
        extern crate alloc;
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Counter(i32);

        impl StateroomService for Counter {
            fn message(&mut self, _: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
                self.0 = self.0.saturating_add(1);
                ctx.send_message(MessageRecipient::Broadcast, alloc::format!("new value: {}", self.0));
            }
        }
    "#;
    within(&Guest::new("formatting-counter", "['alloc']", source).module(), 6 << 10, 12 << 10);
}

#[test]
fn a_chat_with_a_map_has_16_kilobytes() {
    example_within("chat", 16 << 10, 12 << 10);
}

#[test]
fn an_echo_with_the_standard_library_has_8_kilobytes_and_a_page_of_memory() {
    example_within("seed-echo", 8 << 10, 64 << 10);
}

#[test]
fn hash_maps_and_sorting_fit_in_22_kilobytes() {
    example_within("vote", 22 << 10, 64 << 10);
}

//! Tests of allocators: with each of them, and with each size of page, a guest's data stays as it is.

use stateroom_host_min::{ClientInfo, Effect, Event, Hibernation, Room, Step, Trap};
use stateroom_sdk_core::{ClientId, MessagePayload};
use stateroom_tests::Guest;

/// Keeps a block for each message, full of the message's first byte, with sizes that grow by a half; the 60th begins anew.
/// It answers how many of its blocks are not what they were.
const SOURCE: &str = "
    extern crate alloc;
    use alloc::{format, vec, vec::Vec};
    use stateroom_sdk_core::*;

    #[stateroom_wasm]
    #[derive(Default)]
    struct Keeper { blocks: Vec<(u8, Vec<u8>)>, size: usize }

    impl StateroomService for Keeper {
        fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
            if self.blocks.len() == 59 {
                self.blocks.clear();
                self.size = 0;
            }
            self.size = self.size * 3 / 2 % 300_000 + 1;
            let byte = message.data()[0];
            self.blocks.push((byte, vec![byte; self.size]));
            // Holes of every size, for what comes next.
            if self.blocks.len() % 7 == 0 {
                self.blocks.swap_remove(self.size % 5);
            }
            let broken = self.blocks.iter().filter(|(byte, block)| block.iter().any(|found| found != byte));
            let broken = broken.count() + message.data().iter().filter(|found| **found != byte).count();
            ctx.send_message(client, format!(\"{broken}\"));
        }
    }";

#[track_caller]
fn keeps(guest: Guest) {
    let mut room = room(guest);
    let mut after_first_round = 0;
    for round in 0..4 {
        for byte in 0..120u8 {
            // Messages of every size lie between what is kept.
            let message = vec![byte; 1 + usize::from(byte).pow(2)];
            run(&mut room, Event::Message(ClientId(1), MessagePayload::Bytes(&message)));
            let answers: Vec<_> = room.effects().collect();
            let [Effect::Send { payload: MessagePayload::Text("0"), .. }] = answers[..] else {
                panic!("round {round}, message {byte}: {answers:?}")
            };
        }
        match round {
            0 => after_first_round = room.memory_size(),
            _ => assert!(room.memory_size() <= after_first_round * 3 / 2, "what is given back is used again"),
        }
    }
    assert!(after_first_round > 1 << 20, "it has grown far: {after_first_round}");
}

#[track_caller]
fn run(room: &mut Room, event: Event<'_>) {
    assert_eq!(finish(room, event), Ok(Step::Done));
}

fn finish(room: &mut Room, event: Event<'_>) -> Result<Step, Trap> {
    let mut step = room.handle(event, 0)?;
    while step == Step::Suspended {
        step = room.resume()?;
    }
    Ok(step)
}

#[test]
fn our_allocator_works_in_pages_of_one_byte() {
    keeps(Guest::new("heap-small-pages", "['alloc']", &format!("#![no_std]{SOURCE}")));
}

#[test]
fn our_allocator_works_in_portable_modules() {
    keeps(Guest::new("heap-portable", "['alloc']", &format!("#![no_std]{SOURCE}")).portable());
}

#[test]
fn our_allocator_works_with_the_standard_library() {
    keeps(Guest::new("heap-std", "['alloc', 'std']", SOURCE));
}

/// It believes in pages of 64 KiB, and has to get them.
#[test]
fn the_standard_librarys_allocator_works() {
    keeps(Guest::new("heap-std-own", "['std']", SOURCE));
}

#[test]
fn the_c_librarys_allocator_works() {
    keeps(
        Guest::new("heap-wasi", "['alloc', 'std']", SOURCE)
            .with_settings("[service]\ntarget = \"wasm32-wasip1\""),
    );
}

/// A guest that keeps every message, with an allocator that shares the memory with whatever else is there: each
/// block is an addition of its own.
const BROUGHT: &str = "#![no_std]
        use core::{alloc::{GlobalAlloc, Layout}, arch::wasm32};

        struct Grow;
        unsafe impl GlobalAlloc for Grow {
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                unsafe extern \"C\" { static __wasm_first_page_end: u8; }
                let page = &raw const __wasm_first_page_end as usize;
                let size = layout.size() + layout.align();
                match wasm32::memory_grow::<0>(size.div_ceil(page)) {
                    usize::MAX => core::ptr::null_mut(),
                    pages => (pages * page).next_multiple_of(layout.align()) as *mut u8,
                }
            }
            unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
        }
        #[global_allocator]
        static HEAP: Grow = Grow;

        extern crate alloc;
        use alloc::vec::Vec;
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Keeper(Vec<Vec<u8>>);

        impl StateroomService for Keeper {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                self.0.push(message.data().into());
                let whole = self.0.iter().all(|kept| kept.iter().all(|byte| *byte == kept[0]));
                ctx.send_message(client, if whole { \"whole\" } else { \"broken\" });
            }
        }";

#[test]
fn an_author_may_bring_an_allocator() {
    let mut room = room(Guest::new("heap-brought", "['heap']", BROUGHT));
    for byte in 1..100u8 {
        assert_eq!(keep(&mut room, byte), Ok(Step::Done), "message {byte}");
    }
}

/// The memory behind its own, where it would receive messages, is the allocator's by then.
#[test]
fn an_allocator_that_the_sdk_does_not_know_of_stays_whole() {
    let mut room = room(Guest::new("heap-hidden", "[]", BROUGHT));
    for byte in 1..100u8 {
        let step = keep(&mut room, byte);
        assert!(matches!(step, Ok(Step::Done | Step::Refused)), "message {byte}: {step:?}");
    }
}

/// Sends a message, and sees that everything is whole if it was taken.
#[track_caller]
fn keep(room: &mut Room, byte: u8) -> Result<Step, Trap> {
    let message = vec![byte; usize::from(byte % 10) * 10 + 1];
    let step = finish(room, Event::Message(ClientId(1), MessagePayload::Bytes(&message)))?;
    let whole = Effect::Send { recipient: ClientId(1).into(), payload: MessagePayload::Text("whole") };
    if step == Step::Done {
        assert_eq!(room.effects().collect::<Vec<_>>(), [whole], "message {byte}");
    }
    Ok(step)
}

/// Adds to the memory by itself between allocations, and less than any chunk of our allocator has: 1 to 40 bytes.
const SHARER: &str = "#![no_std]
        extern crate alloc;
        use alloc::vec::Vec;
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Sharer { own: Vec<&'static mut [u8]>, kept: Vec<Vec<u8>> }

        impl StateroomService for Sharer {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                let size = usize::from(message.data()[0]);
                let at = core::arch::wasm32::memory_grow::<0>(size) as *mut u8;
                let own = unsafe { core::slice::from_raw_parts_mut(at, size) };
                own.fill(1);
                self.own.push(own);
                self.kept.push(alloc::vec![2; 5000]);
                let whole = self.own.iter().all(|own| own.iter().all(|byte| *byte == 1))
                    && self.kept.iter().all(|kept| kept.iter().all(|byte| *byte == 2));
                ctx.send_message(client, if whole { \"whole\" } else { \"broken\" });
            }
        }";

#[test]
fn our_allocator_leaves_alone_what_others_add_to_the_memory() {
    let mut room = room(Guest::new("heap-shared", "['alloc']", SHARER));
    for size in 1..40u8 {
        run(&mut room, Event::Message(ClientId(1), MessagePayload::Bytes(&[size])));
        let whole = Effect::Send { recipient: ClientId(1).into(), payload: MessagePayload::Text("whole") };
        assert_eq!(room.effects().collect::<Vec<_>>(), [whole], "{size} bytes");
    }
}

#[track_caller]
fn room(guest: Guest) -> Room {
    let program = guest.program();
    let mut room = program.room("lobby", [0; 32]).unwrap_or_else(|trap| panic!("{trap}"));
    run(&mut room, Event::Init);
    run(&mut room, Event::Connect(ClientId(1), ClientInfo::NONE));
    room
}

/// A megabyte that a client sends is nothing that the room has to keep.
#[test]
fn a_large_message_does_not_keep_a_room_awake() {
    let source = include_str!("../../../examples/counter/src/lib.rs");
    let (source, _) = source.split_once("#[cfg(test)]").expect("it has tests");
    let with_std = source.replace("#![no_std]", "");
    for (name, features, source) in [
        ("dirty-counter", "[]", source),
        ("dirty-counter-alloc", "['alloc']", source),
        ("dirty-counter-std", "['alloc', 'std']", &with_std),
        ("dirty-counter-own", "['std']", &with_std),
    ] {
        let mut room = room(Guest::new(name, features, source));
        let message = "x".repeat(1 << 20);
        run(&mut room, Event::Message(ClientId(1), MessagePayload::Text(&message)));
        while room.hibernate_step() == Hibernation::Unfinished {}
        assert!(room.is_hibernating(), "{name}");
        assert!(room.memory_held() < 64 << 10, "{name}: {} bytes", room.memory_held());
        run(&mut room, Event::Message(ClientId(1), MessagePayload::Text("increment")));
        assert_eq!(room.effects().count(), 1, "{name}");
    }
}

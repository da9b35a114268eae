//! Benchmarks of a room, beside the same work done with the engine alone: `cargo bench -p stateroom-host-min`.
//!
//! `reference` is the least that can be done: the engine without limits, checks or slices, and effects that
//! are copied and forgotten.

mod modules;
mod reference;

use divan::{AllocProfiler, Bencher, black_box};
use stateroom_core::{ClientId, MessagePayload};
use stateroom_host_min::{Event, Limits, Program, Room, Step};

use modules::{BINCODE, EXPORTS};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const TEXT: &str = "sixty-four bytes: a position, a colour, a name and a few words..";
const MESSAGE: Event<'_> = Event::Message(ClientId(1), MessagePayload::Text(TEXT));

fn program(text: &str) -> Program {
    Program::load(&modules::binary(text), Limits::default()).expect("it is a guest")
}

fn room(text: &str) -> Room {
    let mut room = program(text).room("bench", [0; 32]).expect("it starts");
    run(&mut room, Event::Init);
    room
}

fn run(room: &mut Room, event: Event<'_>) {
    let mut step = room.handle(event, 0).expect("it does not trap");
    while step == Step::Suspended {
        step = room.resume().expect("it does not trap");
    }
    assert_eq!(step, Step::Done);
}

/// Loading a module: reading, checking, translating, and starting it once.
mod load {
    use super::*;

    #[divan::bench(args = ["guest of 1 KB", "guest of 100 KB"])]
    fn host(bencher: Bencher<'_, '_>, size: &str) {
        let module = modules::sized(size);
        bencher.bench(|| Program::load(black_box(&module), Limits::default()));
    }

    #[divan::bench(args = ["guest of 1 KB", "guest of 100 KB"])]
    fn reference(bencher: Bencher<'_, '_>, size: &str) {
        let module = modules::sized(size);
        bencher.bench(|| reference::Program::load(black_box(&module)));
    }
}

/// Making a room and handing in its first event; the allocations are what a room takes.
mod room {
    use super::*;

    #[divan::bench(args = [2, 64, 1088])]
    fn host(bencher: Bencher<'_, '_>, kib: u32) {
        let program = program(&modules::echo_of(kib));
        bencher.bench_local(|| {
            let mut room = program.room("bench", [0; 32]).expect("it starts");
            run(&mut room, Event::Init);
            room
        });
    }

    #[divan::bench(args = [2, 64, 1088])]
    fn reference(bencher: Bencher<'_, '_>, kib: u32) {
        let program = reference::Program::load(&modules::binary(&modules::echo_of(kib)));
        bencher.bench_local(|| {
            let mut room = program.room();
            room.initialize(b"bench");
            room
        });
    }
}

/// One message of 64 bytes that is sent back: `jam_malloc`, writing, `message`, sending, `jam_free`.
mod event {
    use super::*;

    fn host(bencher: Bencher<'_, '_>, text: &str) {
        let mut room = super::room(text);
        bencher.bench_local(|| {
            run(&mut room, black_box(MESSAGE));
            black_box(room.effects().map(black_box).count());
        });
    }

    #[divan::bench]
    fn generation_a(bencher: Bencher<'_, '_>) {
        host(bencher, EXPORTS);
    }

    #[divan::bench]
    fn generation_b(bencher: Bencher<'_, '_>) {
        host(bencher, BINCODE);
    }

    #[divan::bench]
    fn pages_of_64_kib(bencher: Bencher<'_, '_>) {
        host(bencher, &modules::portable());
    }

    #[divan::bench]
    fn reference(bencher: Bencher<'_, '_>) {
        let mut room = reference::Program::load(&modules::binary(EXPORTS)).room();
        bencher.bench_local(|| room.message(black_box(TEXT.as_bytes())));
    }
}

/// An event with a hundred broadcasts of 64 bytes: what one costs is a hundredth.
mod broadcasts {
    use super::*;

    #[divan::bench]
    fn host(bencher: Bencher<'_, '_>) {
        let mut room = super::room(&modules::sending(100));
        bencher.bench_local(|| {
            run(&mut room, black_box(MESSAGE));
            black_box(room.effects().map(black_box).count());
        });
    }

    #[divan::bench]
    fn reference(bencher: Bencher<'_, '_>) {
        let mut room = reference::Program::load(&modules::binary(&modules::sending(100))).room();
        bencher.bench_local(|| room.message(black_box(TEXT.as_bytes())));
    }
}

/// Snapshots of rooms that have changed all of their memory, and of one that has changed what a published
/// guest's room does.
mod snapshot {
    use super::*;

    const ROOMS: [&str; 4] = ["2 KiB", "64 KiB", "1 MiB", "1 MiB, 2 KiB changed"];

    fn module(name: &str) -> String {
        let (size, changed) = match name {
            "2 KiB" => (2, 2),
            "64 KiB" => (64, 64),
            "1 MiB" => (1024, 1024),
            _ => (1024, 2),
        };
        modules::filling(size, changed)
    }

    fn room(name: &str) -> Room {
        let mut room = super::room(&module(name));
        run(&mut room, Event::Timer);
        room
    }

    #[divan::bench(args = ROOMS)]
    fn take(bencher: Bencher<'_, '_>, name: &str) {
        let room = room(name);
        bencher.bench_local(|| room.snapshot());
    }

    #[divan::bench(args = ROOMS)]
    fn restore(bencher: Bencher<'_, '_>, name: &str) {
        let (program, snapshot) = (program(&module(name)), room(name).snapshot());
        let snapshot = snapshot.expect("it is between events");
        bencher.bench_local(|| program.restore(black_box(&snapshot)));
    }
}

/// Hibernating of a room that has had a message, and the message that wakes it: see `event` for one without that. What
/// is allocated while it does so, less what is shrunk, is what a hibernating room takes.
mod hibernation {
    use super::*;

    fn room(kib: u32) -> Room {
        let mut room = super::room(&modules::echo_of(kib));
        run(&mut room, MESSAGE);
        room
    }

    #[divan::bench(args = [2, 64, 1088])]
    fn hibernate(bencher: Bencher<'_, '_>, kib: u32) {
        bencher.with_inputs(|| room(kib)).bench_local_values(|mut room| {
            room.hibernate().expect("it is between events");
            room
        });
    }

    #[divan::bench(args = [2, 64, 1088])]
    fn wake(bencher: Bencher<'_, '_>, kib: u32) {
        let hibernating = || {
            let mut room = room(kib);
            room.hibernate().expect("it is between events");
            room
        };
        bencher.with_inputs(hibernating).bench_local_values(|mut room| {
            run(&mut room, black_box(MESSAGE));
            room
        });
    }
}

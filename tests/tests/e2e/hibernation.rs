//! Rooms that have been idle for a while hibernate, and nobody notices.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use stateroom_sdk_core::engine::{Engine, EngineContext, EngineFactory, Event, Hibernation, Progress};
use stateroom_server_smol::{Server, ShutdownPolicy};
#[cfg(target_os = "linux")]
use stateroom_tests::{Child, Client, Directory, Output, binary, status};
use stateroom_tests::{
    Module, TestServer, eventually, records_with, server,
    services::{script, script_guest},
};

/// The time that a room is idle before it hibernates.
const AFTER: Duration = Duration::from_secs(10);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the settings of a server whose clients may be silent for as long as they like.
fn settings() -> Server {
    server()
        .with_hibernate_after(AFTER)
        .with_heartbeat_interval(Duration::ZERO)
        .with_heartbeat_timeout(Duration::ZERO)
}

fn serve(factory: impl EngineFactory) -> TestServer {
    TestServer::with_clock(settings(), factory)
}

#[track_caller]
fn hibernating(server: &TestServer) -> usize {
    server.stats().hibernating_rooms
}

/// Lets time pass until so many rooms hibernate.
#[track_caller]
fn wait_for_hibernating(server: &TestServer, count: usize) {
    eventually(&format!("{count} rooms hibernate"), || {
        server.pass(AFTER);
        hibernating(server) == count
    });
}

#[test]
fn an_idle_room_hibernates_and_its_clients_stay() {
    let server = serve(script_guest());
    let (mut one, mut two) = (server.client("attic"), server.client("attic"));
    assert_eq!(one.ask("count"), "1");
    for count in 2..5 {
        wait_for_hibernating(&server, 1);
        assert_eq!(server.rooms(), [("attic".to_owned(), vec![1, 2])]);
        assert_eq!(two.ask("count"), count.to_string());
    }
    // A client that comes or goes is an event like any other.
    wait_for_hibernating(&server, 1);
    let mut three = server.client("attic");
    assert_eq!(three.ask("count"), "5");
    wait_for_hibernating(&server, 1);
    three.leave();
    server.wait_for_clients(2);
    wait_for_hibernating(&server, 1);
    assert_eq!(one.ask("count"), "6");
}

#[test]
fn a_room_that_hibernates_has_its_state_memory_and_all() {
    // It grows, and counts where it has grown.
    let module = Module::new().memory("17").told(
        "(if (i32.eq (memory.size) (i32.const 17)) (then (drop (memory.grow (i32.const 16)))))
         (local.set $i (i32.load8_u (i32.const 2162687)))
         (i32.store8 (i32.const 2162687) (i32.add (local.get $i) (i32.const 1)))
         (i32.store8 (i32.const 16) (i32.add (local.get $i) (i32.const 48)))",
    );
    let server = serve(module.program());
    let mut client = server.client("attic");
    for count in 1..5 {
        assert_eq!(client.ask("!"), "!");
        wait_for_hibernating(&server, 1);
        assert_eq!(client.ask("?"), count.to_string());
        wait_for_hibernating(&server, 1);
    }
}

#[test]
fn a_room_that_uses_all_of_its_memory_does_not_hibernate() {
    let module =
        Module::new().memory("1").told("(memory.fill (i32.const 8192) (i32.const 1) (i32.const 57344))");
    let server = serve(module.program());
    let (mut full, mut empty) = (server.client("full"), server.client("empty"));
    assert_eq!(full.ask("!"), "!");
    for _ in 0..2 {
        assert_eq!(empty.ask("hello"), "hello");
        // By then the other one has been looked at, too, as it has been idle for longer.
        wait_for_hibernating(&server, 1);
    }
    let rooms: Vec<_> = server.room_infos().into_iter().map(|room| (room.id, room.hibernates)).collect();
    assert_eq!(rooms, [("empty".to_owned(), true), ("full".to_owned(), false)]);
    assert_eq!(full.ask("hello"), "hello");
}

#[test]
fn a_timer_is_due_in_a_room_that_hibernates() {
    let server = serve(script_guest());
    let mut client = server.client("attic");
    client.text(&format!("timer {}", DAY.as_millis()));
    assert_eq!(client.ask("hello"), "hello");
    wait_for_hibernating(&server, 1);
    assert!(client.is_quiet());
    server.pass(DAY);
    client.expect(&["timer 1"]);
    assert_eq!(client.ask("fired"), "1");
}

#[test]
fn a_room_that_hibernates_ends_like_any_other() {
    let policy = ShutdownPolicy::After(10 * DAY);
    let server = TestServer::with_clock(settings().with_shutdown(policy), script_guest());
    let mut client = server.client("attic");
    assert_eq!(client.ask("count"), "1");
    client.leave();
    wait_for_hibernating(&server, 1);
    eventually("the room ends", || {
        server.pass(DAY);
        server.stats().rooms == 0
    });
    assert_eq!(hibernating(&server), 0);
    // A fresh room.
    assert_eq!(server.client("attic").ask("count"), "1");
}

#[test]
fn a_room_that_fails_when_it_comes_back_fails_like_any_other() {
    let server = serve(Module::new().told("unreachable").program());
    let mut client = server.client("cellar");
    assert_eq!(client.ask("hello"), "hello");
    wait_for_hibernating(&server, 1);
    client.text("!");
    assert_eq!(client.closed(), 1011);
    assert_eq!(server.client("cellar").ask("?"), "0");
}

/// Checks that no room hibernates, neither in time nor as others are opened beyond the memory that rooms may have
/// together.
#[track_caller]
fn stays_awake(server: &TestServer) {
    let mut client = server.client("attic");
    assert_eq!(client.ask("count"), "1");
    for count in 2..5 {
        server.pass(AFTER);
        assert_eq!(hibernating(server), 0);
        assert_eq!(client.ask("count"), count.to_string());
    }
    assert_eq!(server.client("hall").ask("count"), "1");
    assert_eq!(hibernating(server), 0);
}

#[test]
fn without_a_time_no_room_hibernates() {
    let settings = settings().with_hibernate_after(Duration::ZERO).with_awake_memory(1);
    let server = TestServer::with_clock(settings, script_guest());
    stays_awake(&server);
}

#[test]
fn a_native_service_never_hibernates() {
    let server = TestServer::with_clock(settings().with_awake_memory(1), script());
    stays_awake(&server);
}

#[test]
fn beyond_the_memory_for_all_the_longest_idle_hibernate_at_once() {
    // Each room has 1 MiB and 64 KiB, so that three have room. Time stands still, so that nobody is idle for long enough.
    let settings = settings().with_awake_memory(4 << 20);
    let server = TestServer::with_clock(settings, Module::new().memory("17").program());
    let mut clients: Vec<_> = (0..10).map(|room| server.client(&room.to_string())).collect();
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
    }
    eventually("seven rooms hibernate", || hibernating(&server) == 7);
    // Those who come back take the place of others. All are as they were.
    for client in clients.iter_mut().chain([&mut server.client("10")]) {
        assert_eq!(client.ask("hello"), "hello");
    }
    for (room, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask("?"), "2", "room {room}");
        eventually("eight rooms hibernate", || hibernating(&server) == 8);
    }
}

#[test]
fn the_operator_is_told_of_rooms_that_come_and_go_all_the_time() {
    // Three of the ten fit.
    let settings = settings().with_awake_memory(4 << 20);
    let server = TestServer::with_clock(settings, Module::new().memory("17").program());
    let mut clients: Vec<_> = (0..10).map(|room| server.client(&room.to_string())).collect();
    for _ in 0..200 {
        for client in &mut clients {
            assert_eq!(client.ask("hello"), "hello");
        }
    }
    assert_eq!(records_with("--max-awake-memory").len(), 1);
    let awake = server.stats().awake_memory;
    assert!((17 << 16..6 << 20).contains(&awake), "{awake}");
}

#[test]
fn of_two_rooms_the_one_that_is_in_use_stays() {
    let settings = settings().with_awake_memory(5 << 19);
    let server = TestServer::with_clock(settings, Module::new().memory("17").program());
    let (mut busy, mut idle) = (server.client("busy"), server.client("idle"));
    assert_eq!(busy.ask("hello"), "hello");
    assert_eq!(idle.ask("hello"), "hello");
    let rooms = || {
        let hibernating = server.room_infos().into_iter().filter(|room| room.hibernates);
        hibernating.map(|room| room.id).collect::<Vec<_>>()
    };
    // All three have had events since they were opened, so that it takes a fourth one for any to hibernate.
    assert_eq!(server.client("third").ask("hello"), "hello");
    for others in 0..20 {
        assert_eq!(busy.ask("hello"), "hello");
        assert_eq!(server.client(&others.to_string()).ask("hello"), "hello");
        assert!(!rooms().contains(&"busy".to_owned()), "{others}: {:?}", rooms());
    }
    assert!(rooms().contains(&"idle".to_owned()));
}

#[test]
fn rooms_that_hibernate_all_the_time_lose_nothing_and_are_counted() {
    for shutdown in [ShutdownPolicy::Never, ShutdownPolicy::Immediate] {
        // There is space for none, so that with each event the room hibernates that had one before.
        let settings = settings().with_awake_memory(0).with_shutdown(shutdown);
        let server = TestServer::with_clock(settings, script_guest());
        let mut rooms: Vec<_> = (0..8).map(|room| (server.client(&room.to_string()), 0)).collect();
        for event in 0..400 {
            let room = event * 5 % 8;
            let (client, count) = &mut rooms[room];
            if event % 50 == 49 {
                client.text("panic");
                assert_eq!(client.closed(), 1011);
                (*client, *count) = (server.client(&room.to_string()), 0);
            }
            *count += 1;
            assert_eq!(client.ask("count"), count.to_string(), "event {event} in room {room}");
        }
        wait_for_hibernating(&server, 8);
        drop(rooms);
        server.wait_for_clients(0);
        if shutdown == ShutdownPolicy::Immediate {
            server.wait_for_rooms(0);
            assert_eq!(hibernating(&server), 0);
        } else {
            wait_for_hibernating(&server, 8);
        }
    }
}

/// A room of 256 MiB, which sends everything back; `!` makes it tick.
#[cfg(target_os = "linux")]
const LARGE: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (import "env" "set_timer" (func $set_timer (param i32)))
    (memory (export "memory") 4096)
    (func (export "jam_malloc") (param i32) (result i32) (i32.const 65536))
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func (export "timer") (call $set_timer (i32.const 1)))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 0x21)) (then (call $set_timer (i32.const 1))))
        (call $send (local.get $client) (local.get $at) (local.get $len))))"#;

#[cfg(target_os = "linux")]
#[test]
fn a_room_that_cannot_come_back_for_want_of_memory_fails_alone() {
    let directory = Directory::new().with("large.wat", LARGE);
    // One room has a place in that, and two have not.
    let script = "ulimit -v 500000 && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg(script)
        .arg(binary("stateroom"))
        .arg("serve")
        .arg(directory.path().join("large.wat"));
    command.args(["--ip", "127.0.0.1", "--port", "0", "--hibernate-after", "1", "--max-memory", "256MiB"]);
    let server = Child::of(&mut command);
    let address = server.line(Output::Stderr, "serving on ").parse().expect("an address");
    let client = |room: &str| Client::connect(address, &format!("/ws/{room}")).expect("an upgrade");

    let mut one = client("one");
    assert_eq!(one.ask("hello"), "hello");
    eventually("the room hibernates", || status(address)["hibernating_room_count"] == 1);
    let mut two = client("two");
    assert_eq!(two.ask("!"), "!");
    one.text("hello");
    assert_eq!(one.closed(), 1011);
    let reason = server.line(Output::Stderr, "room \"one\" failed: ");
    assert!(reason.contains("there is not enough memory"), "{reason}");
    assert_eq!(two.ask("hello"), "hello");
}

/// Can hibernate, and notes when it is told to. `!` makes it compute until the gate is open; `.` makes it tick.
struct Hibernating {
    room: String,
    computes: bool,
    notes: Arc<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// The rooms that were told to hibernate, each time.
    hibernations: Mutex<Vec<String>>,
    ticks: AtomicU64,
    gate_is_open: AtomicBool,
}

const TICK: Duration = Duration::from_secs(1);

impl Engine for Hibernating {
    fn begin(&mut self, event: Event<'_>, ctx: &impl EngineContext) {
        match event {
            Event::Message(client, message) => {
                match message.text() {
                    Some("!") => self.computes = true,
                    Some(".") => ctx.set_timer(1_000),
                    _ => {}
                }
                ctx.send_message(client, message);
            }
            Event::Timer => {
                self.notes.ticks.fetch_add(1, Ordering::Relaxed);
                ctx.set_timer(1_000);
            }
            Event::Init | Event::Connect(_) | Event::Disconnect(_) => {}
        }
    }

    fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
        self.computes &= !self.notes.gate_is_open.load(Ordering::Relaxed);
        if self.computes { Progress::Unfinished } else { Progress::Done }
    }

    fn reclaimable(&self) -> usize {
        1
    }

    fn hibernate(&mut self) -> Hibernation {
        assert!(!self.computes, "it is in the middle of an event");
        self.notes.hibernations.lock().expect("nobody panics with it").push(self.room.clone());
        Hibernation::Kept
    }
}

/// Makes such rooms.
#[derive(Clone, Default)]
struct HibernatingRooms(Arc<Notes>);

impl HibernatingRooms {
    /// Returns how often a room was told to hibernate.
    fn hibernations(&self, room: &str) -> usize {
        let hibernations = self.0.hibernations.lock().expect("nobody panics with it");
        hibernations.iter().filter(|name| *name == room).count()
    }

    fn ticks(&self) -> u64 {
        self.0.ticks.load(Ordering::Relaxed)
    }
}

impl EngineFactory for HibernatingRooms {
    type Engine = Hibernating;
    type Error = Infallible;

    fn build(&self, room: &str, _: &impl EngineContext) -> Result<Hibernating, Infallible> {
        Ok(Hibernating { room: room.to_owned(), computes: false, notes: Arc::clone(&self.0) })
    }
}

#[test]
fn a_room_that_is_busy_does_not_hibernate() {
    // Nor does it when there is too much in memory.
    for memory in [1 << 20, 1] {
        let rooms = HibernatingRooms::default();
        let server = TestServer::with_clock(settings().with_awake_memory(memory), rooms.clone());
        let [mut computing, mut waiting, mut ticking, mut idle] =
            ["computing", "computing", "ticking", "idle"].map(|room| server.client(room));
        assert_eq!(computing.ask("!"), "!");
        waiting.text("hello");
        assert_eq!(ticking.ask("."), ".");
        let before = (rooms.hibernations("computing"), rooms.hibernations("ticking"));
        for _ in 0..5 {
            let hibernations = rooms.hibernations("idle");
            assert_eq!(idle.ask("hello"), "hello");
            while rooms.hibernations("idle") == hibernations {
                let ticks = rooms.ticks();
                server.pass(TICK);
                eventually("the clock ticks", || rooms.ticks() > ticks);
            }
        }
        if memory > 1 {
            assert_eq!((rooms.hibernations("computing"), rooms.hibernations("ticking")), before);
        }
        rooms.0.gate_is_open.store(true, Ordering::Relaxed);
        waiting.expect(&["hello"]);
        eventually("all is quiet", || {
            server.pass(AFTER);
            rooms.hibernations("computing") > before.0
        });
    }
}

/// Hibernates in three steps, and counts them.
struct Stepwise {
    steps_left: u8,
    steps: Arc<AtomicU64>,
}

impl Engine for Stepwise {
    fn begin(&mut self, event: Event<'_>, ctx: &impl EngineContext) {
        self.steps_left = 3;
        if let Event::Message(client, message) = event {
            ctx.send_message(client, message);
        }
    }

    fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
        Progress::Done
    }

    fn reclaimable(&self) -> usize {
        self.steps_left.into()
    }

    fn hibernate(&mut self) -> Hibernation {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.steps_left -= 1;
        if self.steps_left > 0 { Hibernation::Unfinished } else { Hibernation::Done }
    }
}

/// Makes such rooms.
#[derive(Clone, Default)]
struct StepwiseRooms(Arc<AtomicU64>);

impl EngineFactory for StepwiseRooms {
    type Engine = Stepwise;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Stepwise, Infallible> {
        Ok(Stepwise { steps_left: 0, steps: Arc::clone(&self.0) })
    }
}

#[test]
fn an_engine_that_hibernates_in_steps_does_all_of_them_after_each_event() {
    let rooms = StepwiseRooms::default();
    let server = serve(rooms.clone());
    let mut client = server.client("attic");
    for _ in 0..2 {
        rooms.0.store(0, Ordering::Relaxed);
        assert_eq!(client.ask("hello"), "hello");
        wait_for_hibernating(&server, 1);
    }
    assert_eq!(rooms.0.load(Ordering::Relaxed), 3);
}

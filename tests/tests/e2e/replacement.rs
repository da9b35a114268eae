//! The program of rooms is replaced while they run.

use std::time::Duration;

use smol::block_on;
use stateroom_host_min::{Limits, Program};
use stateroom_server_smol::{Recordings, RenewedRooms, Server, Upgrade};
use stateroom_tests::{Client, Guest, Message, Module, TestServer, eventually, records, server};

fn memory(bytes: usize) -> Recordings {
    let mut recordings = Recordings::default();
    recordings.memory = bytes;
    recordings
}

/// Returns the settings of a server that records its rooms, whose clients may be silent for as long as they like.
fn settings() -> Server {
    server()
        .with_recordings(memory(1 << 20))
        .with_upgrade(Upgrade::Reset)
        .with_heartbeat_interval(Duration::ZERO)
        .with_heartbeat_timeout(Duration::ZERO)
}

/// Returns the guest that counts, and counts each `!` twice.
fn other() -> Program {
    Module::new()
        .told("(i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))")
        .program()
}

#[track_caller]
fn is(rooms: &RenewedRooms, ids: &[&str]) {
    assert_eq!(
        (rooms.count, &rooms.first[..]),
        (ids.len(), &ids.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
    );
}

#[test]
fn a_room_continues_in_the_state_that_its_events_lead_to_and_its_clients_stay() {
    let server = TestServer::guests(settings(), Module::new().program());
    let (mut one, mut two) = (server.client("room"), server.client("room"));
    let mut idle = server.client("idle");
    idle.ask("a");
    for text in ["a", "!", "b"] {
        assert_eq!(one.ask(text), text);
    }
    assert_eq!(two.ask("?"), "3");
    let before = server.rooms();
    let replacement = server.replace(&other());
    is(&replacement.replayed, &["idle", "room"]);
    assert_eq!((replacement.fresh.count, replacement.kept.count), (0, 0));
    assert_eq!(server.rooms(), before, "ids and all");
    // What the events have sent is not sent again.
    assert!(one.is_quiet() && two.is_quiet());
    assert_eq!((one.ask("?"), two.ask("?"), idle.ask("?")), ("4".into(), "4".into(), "1".into()));
    // The recording goes on: all of it runs in the next version.
    assert_eq!(one.ask("!"), "!");
    assert_eq!(one.ask("?"), "6");
    is(&server.replace(&Module::new().program()).replayed, &["idle", "room"]);
    assert_eq!(two.ask("?"), "4");
    // New rooms have the new program, and new clients new ids.
    let mut three = server.client("room");
    assert_eq!(three.ask("?"), "4");
    assert_eq!(server.rooms()[1], ("room".to_owned(), vec![1, 2, 3]));
}

#[test]
fn a_room_that_hibernates_continues_too() {
    let server = TestServer::guests(
        settings().with_hibernate_after(Duration::from_secs(10)),
        Module::new().memory("17").program(),
    );
    let mut client = server.client("room");
    client.ask("!");
    eventually("the room hibernates", || {
        server.pass(Duration::from_secs(10));
        server.stats().hibernating_rooms == 1
    });
    is(&server.replace(&other()).replayed, &["room"]);
    assert_eq!(client.ask("?"), "2");
}

#[test]
fn a_timer_is_due_when_it_was() {
    let timed = |answer| {
        Module::new()
            .data(answer)
            .told("(call $set_timer (i32.const 1000))")
            .timer("(call $send_message (i32.const 0) (i32.const 64) (i32.const 3))")
            .program()
    };
    let server = TestServer::guests(settings(), timed("one"));
    let mut client = server.client("room");
    client.ask("!");
    server.pass(Duration::from_millis(400));
    client.ask("later");
    is(&server.replace(&timed("two")).replayed, &["room"]);
    server.pass(Duration::from_millis(599));
    assert_eq!(client.ask("so far"), "so far");
    server.pass(Duration::from_millis(1));
    client.expect(&["two"]);
    // One that is overdue by then is due at once; one that has fired is not set again.
    is(&server.replace(&timed("six")).replayed, &["room"]);
    server.pass(Duration::from_secs(10));
    assert_eq!(client.ask("so far"), "so far");
}

/// Returns a guest that greets each client by its name in the query; it fails with `!` if it is the strict one.
fn greeter(is_strict: bool) -> Program {
    let strict = if is_strict { "unreachable" } else { "nop" };
    let module = wat::parse_str(format!(
        r#"(module
            (import "env" "send_message" (func $send (param i32 i32 i32)))
            (import "stateroom" "client_info" (func $client_info (param i32 i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "query:name")
            (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
            (func (export "jam_free") (param i32 i32))
            (func (export "initialize") (param i32 i32))
            (func (export "connect") (param i32)
                (call $send (local.get 0) (i32.const 64)
                    (call $client_info (local.get 0) (i32.const 0) (i32.const 10) (i32.const 64) (i32.const 64))))
            (func (export "disconnect") (param i32))
            (func (export "timer"))
            (func (export "binary") (param i32 i32 i32))
            (func (export "message") (param i32 i32 i32)
                (if (i32.eq (i32.load8_u (local.get 1)) (i32.const 33)) (then {strict}))
                (call $send (local.get 0) (local.get 1) (local.get 2))))"#
    ));
    Program::load(&module.expect("a module"), Limits::default()).expect("a guest")
}

#[test]
fn a_room_whose_events_fail_in_the_new_program_starts_afresh_with_its_clients() {
    let server = TestServer::guests(settings(), greeter(false));
    let join = |name| {
        let mut client: Client = server.client(&format!("strict?name={name}"));
        client.expect(&[name]);
        client
    };
    let (mut ada, gone, mut bob) = (join("Ada"), join("Cy"), join("Bob"));
    gone.leave();
    server.wait_for_clients(2);
    assert_eq!(ada.ask("!"), "!");
    let replacement = server.replace(&greeter(true));
    is(&replacement.fresh, &["strict"]);
    assert_eq!((replacement.replayed.count, replacement.kept.count), (0, 0));
    let said = "it starts afresh: event 6 of its recording (message of client 1) fails in the new module: the guest \
                failed in `message`: ";
    assert!(records("strict").iter().any(|line| line.contains(said)), "{:?}", records("strict"));
    ada.expect(&["Ada"]);
    bob.expect(&["Bob"]);
    assert_eq!(server.rooms(), [("strict".to_owned(), vec![1, 3])]);
    // It is recorded from then on.
    is(&server.replace(&greeter(false)).replayed, &["strict"]);
    assert!(ada.is_quiet());
    // And fails as any other does.
    is(&server.replace(&greeter(true)).replayed, &["strict"]);
    ada.text("!");
    assert_eq!(ada.message(), Message::Close(1011));
}

#[test]
fn all_rooms_start_afresh_where_that_is_wanted() {
    let server = TestServer::guests(settings(), greeter(false));
    let mut client = server.client("room?name=Ada");
    client.expect(&["Ada"]);
    let replacement = block_on(server.handle().reset_rooms()).expect("it runs");
    is(&replacement.fresh, &["room"]);
    client.expect(&["Ada"]);
    assert_eq!(server.rooms(), [("room".to_owned(), vec![1])]);
    assert_eq!(client.ask("on"), "on");
    let again = block_on(server.handle().reset_rooms()).expect("it runs");
    is(&again.fresh, &["room"]);
    // A room that is replaced afterwards has its events again.
    is(&server.replace(&greeter(true)).replayed, &["room"]);
}

#[test]
fn a_room_whose_recording_is_too_long_starts_afresh() {
    let server = TestServer::guests(settings().with_recordings(memory(100_000)), Module::new().program());
    let mut client = server.client("room");
    let text = "x".repeat(10_000);
    for _ in 0..12 {
        assert_eq!(client.ask(&text), text);
    }
    is(&server.replace(&other()).fresh, &["room"]);
    assert_eq!(client.ask("?"), "0");
    // Its recording is whole again.
    client.ask("!");
    is(&server.replace(&Module::new().program()).replayed, &["room"]);
    assert_eq!(client.ask("?"), "1");
}

#[test]
fn a_room_keeps_its_program_where_that_is_wanted_and_its_events_fail_in_the_new_one() {
    let server = TestServer::guests(settings().with_upgrade(Upgrade::Keep), greeter(false));
    let mut client = server.client("kept?name=Ada");
    client.expect(&["Ada"]);
    assert_eq!(client.ask("!"), "!");
    is(&server.replace(&greeter(true)).kept, &["kept"]);
    assert_eq!(client.ask("!"), "!");
    assert!(
        records("kept")
            .join("")
            .contains("it keeps its module: event 3 of its recording (message of client 1) fails")
    );
}

#[test]
fn rooms_that_are_not_recorded_start_afresh_where_that_is_wanted() {
    let server = TestServer::guests(settings().with_recordings(memory(0)), greeter(false));
    let mut client = server.client("room?name=Ada");
    client.expect(&["Ada"]);
    is(&server.replace(&greeter(true)).fresh, &["room"]);
    client.expect(&["Ada"]);
    client.text("!");
    assert_eq!(client.message(), Message::Close(1011));
}

#[test]
fn rooms_that_are_not_recorded_keep_their_program_and_new_ones_have_the_new_one() {
    let settings = settings().with_recordings(memory(0)).with_upgrade(Upgrade::Keep);
    let server = TestServer::guests(settings, Module::new().program());
    let mut old = server.client("old");
    old.ask("!");
    is(&server.replace(&other()).kept, &["old"]);
    let mut new = server.client("new");
    assert_eq!((new.ask("!"), new.ask("?")), ("!".into(), "2".into()));
    assert_eq!((old.ask("!"), old.ask("?")), ("!".into(), "2".into()), "each counts once");
}

#[test]
fn five_of_many_rooms_are_named() {
    let server = TestServer::guests(settings().with_threads(3), Module::new().program());
    let clients: Vec<_> = (0..12).map(|room| server.client(&room.to_string())).collect();
    server.wait_for_clients(12);
    let replacement = server.replace(&other());
    assert_eq!((replacement.replayed.count, replacement.replayed.first.len()), (12, 5));
    drop(clients);
}

/// Returns a guest that adds up numbers, and saves the sum in this format; `fields` are further fields of its state.
fn adder(name: &str, save: &str, fields: &str) -> Program {
    let source = format!(
        "#![no_std]
        extern crate alloc;
        use serde::{{Deserialize, Serialize}};
        use stateroom_sdk_core::*;

        #[stateroom_wasm(save = \"{save}\")]
        #[derive(Default, Deserialize, Serialize)]
        struct Sum {{ sum: i64, {fields} }}

        impl StateroomService for Sum {{
            fn init(&mut self, ctx: &impl StateroomContext) {{
                ctx.set_timer(60_000);
            }}

            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {{
                self.sum += message.text().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
                ctx.send_message(client, text!(\"{{}}\", self.sum));
            }}
        }}"
    );
    let dependencies =
        "serde = { version = \"1\", default-features = false, features = [\"alloc\", \"derive\"] }
        stateroom-sdk-core = { workspace = true, features = [\"alloc\", \"json\", \"postcard\"] }";
    Guest::new(name, "", &source).with_dependencies(dependencies).program()
}

#[test]
fn guests_take_the_state_along_that_serde_writes() {
    for (format, more, other) in [
        ("json", "#[serde(default)] names: alloc::vec::Vec<alloc::string::String>", "names: bool"),
        ("postcard", "", "is_named: bool"),
    ] {
        let server = TestServer::guests(settings(), adder(&format!("sum-{format}"), format, ""));
        let room = format!("sum-in-{format}");
        let mut client = server.client(&room);
        assert_eq!((client.ask("3"), client.ask("4")), ("3".into(), "7".into()));
        let newer = adder(&format!("newer-sum-{format}"), format, more);
        // Where postcard has the same fields, it is the same module, but for its name.
        let replacement = server.replace(&newer);
        assert_eq!(replacement.loaded.count, usize::from(!more.is_empty()), "{replacement}");
        assert_eq!(client.ask("1"), "8");
        let wrong = adder(&format!("other-sum-{format}"), format, other);
        is(&server.replace(&wrong).kept, &[&room]);
        assert_eq!(client.ask("1"), "9");
        let said = records(&room).join("\n");
        assert!(said.contains("it keeps its module: its state cannot be loaded: "), "{said}");
        // A new room has it.
        assert_eq!(server.client("new").ask("2"), "2");
    }
}

#[test]
fn a_room_keeps_its_program_where_there_is_no_memory_for_a_copy_and_no_other_room_ends_for_it() {
    let large = |mark: &str| {
        let module = wat::parse_str(format!(
            r#"(module
                (import "env" "send_message" (func $send (param i32 i32 i32)))
                (import "stateroom" "save" (func $save (param i32 i32)))
                (memory (export "memory") 28)
                (data (i32.const 0) "{mark}")
                (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
                (func (export "jam_free") (param i32 i32))
                (func (export "initialize") (param i32 i32))
                (func (export "connect") (param i32)) (func (export "disconnect") (param i32))
                (func (export "timer"))
                (func (export "binary") (param i32 i32 i32))
                (func (export "message") (param i32 i32 i32)
                    (memory.fill (i32.const 65536) (i32.const 7) (i32.const 1769472))
                    (call $send (local.get 0) (i32.const 0) (i32.const 1)))
                (func (export "stateroom_save") (call $save (i32.const 0) (i32.const 1)))
                (func (export "stateroom_load") (param i32 i32)))"#
        ));
        let mut limits = Limits::default();
        limits.memory = 4 << 20;
        Program::load(&module.expect("a module"), limits).expect("a guest")
    };
    let settings = settings().with_recordings(memory(0)).with_total_memory(8 << 20);
    let server = TestServer::guests(settings, large("a"));
    let mut client = server.client("full");
    assert_eq!(client.ask("fill"), "a");
    assert!(server.post("/ws/empty").body.starts_with(b"empty"));
    let before = server.stats();
    // The room `empty` is renewed first, and has changed nothing.
    let replacement = server.replace(&large("b"));
    assert_eq!((replacement.kept.first, replacement.kept.count), (vec!["full".to_owned()], 1));
    assert_eq!((client.ask("fill"), server.stats().rooms), ("a".to_owned(), before.rooms));
    assert!(records("full").join("").contains("keeps its module: there is no memory for its new version"));
}

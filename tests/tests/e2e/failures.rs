//! A room that fails takes its own clients down and nothing else.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use stateroom_sdk_core::{
    ClientId, MessagePayload, StateroomContext, StateroomService, StateroomServiceFactory,
};
use stateroom_server_smol::Server;
use stateroom_tests::{
    Client, Module, TestServer, eventually, records, records_with, server, services::script,
};

/// A client of another room, which asks and is answered all the while.
pub(crate) struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Bystander {
    pub(crate) fn watch(server: &TestServer) -> Self {
        let mut client = server.client("bystander");
        assert_eq!(client.ask("before"), "before");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for count in 0_u64.. {
                // One question more than it takes to be told.
                let last = stopped.load(Ordering::Acquire);
                let text = count.to_string();
                assert_eq!(client.ask(&text), text);
                if last {
                    break;
                }
            }
        });
        Self { stop, thread }
    }

    #[track_caller]
    pub(crate) fn noticed_nothing(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("every question is answered");
    }
}

/// Checks that the log has one line about the end of a room, with `why` in it.
#[track_caller]
pub(crate) fn log_says(room: &str, why: &str) {
    let lines = records(room);
    let failures: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR")).collect();
    assert_eq!(failures.len(), 1, "{lines:#?}");
    assert!(failures[0].contains(why), "{}", failures[0]);
}

/// Makes the module fail with a text that begins with `!`: `room`, which no other test has, must end and begin
/// afresh.
#[track_caller]
fn a_message_ends_the_room(room: &str, why: &str, module: Module) {
    let server = TestServer::new(module.program());
    let bystander = Bystander::watch(&server);
    let (mut one, mut two) = (server.client(room), server.client(room));
    assert_eq!(one.ask("some"), "some");
    assert_eq!(two.ask("state"), "state");
    assert_eq!(two.ask("?"), "2");
    one.text("!");
    // Nothing of what the event did before it failed.
    assert_eq!(one.closed(), 1011);
    assert_eq!(two.closed(), 1011);
    log_says(room, why);
    let mut three = server.client(room);
    assert_eq!(three.ask("?"), "0");
    assert!(server.rooms().contains(&(room.to_owned(), vec![1])));
    bystander.noticed_nothing();
}

/// Sends something to everyone and sets a timer, of which nothing must come.
macro_rules! effects {
    () => {
        "(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))
         (call $send_binary (local.get $client) (i32.const 0) (i32.const 5))
         (call $set_timer (i32.const 1))"
    };
}

#[test]
fn a_trap_ends_the_room() {
    let module = Module::new().told(concat!(effects!(), "unreachable"));
    a_message_ends_the_room("unreachable", "unreachable", module.timer("unreachable"));
}

#[test]
fn an_endless_loop_ends_the_room() {
    let module = Module::new().told(concat!(effects!(), "(loop $again (br $again))"));
    a_message_ends_the_room("endless", "fuel", module.limits(|limits| limits.fuel = 20_000_000));
}

#[test]
fn an_endless_loop_is_warned_of_once_before_it_ends_the_room() {
    let module = Module::new().told("(loop $again (br $again))");
    let server = TestServer::new(module.limits(|limits| limits.fuel = 800_000_000).program());
    let mut client = server.client("busy");
    client.text("!");
    assert_eq!(client.closed(), 1011);
    let lines = records("busy");
    let [warning, failure] = &lines[..] else { panic!("{lines:#?}") };
    assert!(warning.starts_with("WARN") && warning.contains("`message` still runs"), "{warning}");
    assert!(failure.starts_with("ERROR"), "{failure}");
}

/// Returns what a client is told as its room fails with a panic of these words.
fn told(server: Server, words: &'static str) -> (u16, String) {
    let server = TestServer::with(server, Panics(words));
    let mut client = server.client("room");
    client.text("!");
    let (code, reason) = client.closed_because();
    (code, reason.to_owned())
}

/// Makes services that panic when they hear something.
struct Panics(&'static str);

impl StateroomServiceFactory for Panics {
    type Service = Self;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl StateroomContext) -> Result<Self, Infallible> {
        Ok(Self(self.0))
    }
}

impl StateroomService for Panics {
    fn message(&mut self, _: ClientId, _: MessagePayload<'_>, _: &impl StateroomContext) {
        panic!("{}", self.0);
    }
}

#[test]
fn clients_are_told_why_their_room_failed_only_if_that_is_wanted() {
    let words = "é".repeat(100).leak();
    assert_eq!(told(server(), words), (1011, "the room failed".into()));
    let show = || server().with_show_failures(true);
    assert_eq!(told(show(), "as told"), (1011, "the service panicked: as told".into()));
    // 123 bytes fit, and no half of a character is sent.
    assert_eq!(told(show(), words), (1011, format!("the service panicked: {}", "é".repeat(50))));
}

#[test]
fn the_limit_on_messages_is_told_and_logged_only_if_that_is_wanted() {
    let too_large = |server: Server, room: &str| {
        let server = TestServer::with(server.with_message_size(100), script());
        let mut client = server.client(room);
        client.text(&"x".repeat(101));
        let (code, reason) = client.closed_because();
        (code, reason.to_owned(), records(room).into_iter().filter(|line| line.starts_with("WARN")).collect())
    };
    let untold = (1009, "the message is too large".to_owned(), Vec::<String>::new());
    assert_eq!(too_large(server(), "large-untold"), untold);
    let (code, reason, lines) = too_large(server().with_show_failures(true), "large-told");
    let told = "the message is too large: 100 bytes are the limit (`--max-message-size`)";
    assert_eq!((code, &*reason, lines.len()), (1009, told, 1));
    assert!(lines[0].contains(&format!("client 1 is closed: {told}")), "{lines:#?}");
}

#[test]
fn an_endless_recursion_ends_the_room() {
    // `memory.fill` and calls both have limits; this is a call that never returns.
    let module = Module::new().told(concat!(effects!(), "(call $recurse)"));
    a_message_ends_the_room("recursion", "stack is full", module.limits(|limits| limits.call_depth = 200));
}

#[test]
fn an_access_outside_the_memory_ends_the_room() {
    let module = Module::new().told(concat!(effects!(), "(i32.store (i32.const -4) (i32.const 0))"));
    a_message_ends_the_room("outside", "memory", module);
}

#[test]
fn a_division_by_zero_ends_the_room() {
    let module = Module::new().told(concat!(effects!(), "(drop (i32.div_u (i32.const 1) (i32.const 0)))"));
    a_message_ends_the_room("division", "zero", module);
}

#[test]
fn sending_text_from_outside_the_memory_ends_the_room() {
    let module = Module::new()
        .told(concat!(effects!(), "(call $send_message (i32.const 0) (i32.const -1) (i32.const 10))"));
    a_message_ends_the_room("foreign-text", "at address 4294967295", module);
}

#[test]
fn sending_bytes_across_the_end_of_the_memory_ends_the_room() {
    let module = Module::new()
        .told(concat!(effects!(), "(call $send_binary (i32.const 1) (i32.const 131070) (i32.const 3))"));
    a_message_ends_the_room("foreign-bytes", "3 bytes at address 131070", module);
}

#[test]
fn a_length_beyond_all_memory_ends_the_room() {
    let module = Module::new()
        .told(concat!(effects!(), "(call $send_binary (i32.const 1) (i32.const 1) (i32.const -1))"));
    a_message_ends_the_room("foreign-length", "4294967295 bytes at address 1", module);
}

#[test]
fn text_that_is_not_utf8_ends_the_room() {
    let module = Module::new()
        .data(r"\ff\fe")
        .told(concat!(effects!(), "(call $send_message (i32.const 0) (i32.const 64) (i32.const 2))"));
    a_message_ends_the_room("not-text", "UTF-8", module);
}

#[test]
fn too_large_a_message_ends_the_room() {
    let module = Module::new()
        .told(concat!(effects!(), "(call $send_binary (i32.const 0) (i32.const 0) (i32.const 1001))"));
    let module = module.limits(|limits| limits.effect_bytes = 1_000);
    a_message_ends_the_room("too-large", "more than 1000 bytes in one event", module);
}

#[test]
fn too_many_messages_end_the_room() {
    let module = Module::new()
        .told("(loop $again (call $send_message (i32.const 0) (i32.const 0) (i32.const 5)) (br $again))");
    a_message_ends_the_room("too-many", "100 effects", module.limits(|limits| limits.effects = 100));
}

#[test]
fn too_many_bytes_end_the_room() {
    let module = Module::new()
        .told("(loop $again (call $send_binary (i32.const 0) (i32.const 0) (i32.const 1000)) (br $again))");
    a_message_ends_the_room("too-much", "10000 bytes", module.limits(|limits| limits.effect_bytes = 10_000));
}

#[test]
fn a_trap_in_jam_malloc_ends_the_room() {
    let module = Module::new().malloc(
        "(if (i32.eq (local.get $size) (i32.const 1)) (then
            (if (i32.load8_u (i32.const 64)) (then unreachable))))
         (i32.const 4096)",
    );
    // The next message of one byte after a `!` is one too many.
    let server = TestServer::new(module.told("(i32.store8 (i32.const 64) (i32.const 1))").program());
    let bystander = Bystander::watch(&server);
    let mut client = server.client("malloc");
    assert_eq!(client.ask("!!"), "!!");
    client.text("x");
    assert_eq!(client.closed(), 1011);
    log_says("malloc", "`jam_malloc`");
    assert_eq!(server.client("malloc").ask("x"), "x");
    bystander.noticed_nothing();
}

#[test]
fn a_trap_in_jam_free_ends_the_room_and_undoes_the_event() {
    let module = Module::new()
        .told("(i32.store8 (i32.const 64) (i32.const 1))")
        .free("(if (i32.load8_u (i32.const 64)) (then unreachable))");
    a_message_ends_the_room("free", "`jam_free`", module);
}

#[test]
fn memory_beyond_the_limit_is_denied_and_the_room_lives_on() {
    // Says `n` where it gets no more, and `y` where it does.
    let module = Module::new().told(
        "(i32.store8 (i32.const 64) (select (i32.const 110) (i32.const 121)
            (i32.eq (memory.grow (i32.sub (i32.load8_u offset=1 (local.get $at)) (i32.const 48))) (i32.const -1))))
         (call $send_message (local.get $client) (i32.const 64) (i32.const 1))",
    );
    let server = TestServer::new(module.limits(|limits| limits.memory = 4 << 16).program());
    let mut client = server.client("growth");
    for (ask, answer) in [("!3", "n"), ("!1", "y"), ("!2", "n"), ("!1", "y"), ("!1", "n"), ("!9", "n")] {
        client.text(ask);
        client.expect(&[answer, ask]);
    }
    assert_eq!(records("growth"), [""; 0]);
}

#[test]
fn memory_that_was_denied_cannot_be_used() {
    let module = Module::new().told(
        "(drop (memory.grow (i32.const 1000)))
         (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))
         (i32.store (i32.const 1000000) (i32.const 1))",
    );
    a_message_ends_the_room("denied", "memory", module.limits(|limits| limits.memory = 1 << 18));
}

#[test]
fn a_message_that_the_guest_has_no_room_for_is_refused_alone() {
    let module = Module::new().malloc(
        "(if (result i32) (i32.gt_u (local.get $size) (i32.const 10)) (then (i32.const -1)) (else (i32.const 4096)))",
    );
    let server = TestServer::new(module.program());
    let (mut one, mut two) = (server.client("cramped"), server.client("cramped"));
    assert_eq!(one.ask("some"), "some");
    assert_eq!(two.ask("state"), "state");
    one.text("too much for this guest");
    assert_eq!(one.closed(), 1009);
    assert_eq!(two.ask("?"), "2");
    let mut three = server.client("cramped");
    assert_eq!(three.ask("?"), "2");
    three.binary(&[0; 11]);
    assert_eq!(three.closed(), 1009);
    assert_eq!(two.ask("?"), "2");
    assert_eq!(records("cramped"), [""; 0]);
}

#[test]
fn a_place_outside_the_memory_for_a_message_is_no_place() {
    // The last byte of the message would be one too far.
    let module = Module::new().malloc(
        "(if (result i32) (i32.gt_u (local.get $size) (i32.const 10))
            (then (i32.sub (i32.const 131073) (local.get $size))) (else (i32.const 4096)))",
    );
    let server = TestServer::new(module.program());
    let (mut one, mut two) = (server.client("edge"), server.client("edge"));
    one.text("eleven byte");
    assert_eq!(one.closed(), 1009);
    assert_eq!(two.ask("?"), "0");
}

#[test]
fn a_trap_in_initialize_leaves_no_room() {
    // Rooms whose id begins with `!` fail.
    let module = Module::new()
        .initialize("(if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)) (then unreachable))");
    let server = TestServer::new(module.program());
    let bystander = Bystander::watch(&server);
    for count in 1..=3 {
        assert_eq!(server.client("!stillborn").closed(), 1011);
        let lines = records("!stillborn");
        assert_eq!(lines.len(), count, "{lines:#?}");
        assert!(lines[count - 1].contains("`initialize`: "), "{lines:#?}");
    }
    assert_eq!(server.post("/ws/!stillborn").status, 500);
    assert_eq!(server.status()["room_count"], 1);
    bystander.noticed_nothing();
}

#[test]
fn a_guest_without_room_for_the_id_leaves_no_room() {
    let module = Module::new().malloc(
        "(if (result i32) (i32.gt_u (local.get $size) (i32.const 50)) (then (i32.const -1)) (else (i32.const 4096)))",
    );
    let server = TestServer::new(module.program());
    let room = format!("nameless{}", "x".repeat(50));
    assert_eq!(server.client(&room).closed(), 1011);
    log_says(&room, "no space for an event with 58 bytes");
    assert_eq!(server.client("short").ask("hello"), "hello");
}

#[test]
fn a_trap_in_connect_ends_the_room() {
    let module = Module::new().connect(
        "(if (i32.eq (local.get $client) (i32.const 2)) (then
            (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))
            unreachable))",
    );
    let server = TestServer::new(module.program());
    let bystander = Bystander::watch(&server);
    let mut one = server.client("unwelcoming");
    assert_eq!(one.ask("some"), "some");
    let mut two = server.client("unwelcoming");
    assert_eq!(two.closed(), 1011);
    assert_eq!(one.closed(), 1011);
    log_says("unwelcoming", "`connect`");
    assert_eq!(server.client("unwelcoming").ask("?"), "0");
    bystander.noticed_nothing();
}

#[test]
fn a_trap_in_disconnect_ends_the_room() {
    let module = Module::new().disconnect(
        "(if (i32.eq (local.get $client) (i32.const 2)) (then
            (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))
            unreachable))",
    );
    let server = TestServer::new(module.program());
    let bystander = Bystander::watch(&server);
    let (mut one, two) = (server.client("clingy"), server.client("clingy"));
    assert_eq!(one.ask("some"), "some");
    two.leave();
    assert_eq!(one.closed(), 1011);
    log_says("clingy", "`disconnect`");
    assert_eq!(server.client("clingy").ask("?"), "0");
    bystander.noticed_nothing();
}

#[test]
fn a_trap_in_timer_ends_the_room() {
    let module = Module::new().told("(call $set_timer (i32.const 5))").timer(
        "(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))
         (call $set_timer (i32.const 1))
         unreachable",
    );
    let server = TestServer::new(module.program());
    let bystander = Bystander::watch(&server);
    let mut client = server.client("ticking");
    assert_eq!(client.ask("!"), "!");
    assert_eq!(client.closed(), 1011);
    log_says("ticking", "`timer`");
    assert_eq!(server.client("ticking").ask("?"), "0");
    bystander.noticed_nothing();
}

#[test]
fn a_room_that_fails_with_nobody_there_begins_afresh() {
    let module = Module::new().told("(call $set_timer (i32.const 5))").timer("unreachable");
    let server = TestServer::new(module.program());
    let mut client = server.client("lonely");
    assert_eq!(client.ask("!"), "!");
    client.hang_up();
    server.wait_for_rooms(0);
    log_says("lonely", "`timer`");
    assert_eq!(server.client("lonely").ask("?"), "0");
}

#[test]
fn messages_that_wait_for_a_room_that_fails_end_with_it() {
    let module = Module::new().told("(loop $again (br $again))").limits(|limits| limits.fuel = 20_000_000);
    let server = TestServer::new(module.program());
    let mut clients: Vec<Client> = (0..10).map(|_| server.client("doomed")).collect();
    for client in &mut clients {
        client.text("!");
        client.text("never to be heard");
    }
    for mut client in clients {
        assert_eq!(client.closed(), 1011);
    }
    log_says("doomed", "fuel");
    assert_eq!(server.client("doomed").ask("?"), "0");
}

#[test]
fn the_log_says_how_many_lines_were_dropped_though_the_room_is_silent_then() {
    let server = TestServer::with_clock(server(), script());
    let mut client = server.client("talkative-once");
    for _ in 0..150 {
        client.text("log a line");
    }
    assert_eq!(client.ask("done?"), "done?");
    assert!(records("talkative-once").iter().all(|line| !line.contains("dropped")));
    eventually("the dropped lines are reported", || {
        server.pass(Duration::from_millis(100));
        records("talkative-once").iter().any(|line| line.contains("50 log lines were dropped"))
    });
}

#[test]
fn the_log_says_which_limit_clients_were_refused_for_once_a_minute() {
    let server = TestServer::with_clock(server().with_max_connections_per_address(Some(1)), script());
    let _first = server.client("room");
    let refused = || server.connect("/ws/room").is_err();
    let reports = || records_with("`--max-connections-per-address`");
    assert!(refused() && refused());
    eventually("the refusals are reported", || {
        server.pass(Duration::from_millis(100));
        !reports().is_empty()
    });
    assert!(refused());
    server.pass(Duration::from_secs(30));
    assert!(refused());
    assert_eq!(reports().len(), 1);
    eventually("further refusals are reported", || {
        server.pass(Duration::from_secs(10));
        reports().len() > 1
    });
}

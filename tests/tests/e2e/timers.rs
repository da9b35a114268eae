//! A room's timer.

use std::time::{Duration, Instant};

use stateroom_tests::{
    Module, TestServer, eventually, guest, records,
    services::{script, script_guest},
};

fn scripts() -> [TestServer; 2] {
    [TestServer::new(script()), TestServer::new(script_guest())]
}

#[test]
fn a_timer_is_due_once_and_not_too_early() {
    for server in scripts() {
        let mut client = server.client("room");
        let begin = Instant::now();
        client.text("timer 100");
        client.expect(&["timer 1"]);
        assert!(begin.elapsed() >= Duration::from_millis(100));
        // Were it due again by itself, the count would be higher once the next one is.
        client.text("timer 250");
        client.expect(&["timer 2"]);
        assert_eq!(client.ask("fired"), "2");
    }
}

#[test]
fn a_new_timer_replaces_the_old_one() {
    for server in scripts() {
        let mut client = server.client("room");
        let begin = Instant::now();
        client.text("timer 100000");
        client.text("timer 20");
        client.expect(&["timer 1"]);
        assert!(begin.elapsed() < Duration::from_secs(10));
        // The other way round: the first one must not be due at its time.
        let begin = Instant::now();
        client.text("timer 50");
        client.text("timer 150");
        client.expect(&["timer 2"]);
        assert!(begin.elapsed() >= Duration::from_millis(150));
        assert_eq!(client.ask("fired"), "2");
    }
}

#[test]
fn zero_cancels_the_timer() {
    for server in scripts() {
        let mut client = server.client("room");
        let mut other = server.client("other");
        client.text("timer 50");
        client.text("timer 0");
        // By then the cancelled one would have been due.
        assert_eq!(client.ask("fired"), "0");
        other.text("timer 150");
        other.expect(&["timer 1"]);
        assert_eq!(client.ask("fired"), "0");
        // To cancel nothing is nothing, and a cancelled timer can be set again.
        client.text("timer 0");
        client.text("timer 1");
        client.expect(&["timer 1"]);
    }
}

#[test]
fn of_several_requests_in_one_event_the_last_one_counts() {
    let server = TestServer::new(
        Module::new()
            .told(
                "(call $set_timer (i32.const 100000)) (call $set_timer (i32.const 0)) (call $set_timer (i32.const 5))",
            )
            .timer("(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .program(),
    );
    let mut client = server.client("room");
    client.text("!");
    client.expect(&["!", "hello"]);
    let server = TestServer::new(
        Module::new()
            .told("(call $set_timer (i32.const 1)) (call $set_timer (i32.const 0))")
            .connect(
                "(if (i32.eq (local.get $client) (i32.const 2)) (then (call $set_timer (i32.const 50))))",
            )
            .timer("(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .program(),
    );
    let mut client = server.client("room");
    assert_eq!(client.ask("!"), "!");
    let _second = server.client("room");
    client.expect(&["hello"]);
    assert_eq!(client.ask("just once"), "just once");
}

#[test]
fn a_timer_is_due_with_nobody_there() {
    for (server, room) in scripts().into_iter().zip(["deserted", "forsaken"]) {
        let mut client = server.client(room);
        client.text("timer 200");
        client.leave();
        server.await_clients(0);
        let due = || records(room).iter().any(|line| line.contains("the timer was due"));
        assert!(!due(), "this test needs a moment with nobody there");
        eventually("the timer is due", due);
        assert_eq!(server.client(room).ask("fired"), "1");
    }
}

#[test]
fn rooms_have_timers_of_their_own() {
    for server in scripts() {
        let (mut one, mut two) = (server.client("one"), server.client("two"));
        one.text("timer 60");
        two.text("timer 120");
        two.text("timer 30");
        assert_eq!(two.next_text(), "timer 1");
        one.expect(&["timer 1"]);
        two.text("timer 20");
        one.text("timer 0");
        two.expect(&["timer 2"]);
        assert_eq!(one.ask("fired"), "1");
    }
}

#[test]
fn a_timer_may_set_itself_again() {
    let server = TestServer::new(
        Module::new()
            .connect("(call $set_timer (i32.const 1))")
            .timer("(call $set_timer (i32.const 1)) (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .program(),
    );
    let mut client = server.client("room");
    client.expect(&["hello"; 20]);
}

#[test]
fn a_timer_may_be_set_before_anyone_has_come() {
    let server = TestServer::new(
        Module::new()
            .initialize("(call $set_timer (i32.const 1))")
            .timer("(i32.store8 (i32.const 16) (i32.const 116))")
            .program(),
    );
    assert_eq!(server.post("/ws/early").status, 201);
    let mut client = server.client("early");
    eventually("the timer is due", || client.ask("?") == "t");
}

#[test]
fn the_longest_timer_is_just_a_long_one() {
    for server in scripts() {
        let mut client = server.client("room");
        client.text("timer 4294967295");
        assert_eq!(client.ask("fired"), "0");
        client.text("timer 1");
        client.expect(&["timer 1"]);
    }
}

#[test]
fn the_clock_ticks_while_somebody_listens() {
    let server = TestServer::new(guest("clock"));
    let mut client = server.client("room");
    let begin = Instant::now();
    client.expect(&["1", "2"]);
    assert!(begin.elapsed() >= Duration::from_millis(1_900));
    client.leave();
    server.await_clients(0);
    let mut client = server.client("room");
    let begin = Instant::now();
    client.expect(&["3"]);
    // It stood still, and began a whole second anew.
    assert!(begin.elapsed() >= Duration::from_millis(900));
}

#[test]
fn a_timer_that_is_due_during_an_event_which_replaces_or_cancels_it_does_not_fire() {
    // Each event computes for longer than the timer of the one before has: `s` sets 1 ms, `c` cancels, `r` asks for
    // 200 ms; when it fires the room says `T`.
    let module = Module::new()
        .told(
            "(if (i32.eq (i32.load8_u offset=1 (local.get $at)) (i32.const 115))
                (then (call $set_timer (i32.const 1)))
                (else
                    (loop $again
                        (br_if $again
                            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20000000))))
                    (call $set_timer
                        (select (i32.const 0) (i32.const 200)
                            (i32.eq (i32.load8_u offset=1 (local.get $at)) (i32.const 99))))))",
        )
        .timer("(i32.store8 (i32.const 64) (i32.const 84)) (call $send_message (i32.const 0) (i32.const 64) (i32.const 1))");
    let server = TestServer::new(module.program());
    let mut client = server.client("room");
    for text in ["!s", "!c"] {
        client.text(text);
    }
    client.expect(&["!s", "!c"]);
    assert_eq!(client.ask("still"), "still", "it was cancelled");
    for text in ["!s", "!r"] {
        client.text(text);
    }
    client.expect(&["!s", "!r", "T"]);
    assert_eq!(client.ask("once"), "once", "it was replaced");
}

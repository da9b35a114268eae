//! A room's timer.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use stateroom_sdk_core::engine::{Engine, EngineContext, EngineFactory, Event, Progress};
use stateroom_server_smol::VirtualClock;
use stateroom_tests::{
    Client, Module, TestServer, eventually, guest, records, server,
    services::{Gate, script, script_guest},
};

/// Returns a server whose clients may be silent for as long as they like.
fn serve(factory: impl EngineFactory) -> TestServer {
    let settings = server().with_heartbeat_interval(Duration::ZERO).with_heartbeat_timeout(Duration::ZERO);
    TestServer::with_clock(settings, factory)
}

fn scripts() -> [TestServer; 2] {
    [serve(script()), serve(script_guest())]
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Sends commands, and waits until they have been carried out.
#[track_caller]
fn tell(client: &mut Client, commands: &[&str]) {
    commands.iter().for_each(|command| client.text(command));
    assert_eq!(client.ask("and then?"), "and then?");
}

#[test]
fn a_timer_is_due_once_and_not_too_early() {
    for server in scripts() {
        let mut client = server.client("room");
        tell(&mut client, &["timer 100"]);
        server.pass(ms(99));
        assert_eq!(client.ask("fired"), "0");
        server.pass(ms(1));
        client.expect(&["timer 1"]);
        tell(&mut client, &["timer 250"]);
        server.pass(ms(249));
        assert_eq!(client.ask("fired"), "1");
        server.pass(ms(1));
        client.expect(&["timer 2"]);
        server.pass(ms(1_000));
        assert_eq!(client.ask("fired"), "2");
    }
}

#[test]
fn a_new_timer_replaces_the_old_one() {
    for server in scripts() {
        let mut client = server.client("room");
        tell(&mut client, &["timer 1000", "timer 20"]);
        server.pass(ms(20));
        client.expect(&["timer 1"]);
        // The other way round: the first one must not be due at its time.
        tell(&mut client, &["timer 50", "timer 150"]);
        server.pass(ms(50));
        assert_eq!(client.ask("fired"), "1");
        server.pass(ms(100));
        client.expect(&["timer 2"]);
        server.pass(ms(1_000));
        assert_eq!(client.ask("fired"), "2");
    }
}

#[test]
fn zero_cancels_the_timer() {
    for server in scripts() {
        let mut client = server.client("room");
        let mut other = server.client("other");
        tell(&mut client, &["timer 50", "timer 0"]);
        tell(&mut other, &["timer 50"]);
        server.pass(ms(50));
        other.expect(&["timer 1"]);
        assert_eq!(client.ask("fired"), "0");
        // To cancel nothing is nothing, and a cancelled timer can be set again.
        tell(&mut client, &["timer 0", "timer 1"]);
        server.pass(ms(1));
        client.expect(&["timer 1"]);
    }
}

#[test]
fn of_several_requests_in_one_event_the_last_one_counts() {
    let server = serve(
        Module::new()
            .told(
                "(call $set_timer (i32.const 100000)) (call $set_timer (i32.const 0)) (call $set_timer (i32.const 5))",
            )
            .timer("(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .program(),
    );
    let mut client = server.client("room");
    assert_eq!(client.ask("!"), "!");
    server.pass(ms(5));
    client.expect(&["hello"]);
    let server = serve(
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
    server.pass(ms(1));
    assert_eq!(client.ask("none"), "none");
    let mut second = server.client("room");
    assert_eq!(second.ask("here"), "here");
    server.pass(ms(50));
    client.expect(&["hello"]);
    assert_eq!(client.ask("just once"), "just once");
}

#[test]
fn a_timer_is_due_with_nobody_there() {
    for (server, room) in scripts().into_iter().zip(["deserted", "forsaken"]) {
        let mut client = server.client(room);
        client.text("timer 200");
        client.leave();
        server.wait_for_clients(0);
        let due = || records(room).iter().any(|line| line.contains("the timer was due"));
        assert!(!due());
        server.pass(ms(200));
        eventually("the timer is due", due);
        assert_eq!(server.client(room).ask("fired"), "1");
    }
}

#[test]
fn rooms_have_timers_of_their_own() {
    for server in scripts() {
        let (mut one, mut two) = (server.client("one"), server.client("two"));
        tell(&mut one, &["timer 60"]);
        tell(&mut two, &["timer 120", "timer 30"]);
        server.pass(ms(30));
        two.expect(&["timer 1"]);
        assert_eq!(one.ask("fired"), "0");
        server.pass(ms(30));
        one.expect(&["timer 1"]);
        tell(&mut two, &["timer 20"]);
        tell(&mut one, &["timer 0"]);
        server.pass(ms(20));
        two.expect(&["timer 2"]);
        assert_eq!(one.ask("fired"), "1");
    }
}

#[test]
fn a_timer_may_set_itself_again() {
    let server = serve(
        Module::new()
            .connect("(call $set_timer (i32.const 1))")
            .timer("(call $set_timer (i32.const 1)) (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .program(),
    );
    let mut client = server.client("room");
    assert_eq!(client.ask("here"), "here");
    for _ in 0..20 {
        server.pass(ms(1));
        client.expect(&["hello"]);
    }
}

#[test]
fn a_timer_may_be_set_before_anyone_has_come() {
    let server = serve(
        Module::new()
            .initialize("(call $set_timer (i32.const 1))")
            .timer("(i32.store8 (i32.const 16) (i32.const 116))")
            .program(),
    );
    assert_eq!(server.post("/ws/early").status, 201);
    server.pass(ms(1));
    let mut client = server.client("early");
    eventually("the timer is due", || client.ask("?") == "t");
}

#[test]
fn the_longest_timer_is_just_a_long_one() {
    for server in scripts() {
        let mut client = server.client("room");
        tell(&mut client, &["timer 4294967295"]);
        // Forty-nine days and a bit.
        server.pass(ms(u64::from(u32::MAX) - 1));
        assert_eq!(client.ask("fired"), "0");
        server.pass(ms(1));
        client.expect(&["timer 1"]);
    }
}

#[test]
fn the_clock_ticks_while_somebody_listens() {
    let server = serve(guest("clock"));
    let mut client = server.client("room");
    server.wait_for_clients(1);
    for second in ["1", "2"] {
        server.pass(ms(1_000));
        client.expect(&[second]);
    }
    client.leave();
    server.wait_for_clients(0);
    server.pass(ms(10_000));
    let mut client = server.client("room");
    server.wait_for_clients(1);
    // It stood still, and begins a whole second anew.
    server.pass(ms(999));
    assert_eq!(server.stats().clients, 1);
    assert!(client.is_quiet());
    server.pass(ms(1));
    client.expect(&["3"]);
}

#[test]
fn a_timer_that_is_due_during_an_event_which_replaces_or_cancels_it_does_not_fire() {
    for (event, replaced) in [("!0", false), ("!200", true)] {
        let gate = Gate::default();
        let server = serve(gate.clone());
        let (mut client, mut other) = (server.client("room"), server.client("other"));
        assert_eq!(client.ask("1"), "1");
        assert_eq!(other.ask("1"), "1");
        client.text(event);
        gate.wait_for_computing(1);
        server.pass(ms(1));
        other.expect(&["timer"]);
        gate.open();
        client.expect(&[event]);
        // The new one counts from the begin of the event.
        server.pass(ms(198));
        assert_eq!(client.ask("not now"), "not now");
        server.pass(ms(1));
        if replaced {
            client.expect(&["timer"]);
        }
        assert_eq!(client.ask("no more"), "no more");
    }
}

/// A room whose events take time: they move the clock, and end in a later pass. It sets its timer when a client connects, and again
/// in each event of the timer. It echoes messages at once.
struct Periodic {
    rooms: PeriodicRooms,
    state: State,
}

enum State {
    Idle,
    /// An event has begun, and the clock has not moved.
    Began,
    /// The clock has moved since this time, but the server may not have looked at it.
    Moved(u64),
}

/// Makes such rooms.
#[derive(Clone)]
struct PeriodicRooms {
    clock: VirtualClock,
    /// The time that an event takes.
    takes: Duration,
    /// The delay in milliseconds for which the timer is set.
    asks: u32,
    /// The times of the events, in milliseconds since the first one.
    times: Arc<Mutex<Vec<u64>>>,
}

impl PeriodicRooms {
    fn new(takes: Duration, asks: u32) -> Self {
        Self { clock: VirtualClock::new(), takes, asks, times: Arc::default() }
    }

    fn serve(&self) -> TestServer {
        let settings =
            server().with_heartbeat_interval(Duration::ZERO).with_heartbeat_timeout(Duration::ZERO);
        TestServer::with(settings.with_clock(self.clock.clone()), self.clone())
    }

    /// Waits until so many events have begun, and returns by how much each began later than the one before it.
    #[track_caller]
    fn intervals(&self, count: usize) -> Vec<u64> {
        let times = || self.times.lock().expect("nobody panics with it").clone();
        eventually(&format!("{count} events"), || times().len() >= count);
        times().windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl EngineFactory for PeriodicRooms {
    type Engine = Periodic;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Periodic, Infallible> {
        Ok(Periodic { rooms: self.clone(), state: State::Idle })
    }
}

impl Engine for Periodic {
    fn begin(&mut self, event: Event<'_>, context: &impl EngineContext) {
        match event {
            Event::Connect(_) | Event::Timer => {
                self.rooms.times.lock().expect("nobody panics with it").push(context.now_ms());
                self.state = State::Began;
            }
            Event::Message(client, message) => context.send_message(client, message),
            Event::Init | Event::Disconnect(_) => {}
        }
    }

    fn advance(&mut self, context: &impl EngineContext) -> Progress<'_> {
        match self.state {
            State::Idle => return Progress::Done,
            State::Began => {
                self.state = State::Moved(context.now_ms());
                self.rooms.clock.advance(self.rooms.takes);
            }
            State::Moved(since) if context.now_ms() == since => {}
            State::Moved(_) => {
                self.state = State::Idle;
                context.set_timer(self.rooms.asks);
                return Progress::Done;
            }
        }
        Progress::Unfinished
    }
}

#[test]
fn a_timer_counts_from_the_begin_of_a_long_event() {
    let rooms = PeriodicRooms::new(ms(22), 50);
    let server = rooms.serve();
    let mut client = server.client("room");
    // It is answered after the event of the connection.
    assert_eq!(client.ask("?"), "?");
    for event in 2..12 {
        rooms.clock.advance(ms(27));
        assert_eq!(client.ask("not yet"), "not yet");
        assert_eq!(rooms.intervals(event - 1).len(), event - 2, "49 ms have passed");
        rooms.clock.advance(ms(1));
        assert_eq!(rooms.intervals(event).last(), Some(&50));
        assert_eq!(client.ask("?"), "?");
    }
}

#[test]
fn a_timer_that_is_late_fires_once_and_others_have_their_turn() {
    let rooms = PeriodicRooms::new(ms(22), 1);
    let server = rooms.serve();
    // Nobody moves the clock but the events, so each timer is due when it is set. The other room has such a timer, too.
    let (mut client, mut other) = (server.client("room"), server.client("other"));
    for count in 1..=20 {
        rooms.intervals(10 * count);
        assert_eq!([client.ask("?"), other.ask("!")], ["?", "!"]);
    }
    // A room that is alone: the timers that it has missed would begin at the same time.
    let rooms = PeriodicRooms::new(ms(22), 1);
    let server = rooms.serve();
    let _client = server.client("room");
    assert_eq!(rooms.intervals(100)[..99], [22; 99]);
}

//! A room that computes for long does not keep others waiting.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use stateroom_sdk_core::{
    ClientId,
    engine::{Engine, EngineContext, EngineFactory, Event, Progress},
};
use stateroom_tests::{Frame, Module, TestServer, eventually, server, services::Gate};

/// Computes for a good while, half a second or so, when it is told to.
fn thinker() -> Module {
    Module::new().told(
        "(loop $again
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40000000))))",
    )
}

#[test]
fn another_room_answers_while_one_computes() {
    let gate = Gate::default();
    // Nobody is pinged, however long this takes.
    let server = TestServer::with_clock(server(), gate.clone());
    let (mut thinking, mut quick) = (server.client("thinking"), server.client("quick"));
    thinking.text("!");
    gate.wait_for_computing(1);
    for number in 0..30 {
        let text = format!("number {number}");
        assert_eq!(quick.ask(&text), text);
    }
    // Newcomers, and requests, are served all the while.
    assert_eq!(server.client("new").ask("hello"), "hello");
    assert_eq!(server.get("/status").text(), "ok");
    assert!(thinking.is_quiet());
    gate.open();
    thinking.expect(&["!"]);
    assert_eq!(thinking.ask("done?"), "done?");
}

#[test]
fn an_event_that_has_begun_ends_though_there_is_no_memory_for_what_came_with_it() {
    let gate = Gate::default();
    let settings = server().with_threads(1).with_total_memory(16 << 20);
    let server = TestServer::with_clock(settings, gate.clone());
    let (mut thinking, mut other) = (server.client("thinking"), server.client("thinking"));
    assert_eq!(other.ask("hello"), "hello");
    // Others use up what clients may use up for messages that are not small.
    let mut others = Vec::new();
    for (size, count) in [(64 << 10, 200), (5_000, 20)] {
        let whole = Frame::text(&"x".repeat(size)).masked();
        others.extend((0..count).map(|_| {
            let mut client = server.client("others");
            client.try_raw(&whole[..whole.len() - 1]);
            client
        }));
    }
    eventually("memory is scarce", || server.stats().memory > (12 << 20) - 5_000);
    thinking.raw(&[Frame::text("!"), Frame::text(&"y".repeat(8_000))].map(|frame| frame.masked()).concat());
    gate.wait_for_computing(1);
    assert_eq!(thinking.closed(), 1013);
    gate.open();
    // The room has not failed, as it would where the next event began in the middle of this one.
    assert_eq!(other.ask("are you there?"), "are you there?");
    gate.wait_for_computing(0);
}

#[test]
fn messages_to_a_busy_room_wait_and_come_in_order() {
    let server = TestServer::new(thinker().program());
    let (mut one, mut two) = (server.client("busy"), server.client("busy"));
    assert_eq!(one.ask("a"), "a");
    assert_eq!(two.ask("b"), "b");
    one.text("!");
    for text in ["!?", "c", "?"] {
        one.text(text);
    }
    // Only what the room has to be asked for waits.
    one.frame(&stateroom_tests::Frame::new(stateroom_tests::Frame::PING, "there?"));
    two.text("d");
    one.expect(&["!", "!?", "c"]);
    let state = one.next_text();
    two.expect(&["d"]);
    // Of the two thoughts, the one letter, and perhaps the other client's letter in between.
    assert!(["5", "6"].contains(&&*state), "{state}");
}

#[test]
fn clients_that_come_or_go_while_a_room_computes_are_reported_in_order() {
    let module = thinker()
        .connect("(i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))")
        .disconnect("(call $send_message (i32.const 0) (i32.const 0) (i32.const 5))");
    let server = TestServer::new(module.program());
    let mut one = server.client("station");
    assert_eq!(one.ask("?"), "1");
    one.text("!");
    let mut two = server.client("station");
    two.text("?");
    let three = server.client("station");
    three.leave();
    one.expect(&["!"]);
    // Two has come after the thought: three events were counted before, or four with three's connect.
    let state = two.next_text();
    assert!(["3", "4"].contains(&&*state), "{state}");
    one.expect(&["hello"]);
    two.expect(&["hello"]);
    assert_eq!(server.rooms(), [("station".to_owned(), vec![1, ClientId(2).0])]);
}

#[test]
fn a_room_that_computes_for_too_long_hands_over_to_a_fresh_one() {
    let module = Module::new().told("(loop $again (br $again))").limits(|limits| limits.fuel = 30_000_000);
    let server = TestServer::new(module.program());
    let (mut stuck, mut quick) = (server.client("stuck"), server.client("quick"));
    assert_eq!(stuck.ask("hello"), "hello");
    stuck.text("!");
    while stuck.is_quiet() {
        assert_eq!(quick.ask("hello"), "hello");
    }
    assert_eq!(stuck.closed(), 1011);
    assert_eq!(server.client("stuck").ask("?"), "0");
}

/// Computes when it is sent something: `!` without end, anything else for two slices. It notes when it
/// computes after another one.
struct Long {
    room: u8,
    slices_left: u64,
    noted: Arc<Mutex<Vec<u8>>>,
}

impl Engine for Long {
    fn begin(&mut self, event: Event<'_>, _: &impl EngineContext) {
        if let Event::Message(_, message) = event {
            self.slices_left = if message.text() == Some("!") { u64::MAX } else { 1 };
        }
    }

    fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
        if self.slices_left == 0 {
            return Progress::Done;
        }
        self.slices_left -= 1;
        let mut noted = self.noted.lock().expect("nobody panics with it");
        if noted.last() != Some(&self.room) {
            noted.push(self.room);
        }
        Progress::Unfinished
    }
}

/// Makes such rooms; their ids are numbers.
#[derive(Clone, Default)]
struct LongRooms(Arc<Mutex<Vec<u8>>>);

impl LongRooms {
    /// Returns the rooms that computed, each once for all that it did before another one.
    fn sequence(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

impl EngineFactory for LongRooms {
    type Engine = Long;
    type Error = Infallible;

    fn build(&self, room: &str, _: &impl EngineContext) -> Result<Long, Infallible> {
        let room = room.parse().expect("a number");
        Ok(Long { room, slices_left: 0, noted: Arc::clone(&self.0) })
    }
}

#[test]
fn rooms_that_compute_go_on_one_after_the_other() {
    let rooms = LongRooms::default();
    let server = TestServer::new(rooms.clone());
    let mut clients: Vec<_> = (0..10).map(|room| server.client(&room.to_string())).collect();
    for client in &mut clients {
        client.text("!");
    }
    let mut all_compute = 0;
    eventually("all rooms compute", || {
        let sequence = rooms.sequence();
        all_compute = sequence.len();
        sequence.iter().collect::<HashSet<_>>().len() == 10
    });
    eventually("they go on", || rooms.sequence().len() > all_compute + 100);
    // None goes on before all others have.
    for ten in rooms.sequence()[all_compute..].chunks_exact(10) {
        assert_eq!(ten.iter().collect::<HashSet<_>>().len(), 10, "{ten:?}");
    }
}

#[test]
fn many_events_of_some_length_are_no_way_around_the_scheduler() {
    let rooms = LongRooms::default();
    let server = TestServer::new(rooms.clone());
    let (mut endless, mut busy) = (server.client("1"), server.client("2"));
    endless.text("!");
    eventually("it computes", || rooms.sequence() == [1]);
    let messages: Vec<_> = (0..200).flat_map(|_| Frame::text("?").masked()).collect();
    busy.raw(&messages);
    let times_of_busy = || rooms.sequence().iter().filter(|room| **room == 2).count();
    // Had it several of them at a time, the other room would not go on as often in between.
    eventually("all messages are handled", || times_of_busy() == 200);
}

/// Computes without end when it is sent `!`, and for a moment, within a slice, when it is sent anything else.
struct Momentary {
    is_endless: bool,
    moments: Arc<Mutex<Moments>>,
}

/// The moments of all rooms.
#[derive(Debug, Default)]
struct Moments {
    all: usize,
    /// The number of events in a row since an endless event last went on.
    in_a_row: usize,
    most_in_a_row: usize,
}

impl Engine for Momentary {
    fn begin(&mut self, event: Event<'_>, _: &impl EngineContext) {
        let Event::Message(_, message) = event else { return };
        if message.text() == Some("!") {
            self.is_endless = true;
            return;
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(20) {
            std::hint::spin_loop();
        }
        let mut moments = self.moments.lock().expect("nobody panics with it");
        moments.all += 1;
        moments.in_a_row += 1;
        moments.most_in_a_row = moments.most_in_a_row.max(moments.in_a_row);
    }

    fn advance(&mut self, _: &impl EngineContext) -> Progress<'_> {
        if !self.is_endless {
            return Progress::Done;
        }
        self.moments.lock().expect("nobody panics with it").in_a_row = 0;
        Progress::Unfinished
    }
}

/// Makes such rooms.
#[derive(Clone, Default)]
struct MomentaryRooms(Arc<Mutex<Moments>>);

impl EngineFactory for MomentaryRooms {
    type Engine = Momentary;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Momentary, Infallible> {
        Ok(Momentary { is_endless: false, moments: Arc::clone(&self.0) })
    }
}

#[test]
fn many_messages_that_come_together_do_not_hold_up_long_events() {
    let rooms = MomentaryRooms::default();
    let server = TestServer::new(rooms.clone());
    let (mut endless, mut busy) = (server.client("1"), server.client("2"));
    endless.text("!");
    busy.raw(&Frame::text("?").masked().repeat(20_000));
    let moments = || rooms.0.lock().expect("nobody panics with it");
    eventually("all messages are handled", || moments().all == 20_000);
    // A time slice of 250 us has a dozen of them, and a few more go before it. A read has thousands.
    let most = moments().most_in_a_row;
    assert!(most < 200, "{most} in a row");
}

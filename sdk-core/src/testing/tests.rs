use core::convert::Infallible;
use std::{cell::RefCell, format, panic, string::String, sync::Once, thread_local, vec::Vec};

use crate::{
    engine::{Engine, EngineContext, EngineFactory, Event, Progress},
    *,
};

use super::*;

/// A service that does what it is told, and reports every event.
#[derive(Default)]
struct Script {
    timers: u32,
}

impl StateroomService for Script {
    fn init(&mut self, ctx: &impl StateroomContext) {
        ctx.log(LogLevel::Info, "init");
        ctx.send_message(MessageRecipient::Broadcast, "nobody can hear this");
    }

    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format_args!("+{client}"));
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format_args!("-{client}"));
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let Some(text) = message.text() else {
            return ctx.send_message(MessageRecipient::EveryoneExcept(client), message);
        };
        let (verb, argument) = text.split_once(' ').unwrap_or((text, ""));
        let number = || argument.parse().unwrap();
        match verb {
            "timer" => ctx.set_timer(number()),
            "tell" => ctx.send_message(ClientId(number()), text),
            "random" => {
                let mut bytes = [0; 20];
                ctx.random(&mut bytes);
                ctx.send_message(client, bytes);
            }
            "log" => ctx.log(LogLevel::Warn, argument),
            "format" => ctx.send_message(client, format_args!("{argument}")),
            "panic" => panic!("as told"),
            _ => ctx.send_message(MessageRecipient::Broadcast, text),
        }
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        self.timers += 1;
        let after = ctx.now_ms() - START_MS;
        ctx.send_message(MessageRecipient::Broadcast, format_args!("timer {} at {after}", self.timers));
        if self.timers < 4 {
            ctx.set_timer(100 * self.timers);
        }
    }
}

fn room() -> TestRoom {
    TestRoom::new::<Script>()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Returns what the panic of `fails` says, and its line in this file.
fn failure(fails: impl FnOnce()) -> (String, u32) {
    thread_local! {
        static LINE: RefCell<Option<u32>> = const { RefCell::new(None) };
    }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(std::boxed::Box::new(move |info| {
            let here = info.location().filter(|location| location.file() == file!());
            LINE.set(here.map(panic::Location::line));
            usual(info);
        }));
    });
    let panic = panic::catch_unwind(panic::AssertUnwindSafe(fails)).expect_err("it fails");
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
    (text.unwrap(), LINE.take().expect("the panic is in this file"))
}

#[test]
fn init_comes_before_everybody_and_once() {
    let room = room();
    let one = room.connect();
    assert_eq!(one.received(), ["+1"]);
    let two = room.connect();
    assert_eq!((one.id(), two.id()), (ClientId(1), ClientId(2)));
    assert_eq!(room.logged(), ["init"]);
    // Even where nobody comes.
    assert_eq!(TestRoom::new::<Script>().logged(), [(LogLevel::Info, "init")]);
}

#[test]
fn messages_reach_those_they_are_meant_for_in_order() {
    let room = room();
    let (one, two, three) = (room.connect(), room.connect(), room.connect());
    let clients = [&one, &two, &three];
    clients.iter().for_each(|client| drop(client.received()));
    two.send([0, 255]);
    two.send("hello");
    one.send("tell 3");
    assert_eq!(one.received(), [Message::from([0, 255]), "hello".into()]);
    assert_eq!(two.received(), ["hello"]);
    assert_eq!(three.received(), [Message::from([0, 255]), "hello".into(), "tell 3".into()]);
    assert_eq!(clients.map(TestClient::received), [NOTHING; 3]);
}

#[test]
fn whatever_a_service_can_send_a_client_can_send() {
    let (room, number) = (room(), 1);
    let client = room.connect();
    client.send(format_args!("a {number}"));
    client.send(heapless::String::<4>::try_from("b").unwrap());
    client.send(MessagePayload::Text("c"));
    assert_eq!(client.received(), ["+1", "a 1", "b", "c"]);
}

#[test]
fn who_has_left_gets_nothing_any_more_and_keeps_what_it_got() {
    let room = room();
    let (one, two) = (room.connect(), room.connect());
    one.leave();
    two.send("tell 1");
    two.send("anybody?");
    assert_eq!(one.received(), ["+1", "+2"]);
    assert_eq!(two.received(), ["+2", "-1", "anybody?"]);
    assert_eq!(one.received(), NOTHING);
    // Its id is not used again.
    assert_eq!(room.connect().id(), ClientId(3));
}

#[test]
fn a_client_stays_when_its_handle_is_dropped() {
    let room = room();
    let watcher = room.connect();
    let clone = watcher.clone();
    drop(watcher);
    drop(room.connect());
    assert_eq!(clone.received(), ["+1", "+2"]);
}

#[test]
fn who_has_left_cannot_send_or_leave_again() {
    let room = room();
    let client = room.connect();
    client.leave();
    let line = line!() + 1;
    let says = failure(|| client.send("hello"));
    assert_eq!(says, ("client 1 cannot send a message: it has left the room".into(), line));
    let says = failure(|| client.leave());
    assert_eq!(says, ("client 1 cannot leave: it has left the room".into(), line + 2));
}

#[test]
fn timers_are_due_at_their_times_and_in_order() {
    let room = room();
    let client = room.connect();
    client.send("timer 1000");
    assert_eq!(room.timer_in(), Some(ms(1000)));
    room.advance(ms(999));
    assert_eq!(client.received(), ["+1"]);
    assert_eq!(room.timer_in(), Some(ms(1)));
    room.advance(ms(1));
    assert_eq!(client.received(), ["timer 1 at 1000"]);
    // Several within one span.
    room.advance(ms(350));
    assert_eq!(client.received(), ["timer 2 at 1100", "timer 3 at 1300"]);
    assert_eq!(room.now_ms(), START_MS + 1350);
    assert_eq!(room.timer_in(), Some(ms(250)));
    room.advance(ms(10_000));
    assert_eq!(client.received(), ["timer 4 at 1600"]);
    assert_eq!(room.timer_in(), None);
}

#[test]
fn a_timer_is_replaced_or_cancelled() {
    let room = room();
    let client = room.connect();
    client.send("timer 10");
    client.send("timer 500");
    room.advance(ms(499));
    client.send("timer 0");
    room.advance(ms(499));
    assert_eq!(client.received(), ["+1"]);
    // A long one by a short one, too; and one that is cancelled can be set again.
    client.send("timer 4294967295");
    assert_eq!(room.timer_in(), Some(ms(u32::MAX.into())));
    client.send("timer 2");
    room.advance(ms(2));
    assert_eq!(client.received(), ["timer 1 at 1000"]);
}

#[test]
fn time_ends_where_its_number_does() {
    let room = room();
    let client = room.connect();
    room.advance(Duration::MAX);
    assert_eq!(room.now_ms(), u64::MAX);
    client.send("timer 5");
    assert_eq!(room.timer_in(), None);
    room.advance(ms(5));
}

#[test]
fn random_numbers_follow_from_the_seed() {
    let random = |room: TestRoom| {
        let client = room.connect();
        assert_eq!(client.received(), ["+1"]);
        client.send("random");
        client.send("random");
        client.received()
    };
    let first = random(room());
    assert_eq!(first, random(room()));
    assert_ne!(first[0], first[1]);
    assert_ne!(first, random(room().with_seed(1)));
    assert_ne!(first[0], [0; 20]);
}

#[test]
fn a_room_that_runs_keeps_its_id_and_its_seed() {
    let room = room();
    let _client = room.connect();
    assert!(failure(|| drop(room.clone().with_seed(1))).0.contains("it can be given a seed before"));
    assert!(failure(|| drop(room.clone().with_id("a"))).0.contains("it can be given an id before"));
}

#[test]
fn a_panic_of_the_service_is_the_tests_and_ends_the_room() {
    let room = room();
    let client = room.connect();
    assert_eq!(failure(|| client.send("panic")).0, "as told");
    let line = line!() + 1;
    let says = failure(|| client.send("hello"));
    assert_eq!(says, ("the room has failed before".into(), line));
}

/// An engine like a host's: its events take three steps, and end as the last message says.
#[derive(Default)]
struct Slow {
    steps: u32,
    ends: String,
}

impl Engine for Slow {
    fn begin(&mut self, event: Event<'_>, ctx: &impl EngineContext) {
        match event {
            Event::Message(_, message) => {
                self.steps = 3;
                self.ends = message.text().unwrap().into();
                ctx.log(LogLevel::Error, "at line 7");
            }
            Event::Timer => self.steps = 3,
            _ => {}
        }
    }

    fn advance(&mut self, ctx: &impl EngineContext) -> Progress<'_> {
        if let Some(steps) = self.steps.checked_sub(1) {
            self.steps = steps;
            return Progress::Unfinished;
        }
        match &*self.ends {
            "refuse" => Progress::Refused,
            "fail" => Progress::Failed(&self.ends),
            "timer" => {
                ctx.set_timer(50);
                Progress::Done
            }
            _ => {
                ctx.send_message(MessageRecipient::Broadcast, "done");
                Progress::Done
            }
        }
    }
}

/// A factory of these.
struct SlowRooms;

impl EngineFactory for SlowRooms {
    type Engine = Slow;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl EngineContext) -> Result<Slow, Infallible> {
        Ok(Slow::default())
    }
}

fn slow() -> TestClient {
    let room = TestRoom::of(SlowRooms);
    let client = room.connect();
    assert_eq!(client.received(), ["done"]);
    client
}

#[test]
fn events_are_over_when_a_call_returns() {
    let client = slow();
    client.send("go");
    assert_eq!(client.received(), ["done"]);
}

#[test]
fn the_timer_of_a_long_event_counts_from_its_begin() {
    let room = TestRoom::of(SlowRooms);
    let client = room.connect();
    client.send("timer");
    assert_eq!(room.timer_in(), Some(ms(50)));
    for event in 1..4 {
        room.advance(ms(49));
        assert_eq!(room.now_ms(), START_MS + 50 * event - 1);
        assert_eq!(room.timer_in(), Some(ms(1)));
        room.advance(ms(1));
        assert_eq!(room.timer_in(), Some(ms(50)));
    }
}

#[test]
fn a_service_that_fails_fails_the_test_where_it_caused_that() {
    let client = slow();
    let line = line!() + 1;
    let says = failure(|| client.send("fail"));
    assert_eq!(says, ("the room failed: fail\nError: at line 7".into(), line));
    let client = slow();
    let line = line!() + 1;
    let says = failure(|| client.send("refuse"));
    assert_eq!(says, ("the room has no space for this message".into(), line));
}

/// A factory that makes nothing.
struct Shut;

impl StateroomServiceFactory for Shut {
    type Service = Script;
    type Error = &'static str;

    fn build(&self, room_id: &str, _: &impl StateroomContext) -> Result<Script, &'static str> {
        assert_eq!(room_id, "test");
        Err("it is closed")
    }
}

#[test]
fn a_room_that_cannot_be_made_says_why() {
    let room = TestRoom::of(Shut);
    let line = line!() + 1;
    let says = failure(|| drop(room.connect()));
    assert_eq!(says, ("the room cannot be made: it is closed".into(), line));
}

#[cfg(not(feature = "heap"))]
#[test]
fn a_text_that_is_too_long_is_shown_where_the_service_sends_it() {
    let client = room().connect();
    let long = "format ".chars().chain(core::iter::repeat_n('x', TEXT_CAPACITY + 1)).collect::<String>();
    let (words, _in_this_file) = failure(|| client.send(long.as_str()));
    assert_eq!(words, format!("a text is longer than {TEXT_CAPACITY} bytes (TEXT_CAPACITY)"));
}

struct Old(String);

impl SimpleStateroomService for Old {
    fn new(room_id: &str, ctx: &impl StateroomContext) -> Self {
        ctx.set_timer(5);
        Self(room_id.into())
    }

    fn message(&mut self, client: ClientId, message: &str, ctx: &impl StateroomContext) {
        ctx.send_message(client, format!("{message} {}", self.0).as_str());
    }

    fn binary(&mut self, client: ClientId, message: &[u8], ctx: &impl StateroomContext) {
        ctx.send_message(client, message);
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format_args!("five in {}", ctx.room_id()));
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format_args!("-{client}"));
    }
}

#[test]
fn the_older_form_is_a_room_too() {
    for room in [TestRoom::new::<Old>(), TestRoom::of(SimpleStateroomFactory::<Old>::default())] {
        let room = room.with_id("lobby");
        let (one, two) = (room.connect(), room.connect());
        one.send("hello");
        one.send([1]);
        two.leave();
        room.advance(ms(5));
        let expected: [Message; 4] = ["hello lobby".into(), [1].into(), "-2".into(), "five in lobby".into()];
        assert_eq!(one.received(), expected);
    }
}

/// A service that tells everyone who has come, by name, and who has gone. It closes clients on demand.
#[derive(Default)]
struct Doorkeeper;

impl StateroomService for Doorkeeper {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let mut buffer = [0; 4];
        let other = ctx.client_info(ClientId(client.0 + 1), "query:name", &mut buffer);
        assert_eq!(other, None);
        let name = ctx.client_info(client, "query:name", &mut buffer).unwrap_or("?");
        ctx.send_message(MessageRecipient::Broadcast, format_args!("+{client} {name}"));
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        assert_eq!(ctx.client_info(client, "query:name", &mut [0; 4]), None);
        let code = message.data().len() as u16;
        ctx.send_message(MessageRecipient::Broadcast, "before");
        ctx.close(MessageRecipient::EveryoneExcept(client), code, "out");
        ctx.close(MessageRecipient::EveryoneExcept(client), 1000, "once more");
        ctx.send_message(MessageRecipient::Broadcast, "after");
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, format_args!("-{client}"));
    }
}

#[test]
fn what_a_client_brings_is_there_while_it_connects() {
    let room = TestRoom::new::<Doorkeeper>();
    let one = room.connect_with(&[("address", "::1"), ("query:name", "Ada"), ("query:name", "Eve")]);
    let _two = room.connect_with(&[("query:name", "Agnes")]);
    let _three = room.connect();
    assert_eq!(one.received(), ["+1 Ada", "+2 ?", "+3 ?"]);
}

#[test]
fn a_closed_client_hears_nothing_more_and_leaves_once() {
    let room = TestRoom::new::<Doorkeeper>();
    let (one, two, three) = (room.connect(), room.connect(), room.connect());
    let _ = [&one, &two, &three].map(TestClient::received);
    one.send([0; 4000]);
    assert_eq!(one.received(), ["before", "after", "-2", "-3"]);
    assert_eq!(two.received(), ["before"]);
    assert_eq!([one.closed(), three.closed()], [None, Some(Closed { code: 4000, reason: "out".into() })]);
    one.send([0; 4000]);
    assert_eq!(one.received(), ["before", "after"]);
    let says = failure(|| two.send("hello"));
    assert_eq!(says.0, "client 2 cannot send a message: the room has closed it, with 4000 \"out\"");
    let says = failure(|| two.leave());
    assert_eq!(says.0, "client 2 cannot leave: the room has closed it, with 4000 \"out\"");
}

#[test]
fn a_close_code_of_the_protocols_own_fails_the_test() {
    let room = TestRoom::new::<Doorkeeper>();
    let one = room.connect();
    let says = failure(|| one.send([0; 1006]));
    assert_eq!(says.0, "an application closes with 1000, or 3000 to 4999, and not with 1006");
}

#[test]
fn debug_output_is_short() {
    let room = room();
    let client = room.connect();
    assert_eq!(format!("{client:?}"), "TestClient(1)");
    let names: Vec<_> =
        ["now_ms", "due_ms"].into_iter().filter(|n| format!("{room:?}").contains(n)).collect();
    assert_eq!(names, ["now_ms", "due_ms"]);
}

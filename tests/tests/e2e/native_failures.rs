//! A native service that panics takes its own room down and nothing else.

use std::{convert::Infallible, thread};

use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, MessageRecipient, StateroomContext, StateroomService,
    StateroomServiceFactory,
};
use stateroom_server_smol::ShutdownPolicy;
use stateroom_tests::{TestServer, server, services::script};

use crate::failures::{Bystander, log_says};

#[test]
fn a_native_service_that_panics_ends_its_room() {
    let server = TestServer::new(script());
    let bystander = Bystander::watch(&server);
    let (mut one, mut two) = (server.client("panicking"), server.client("panicking"));
    assert_eq!(one.ask("count"), "1");
    assert_eq!(two.ask("count"), "2");
    one.text("panic over nothing");
    // A native service's messages go where they go at once: what it said before it panicked was said.
    one.expect(&["about to panic"]);
    assert_eq!(one.closed(), 1011);
    two.expect(&["about to panic"]);
    assert_eq!(two.closed(), 1011);
    log_says("panicking", "over nothing");
    assert_eq!(server.client("panicking").ask("count"), "1");
    bystander.noticed_nothing();
}

#[derive(Default)]
struct Clinging;

impl StateroomService for Clinging {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, context: &impl StateroomContext) {
        context.send_message(client, message);
    }
}

impl Drop for Clinging {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic!("I stay");
        }
    }
}

#[test]
fn a_native_service_that_panics_when_it_is_dropped_hurts_nobody_else() {
    let server = server().with_shutdown(ShutdownPolicy::Immediate);
    let server = TestServer::with(server, DefaultStateroomFactory::<Clinging>::default());
    let mut bystander = server.client("bystander");
    for _ in 0..3 {
        let mut client = server.client("clinging");
        assert_eq!(client.ask("hello"), "hello");
        client.leave();
        server.wait_for_rooms(1);
        assert_eq!(bystander.ask("still there?"), "still there?");
    }
}

#[derive(Default)]
struct Touchy;

impl StateroomService for Touchy {
    fn connect(&mut self, client: ClientId, _: &impl StateroomContext) {
        assert_ne!(client, ClientId(2), "the second is one too many");
    }

    fn disconnect(&mut self, client: ClientId, _: &impl StateroomContext) {
        assert_ne!(client, ClientId(1), "do not go");
    }

    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        if message.text() == Some("timer") {
            ctx.set_timer(1);
        }
        ctx.send_message(MessageRecipient::Broadcast, message);
    }

    fn timer(&mut self, _: &impl StateroomContext) {
        panic!("is it that late?");
    }
}

#[test]
fn a_native_service_may_panic_at_any_event() {
    let server = TestServer::new(DefaultStateroomFactory::<Touchy>::default());
    let bystander = Bystander::watch(&server);
    let mut one = server.client("touchy-connect");
    assert_eq!(one.ask("some"), "some");
    assert_eq!(server.client("touchy-connect").closed(), 1011);
    assert_eq!(one.closed(), 1011);
    log_says("touchy-connect", "one too many");

    let mut one = server.client("touchy-timer");
    assert_eq!(one.ask("timer"), "timer");
    assert_eq!(one.closed(), 1011);
    log_says("touchy-timer", "is it that late?");

    server.client("touchy-disconnect").leave();
    server.wait_for_rooms(1);
    log_says("touchy-disconnect", "do not go");
    assert_eq!(server.client("touchy-disconnect").ask("some"), "some");
    bystander.noticed_nothing();
}

struct Choosy;

impl StateroomServiceFactory for Choosy {
    type Service = Touchy;
    type Error = &'static str;

    fn build(&self, room_id: &str, _: &impl StateroomContext) -> Result<Touchy, &'static str> {
        match room_id {
            "choosy-error" => Err("not this one"),
            "choosy-panic" => panic!("not this one either"),
            _ => Ok(Touchy),
        }
    }
}

#[test]
fn a_service_that_cannot_be_made_leaves_no_room() {
    let server = TestServer::new(Choosy);
    let bystander = Bystander::watch(&server);
    for (room, why) in [("choosy-error", "not this one"), ("choosy-panic", "panicked")] {
        assert_eq!(server.client(room).closed(), 1011);
        log_says(room, why);
        assert_eq!(server.post(&format!("/ws/{}", room)).status, 500);
    }
    assert_eq!(server.status()["room_count"], 1);
    bystander.noticed_nothing();
}

struct Impatient;

/// Panics when the room is made, in `init` rather than in the factory.
impl StateroomService for Impatient {
    fn init(&mut self, _: &impl StateroomContext) {
        panic!("what takes them so long?");
    }
}

struct Impatience;

impl StateroomServiceFactory for Impatience {
    type Service = Impatient;
    type Error = Infallible;

    fn build(&self, _: &str, _: &impl StateroomContext) -> Result<Impatient, Infallible> {
        Ok(Impatient)
    }
}

#[test]
fn a_native_service_that_panics_in_init_leaves_no_room() {
    let server = TestServer::new(Impatience);
    assert_eq!(server.client("impatient").closed(), 1011);
    log_says("impatient", "so long");
    assert_eq!(server.post("/ws/impatient").status, 500);
    assert_eq!(server.status()["room_count"], 0);
}

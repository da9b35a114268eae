//! Rooms on several threads.

use std::{collections::HashSet, thread};

use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService,
};
use stateroom_tests::{
    TestServer, server,
    services::{script, script_guest},
};

/// A service that reports the thread on which it runs.
#[derive(Default)]
struct Whereabouts;

impl StateroomService for Whereabouts {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, format!("{:?}", thread::current().id()));
    }

    fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, format!("{:?}", thread::current().id()));
    }
}

#[test]
fn a_room_stays_on_one_of_the_threads() {
    let server =
        TestServer::with(server().with_threads(2), DefaultStateroomFactory::<Whereabouts>::default());
    let mut threads = HashSet::new();
    for number in 0..16 {
        let (room, other) = (format!("room-{number}"), format!("room%2D{number}"));
        let (mut one, mut two) = (server.client(&room), server.client(&other));
        let thread = one.next_text();
        assert_eq!(two.next_text(), thread);
        assert_eq!(one.ask("and now?"), thread);
        threads.insert(thread);
    }
    assert_eq!(threads.len(), 2, "sixteen rooms are enough for both");
}

#[test]
fn rooms_on_all_threads_work_and_are_counted_together() {
    for server in [
        TestServer::with(server().with_threads(2), script()),
        TestServer::with(server().with_threads(2), script_guest()),
    ] {
        let names: Vec<_> = (10..26).map(|number| format!("room-{number}")).collect();
        let mut clients: Vec<_> =
            names.iter().map(|room| [server.client(room), server.client(room)]).collect();
        for [one, two] in &mut clients {
            assert_eq!(one.ask("count"), "1");
            assert_eq!(two.ask("count"), "2");
            one.text("broadcast to both");
            one.expect(&["to both"]);
            two.expect(&["to both"]);
            two.text("timer 1");
            one.expect(&["timer 1"]);
            two.expect(&["timer 1"]);
        }
        let status = server.status();
        assert_eq!(status["room_count"], 16);
        assert_eq!(status["client_count"], 32);
        let expected: Vec<_> = names.iter().map(|room| (room.clone(), vec![1, 2])).collect();
        assert_eq!(server.rooms(), expected);
        assert_eq!(server.post("/ws/room-10").status, 409);
        assert_eq!(server.post("/ws/room-11").status, 409);
        assert_eq!(server.post("/ws/room-12").status, 409);
    }
}

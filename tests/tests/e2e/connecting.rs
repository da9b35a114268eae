//! Tests of which rooms there are, and who makes them.

use std::collections::HashSet;

use stateroom_server_smol::{GeneratedIds, RoomIds};
use stateroom_tests::{
    TestServer, server,
    services::{script, simple, simple_guest},
};

#[test]
fn any_text_of_1_to_512_bytes_is_a_room() {
    for server in [TestServer::new(simple()), TestServer::new(simple_guest())] {
        let longest = "x".repeat(512);
        let encoded = "%C3%A9".repeat(256);
        let accented = "é".repeat(256);
        for (path, id) in [
            ("a", "a"),
            ("%F0%9F%98%80", "😀"),
            ("a%20b", "a b"),
            ("a/b", "a/b"),
            ("c%2Fd", "c/d"),
            ("%00", "\0"),
            ("..%2f..", "../.."),
            ("what%3F", "what?"),
            ("100%25", "100%"),
            ("with-a?query=1", "with-a"),
            (&longest, &longest),
            (&encoded, &accented),
        ] {
            let mut client = server.client(path);
            assert_eq!(client.next_text(), format!("welcome to {id}, 1"), "{path}");
            assert!(server.rooms().contains(&(id.to_owned(), vec![1])), "{path}");
        }
    }
}

#[test]
fn one_room_has_many_spellings() {
    let server = TestServer::new(script());
    assert_eq!(server.client("abc").ask("count"), "1");
    assert_eq!(server.client("a%62c").ask("count"), "2");
    assert_eq!(server.client("%61%62%63").ask("count"), "3");
    assert_eq!(server.client("ABC").ask("count"), "1");
}

#[test]
fn what_is_no_id_is_a_bad_request() {
    let server = TestServer::new(script());
    for path in ["/ws/", "/ws/%FF", "/ws/%C3", "/ws/%ED%A0%80", &format!("/ws/{}", "x".repeat(513))]
        .map(str::to_owned)
    {
        assert_eq!(server.connect(&path).expect_err("no room").status, 400, "{path}");
        assert_eq!(server.post(&path).status, 400, "{path}");
    }
    let too_long = format!("/ws/{}", "%C3%A9".repeat(257));
    assert_eq!(server.connect(&too_long).expect_err("no room").status, 400);
    assert_eq!(server.status()["room_count"], 0);
}

#[test]
fn a_path_without_a_room_means_the_room_default() {
    let server = TestServer::new(simple());
    let mut client = server.connect("/ws").expect("an upgrade");
    client.expect(&["welcome to default, 1"]);
    server.client("default").expect(&["welcome to default, 2"]);
    let mut other = server.connect("/ws?x=1").expect("an upgrade");
    other.expect(&["welcome to default, 3"]);
}

#[test]
fn new_room_makes_a_room_and_says_where() {
    let server = TestServer::new(script());
    let mut ids = HashSet::new();
    for count in 1..=5 {
        let answer = server.post("/new_room");
        assert_eq!(answer.status, 201);
        let id = answer.text();
        assert_eq!(id.len(), 10);
        assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
        assert_eq!(answer.header("location"), Some(&*format!("/ws/{id}")));
        assert!(ids.insert(id.to_owned()), "{id}");
        // It is there before anyone comes.
        assert_eq!(server.status()["room_count"], count);
        let mut client = server.connect(answer.header("location").expect("a path")).expect("an upgrade");
        assert_eq!(client.ask("count"), "1");
        assert_eq!(server.status()["room_count"], count);
    }
}

#[test]
fn post_makes_a_room_once() {
    let server = TestServer::new(script());
    let created = server.post("/ws/my%20room");
    assert_eq!((created.status, created.text()), (201, "my room"));
    assert_eq!(created.header("location"), Some("/ws/my%20room"));
    assert_eq!(server.post("/ws/my%20room").status, 409);
    assert_eq!(server.client("my%20room").ask("count"), "1");
    assert_eq!(server.post("/ws/m%79%20room").status, 409);
    // A room that came into being with its first client exists as well.
    let mut client = server.client("other");
    assert_eq!(client.ask("count"), "1");
    assert_eq!(server.post("/ws/other").status, 409);
    assert_eq!(client.ask("count"), "2");
    assert_eq!(server.post("/ws").status, 201);
    assert_eq!(server.post("/ws/default").status, 409);
}

#[test]
fn explicit_rooms_are_made_by_post_alone() {
    let server = TestServer::with(server().with_room_ids(RoomIds::Explicit), script());
    assert_eq!(server.connect("/ws/hall").expect_err("no room").status, 404);
    assert_eq!(server.connect("/ws").expect_err("no room").status, 404);
    assert_eq!(server.status()["room_count"], 0);
    assert_eq!(server.post("/ws/hall").status, 201);
    assert_eq!(server.client("hall").ask("count"), "1");
    assert_eq!(server.post("/ws/hall").status, 409);
    let generated = server.post("/new_room");
    assert_eq!(generated.status, 201);
    assert_eq!(server.client(generated.text()).ask("count"), "1");
}

#[test]
fn generated_rooms_cannot_be_named() {
    let server =
        TestServer::with(server().with_room_ids(RoomIds::Generated(GeneratedIds::default())), script());
    assert_eq!(server.post("/ws/hall").status, 403);
    assert_eq!(server.connect("/ws/hall").expect_err("no room").status, 404);
    assert_eq!(server.connect("/ws").expect_err("no room").status, 404);
    let room = server.post("/new_room").text().to_owned();
    assert_eq!(room.len(), 10);
    assert_eq!(server.client(&room).ask("count"), "1");
    assert_eq!(server.client(&room).ask("count"), "2");
}

#[test]
fn generated_ids_can_be_uuids() {
    let server = TestServer::with(server().with_room_ids(RoomIds::Generated(GeneratedIds::Uuid)), script());
    let (one, two) = (server.post("/new_room"), server.post("/new_room"));
    assert_ne!(one.text(), two.text());
    let parts: Vec<_> = one.text().split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert!(parts.iter().all(|part| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))));
    assert!(parts[2].starts_with('4'), "version 4");
    assert!(parts[3].starts_with(['8', '9', 'a', 'b']), "variant 1");
    assert_eq!(server.client(one.text()).ask("count"), "1");
}

#[test]
fn rooms_share_nothing() {
    let server = TestServer::new(script());
    let (mut one, mut two) = (server.client("one"), server.client("two"));
    assert_eq!(one.ask("count"), "1");
    assert_eq!(one.ask("count"), "2");
    assert_eq!(two.ask("count"), "1");
    // A broadcast stays in its room, and so does a message to a client, whose id is one in the other room,
    // too.
    one.text("broadcast to all of one");
    one.text("to 1 to the first of one");
    one.expect(&["to all of one", "to the first of one"]);
    assert_eq!(two.ask("nothing else has come"), "nothing else has come");
    two.leave();
    assert_eq!(one.ask("count"), "3");
}

#[test]
fn a_client_that_only_stops_sending_gets_what_it_asked_for() {
    let server = TestServer::new(stateroom_tests::services::script());
    for _ in 0..200 {
        let mut client = server.client("room");
        client.text("hello");
        client.end_sending();
        assert_eq!(client.next_text(), "hello");
    }
}

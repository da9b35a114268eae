//! Tests of how long rooms live.

use std::{net::TcpStream, thread, time::Duration};

use stateroom_server_smol::{RoomIds, ShutdownPolicy, VirtualClock};
use stateroom_tests::{
    Client, TestServer, eventually, records, server,
    services::{script, script_guest},
};

#[test]
fn a_room_that_never_ends_keeps_its_state() {
    for server in [TestServer::new(script()), TestServer::new(script_guest())] {
        let mut client = server.client("hall");
        assert_eq!(client.ask("count"), "1");
        client.leave();
        server.wait_for_clients(0);
        assert_eq!(server.rooms(), [("hall".to_owned(), vec![])]);
        assert_eq!(server.client("hall").ask("count"), "2");
    }
}

#[test]
fn a_room_that_ends_at_once_ends_with_its_last_client() {
    for server in [
        TestServer::with(server().with_shutdown(ShutdownPolicy::Immediate), script()),
        TestServer::with(server().with_shutdown(ShutdownPolicy::Immediate), script_guest()),
    ] {
        let (mut one, mut two) = (server.client("hall"), server.client("hall"));
        assert_eq!(one.ask("count"), "1");
        one.leave();
        server.wait_for_clients(1);
        assert_eq!(two.ask("count"), "2");
        two.leave();
        server.wait_for_rooms(0);
        // A fresh room, with fresh ids.
        let mut three = server.client("hall");
        assert_eq!(three.ask("count"), "1");
        assert_eq!(server.rooms(), [("hall".to_owned(), vec![1])]);
    }
}

#[test]
fn a_room_that_nobody_has_been_in_waits_for_its_first_client() {
    let settings = server().with_room_ids(RoomIds::Explicit).with_shutdown(ShutdownPolicy::Immediate);
    let server = TestServer::with(settings, script());
    assert_eq!(server.post("/ws/hall").status, 201);
    assert_eq!(server.rooms(), [("hall".to_owned(), vec![])]);
    server.client("hall").leave();
    server.wait_for_rooms(0);
    assert_eq!(server.connect("/ws/hall").expect_err("no room").status, 404);
    assert_eq!(server.post("/ws/hall").status, 201);
}

#[test]
fn a_room_that_nobody_comes_to_ends_after_a_minute() {
    let settings = server().with_shutdown(ShutdownPolicy::Immediate);
    let server = TestServer::with_clock(settings, script());
    assert_eq!(server.post("/ws/hall").status, 201);
    server.pass(Duration::from_secs(59));
    assert_eq!(server.rooms(), [("hall".to_owned(), vec![])]);
    server.pass(Duration::from_secs(1));
    server.wait_for_rooms(0);
}

/// The time that an empty room stays.
const WHILE: Duration = Duration::from_secs(60);

fn server_of_rooms_that_stay_for_a_while() -> TestServer {
    TestServer::with_clock(server().with_shutdown(ShutdownPolicy::After(WHILE)), script())
}

#[test]
fn a_room_that_ends_after_a_while_ends_when_nobody_comes_back() {
    let server = server_of_rooms_that_stay_for_a_while();
    let mut client = server.client("hall");
    assert_eq!(client.ask("count"), "1");
    client.leave();
    // The while begins when the connection has ended.
    eventually("the room ends", || {
        server.pass(WHILE);
        server.stats().rooms == 0
    });
    assert_eq!(server.client("hall").ask("count"), "1");
}

#[test]
fn a_room_that_somebody_comes_back_to_in_time_goes_on() {
    let server = server_of_rooms_that_stay_for_a_while();
    let mut client = server.client("comeback");
    assert_eq!(client.ask("count"), "1");
    client.leave();
    server.wait_for_clients(0);
    server.pass(WHILE - Duration::from_millis(1));
    let mut client = server.client("comeback");
    assert_eq!(client.ask("count"), "2");
    // The while must not go on counting.
    server.pass(WHILE);
    assert_eq!(client.ask("count"), "3");
    assert_eq!(client.ask("count"), "4");
}

#[test]
fn the_end_of_a_room_takes_its_timer_along() {
    let settings = server().with_shutdown(ShutdownPolicy::Immediate);
    let server = TestServer::with_clock(settings, script());
    let mut client = server.client("untimely");
    client.text("timer 50");
    client.leave();
    server.wait_for_rooms(0);
    let mut client = server.client("untimely");
    client.text("timer 100");
    assert_eq!(client.ask("hello"), "hello");
    server.pass(Duration::from_millis(100));
    client.expect(&["timer 1"]);
    assert_eq!(records("untimely").iter().filter(|line| line.contains("the timer was due")).count(), 1);
}

#[test]
fn a_client_that_comes_as_the_last_one_leaves_finds_a_room_that_lives() {
    let server = TestServer::with(server().with_shutdown(ShutdownPolicy::Immediate), script());
    let address = server.address();
    let guests: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..150 {
                    let mut client = Client::connect(address, "/ws/revolving").expect("an upgrade");
                    assert_eq!(client.ask("hello"), "hello");
                    client.hang_up();
                }
            })
        })
        .collect();
    for guest in guests {
        guest.join().expect("everyone is let in");
    }
    server.wait_for_rooms(0);
}

#[test]
fn there_are_only_so_many_rooms() {
    for threads in [1, 2] {
        let settings =
            server().with_max_rooms(2).with_threads(threads).with_shutdown(ShutdownPolicy::Immediate);
        let server = TestServer::with(settings, script());
        let (mut one, mut two) = (server.client("one"), server.client("two"));
        assert_eq!((one.ask("hello"), two.ask("hello")), ("hello".to_owned(), "hello".to_owned()));
        for path in ["/ws/three", "/new_room"] {
            let full = server.post(path);
            assert_eq!((full.status, full.header("retry-after")), (503, Some("5")), "{path}");
        }
        assert_eq!(server.client("three").closed(), 1013);
        // Those that there are stay open, and one that ends makes room.
        assert_eq!(one.ask("hello"), "hello");
        two.leave();
        server.wait_for_rooms(1);
        assert_eq!(server.client("three").ask("hello"), "hello");
        assert_eq!(one.ask("hello"), "hello");
    }
}

#[test]
fn rooms_are_created_only_so_fast_from_an_address() {
    for threads in [1, 2] {
        let clock = VirtualClock::new();
        let settings = server().with_room_rate(1).with_threads(threads).with_clock(clock.clone());
        let server = TestServer::with(settings, script());
        for room in 0..9 {
            assert_eq!(server.post(&format!("/ws/{room}")).status, 201);
        }
        assert_eq!(server.client("by-connecting").ask("hello"), "hello");
        for path in ["/ws/late", "/new_room"] {
            let refused = server.post(path);
            assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{path}");
        }
        assert_eq!(server.client("late").closed(), 1013);
        // Rooms that there are cost nothing.
        assert_eq!(server.client("8").ask("hello"), "hello");
        clock.advance(Duration::from_secs(1));
        assert_eq!(server.client("late").ask("hello"), "hello");
        assert_eq!(server.post("/new_room").status, 429);
    }
}

#[test]
fn a_room_that_nobody_is_in_makes_place_for_another_one() {
    let server = TestServer::with(server().with_max_rooms(3), script());
    let ids = || server.rooms().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    let mut one = server.client("one");
    assert_eq!(one.ask("hello"), "hello");
    server.client("left").leave();
    server.wait_for_clients(1);
    // One that was never entered goes first, then the one that has been empty for longest.
    assert_eq!(server.post("/ws/created").status, 201);
    assert_eq!(server.post("/ws/other").status, 201);
    assert_eq!(ids(), ["left", "one", "other"]);
    let mut two = server.client("two");
    assert_eq!(two.ask("hello"), "hello");
    assert_eq!(ids(), ["left", "one", "two"]);
    let mut three = server.client("three");
    assert_eq!(three.ask("hello"), "hello");
    assert_eq!(ids(), ["one", "three", "two"]);
    assert_eq!(server.client("four").closed(), 1013);
    assert_eq!(one.ask("hello"), "hello");
}

#[test]
fn a_room_makes_place_for_one_of_another_thread() {
    const ROOMS: usize = 8;
    let server = TestServer::with(server().with_max_rooms(ROOMS).with_threads(4), script());
    for room in 0..4 * ROOMS {
        assert_eq!(server.post(&format!("/ws/{room}")).status, 201);
    }
    server.wait_for_rooms(ROOMS);
}

#[test]
fn there_are_only_so_many_clients() {
    for threads in [1, 2] {
        let server = TestServer::with(server().with_max_connections(2).with_threads(threads), script());
        let mut one = server.client("one");
        let two = server.client("two");
        let answer = server.connect("/ws/three").expect_err("one too many");
        assert_eq!((answer.status, answer.text()), (503, "the server has no space for another client"));
        assert_eq!(answer.header("connection"), Some("close"));
        // The operator can still ask, and clients that are in stay.
        assert_eq!(server.get("/status").status, 200);
        assert_eq!(one.ask("hello"), "hello");
        two.hang_up();
        let mut three = None;
        eventually("one that leaves makes space", || {
            three = server.connect("/ws/three").ok();
            three.is_some()
        });
        assert_eq!(three.expect("it is in").ask("hello"), "hello");
        assert_eq!(one.ask("hello"), "hello");
    }
}

#[test]
fn connections_beyond_all_places_wait_for_one() {
    let server = TestServer::with(server().with_max_connections(1), script());
    let mut client = server.client("one");
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(server.address()).expect("a backlog")).collect();
    assert_eq!(client.ask("hello"), "hello");
    drop(idle);
    assert_eq!(server.get("/status").status, 200);
}

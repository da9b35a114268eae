//! Limits of the sessions that wait, and of what is kept for them.

use stateroom_tests::{
    Frame, Message, TestServer, eventually,
    services::{Gate, journal},
};

use super::{TOKEN, begin, greeting, open, resume, settings};

#[test]
fn a_session_of_which_a_message_is_lost_does_not_continue() {
    let server = TestServer::with_clock(settings().with_session_buffer(1_000), journal());
    let mut other = server.client("room");
    other.expect(&["connect 1"]);
    let (mut client, _) = begin(&server, TOKEN);
    client.expect(&["connect 2"]);
    other.expect(&["connect 2"]);
    // The client is here, and does not confirm what it receives.
    let large = "x".repeat(400);
    for _ in 0..3 {
        client.text(&large);
        other.expect(&[&format!("message 2 {large}")]);
    }
    let (mut client, id) = begin(&server, TOKEN);
    assert_eq!(id, 3);
    client.expect(&["connect 3"]);
    let (a, b) = (other.next_text(), other.next_text());
    let mut both = [&*a, &*b];
    both.sort_unstable();
    assert_eq!(both, ["connect 3", "disconnect 2"]);
    // What it confirms makes space.
    client.expect(&["disconnect 2"]);
    for number in 0..5_u64 {
        client.text(&large);
        client.expect(&[&format!("message 3 {large}")]);
        client.text(&format!("\0{}", 3 + number));
        other.expect(&[&format!("message 3 {large}")]);
    }
    let (client, received) = resume(&server, TOKEN, 7);
    assert_eq!(received, 5);
    // Of a client that is away, the session ends as soon as a message is lost.
    client.hang_up();
    let echo = format!("message 1 {large}");
    let mut has_left = false;
    while !has_left {
        other.text(&large);
        while let text = other.next_text()
            && text != echo
        {
            assert_eq!(text, "disconnect 3");
            has_left = true;
        }
    }
}

#[test]
fn only_as_many_sessions_wait_as_there_may_be_connections() {
    let server = TestServer::with_clock(settings().with_max_connections(3), journal());
    let mut other = server.client("room");
    other.expect(&["connect 1"]);
    for number in 2..=4 {
        let (mut client, id) = begin(&server, &format!("{TOKEN}{number}"));
        assert_eq!(id, number);
        client.expect(&[&format!("connect {number}")]);
        other.expect(&[&format!("connect {number}")]);
        client.frame(&Frame::close(4999));
        assert_eq!(client.message(), Message::Close(4999));
        client.hang_up();
    }
    let (last, _) = begin(&server, &format!("{TOKEN}5"));
    other.expect(&["connect 5"]);
    last.hang_up();
    other.expect(&["disconnect 2"]);
    let (_client, _) = resume(&server, &format!("{TOKEN}3"), 0);
}

#[test]
fn lost_connections_take_no_place_while_the_room_is_busy() {
    let gate = Gate::default();
    let server = TestServer::with_clock(settings().with_max_connections(3), gate.clone());
    let (mut client, _) = begin(&server, TOKEN);
    let mut blocker = server.client("room");
    blocker.text("!");
    gate.wait_for_computing(1);
    client.text("waits");
    client.hang_up();
    // Its next connection waits for the room, too, and is lost as well.
    eventually("there is a place", || server.connect("/ws/other").is_ok());
    open(&server, TOKEN, 0).hang_up();
    let others = [(); 2].map(|()| {
        let mut other = None;
        eventually("there is a place", || {
            other = server.connect("/ws/other").ok();
            other.is_some()
        });
        other
    });
    drop(others);
    gate.open();
    eventually("the session goes on", || {
        match server.connect(&format!("/ws/room?stateroom.session={TOKEN}.0.9")) {
            Ok(mut client) => greeting(&mut client)["received"] == 1,
            Err(_) => false,
        }
    });
}

#[test]
fn messages_kept_for_sessions_leave_memory_for_others() {
    const MEMORY: usize = 16 << 20;
    let settings = settings().with_total_memory(MEMORY).with_session_buffer(1 << 20);
    let server = TestServer::with_clock(settings, journal());
    // They receive everything, and confirm nothing.
    let mut clients: Vec<_> = (0..40).map(|number| begin(&server, &format!("{TOKEN}{number}")).0).collect();
    let mut speaker = server.client("room");
    while speaker.next_text() != "connect 41" {}
    let large = "x".repeat(100_000);
    for number in 0..10 {
        speaker.text(&large);
        speaker.expect(&[&format!("message 41 {large}")]);
        for client in &mut clients {
            // Each has received what came with the clients behind it.
            while client.next_text().len() < large.len() {}
        }
        assert!(number < 3 || server.stats().memory > MEMORY / 4, "they are kept");
    }
    assert!(server.stats().memory < MEMORY / 16 * 9, "{}", server.stats().memory);
    // Others find space for what is large, and for themselves.
    let mut newcomer = server.client("another");
    newcomer.expect(&["connect 1"]);
    let larger = "x".repeat(1 << 20);
    newcomer.text(&larger);
    newcomer.expect(&[&format!("message 1 {larger}")]);
}

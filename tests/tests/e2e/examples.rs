//! The examples do what their documentation says.

use stateroom_tests::{Child, Client, Output, TestServer, eventually, example, guest, server};

#[test]
fn echo() {
    let server = TestServer::new(guest("echo"));
    let mut client = server.client("lobby");
    assert_eq!(client.ask("hello"), "hello");
    client.binary(&[0, 255]);
    assert_eq!(client.next_binary(), [0, 255]);
}

#[test]
fn binary_echo() {
    let server = TestServer::new(guest("binary-echo"));
    let mut client = server.client("lobby");
    client.text("hé");
    assert_eq!(client.next_binary(), [104, 195, 169]);
    client.binary(&[0, 255]);
    assert_eq!(client.next_binary(), [0, 255]);
}

#[test]
fn counter() {
    let server = TestServer::new(guest("counter"));
    let (mut one, mut two) = (server.client("lobby"), server.client("lobby"));
    assert_eq!(two.ask("decrement"), "new value: -1");
    one.expect(&["new value: -1"]);
    one.text("increase");
    one.binary(b"increment");
    one.text("increment");
    one.text("increment");
    for client in [&mut one, &mut two] {
        client.expect(&["new value: 0", "new value: 1"]);
    }
}

#[test]
fn chat() {
    let server = TestServer::new(guest("chat"));
    let mut one = server.client("lobby");
    one.expect(&["Welcome, client1! Send /nick <name> to change your name."]);
    let mut two = server.client("lobby");
    two.expect(&["Welcome, client2! Send /nick <name> to change your name."]);
    one.expect(&["client2 has joined"]);
    one.text("/nick  Ada ");
    one.text("Good morning!");
    for client in [&mut one, &mut two] {
        client.expect(&["client1 is now known as Ada", "Ada: Good morning!"]);
    }
    assert_eq!(two.ask("/nick Ada"), "Ada is taken.");
    assert_eq!(two.ask("/nick"), "A name has 1 to 32 bytes.");
    assert_eq!(two.ask(&format!("/nick {}", "x".repeat(33))), "A name has 1 to 32 bytes.");
    two.binary(b"not text");
    assert_eq!(two.ask("/me waves"), "client2: /me waves");
    one.expect(&["client2: /me waves"]);
    one.leave();
    two.expect(&["Ada has left"]);
}

#[test]
fn cursors() {
    let server = TestServer::new(guest("cursors"));
    let mut one = server.client("lobby");
    assert_eq!(one.next_binary(), [0]);
    one.binary(&[1, 2, 3, 4]);
    let mut two = server.client("lobby");
    assert_eq!(two.next_binary(), [0, 1, 0, 0, 0, 1, 2, 3, 4]);
    two.text("not a position");
    two.binary(&[1, 2, 3]);
    two.binary(&[5, 6, 7, 8]);
    assert_eq!(one.next_binary(), [0, 2, 0, 0, 0, 5, 6, 7, 8]);
    one.binary(&[9, 9, 9, 9]);
    assert_eq!(two.next_binary(), [0, 1, 0, 0, 0, 9, 9, 9, 9]);
    one.leave();
    assert_eq!(two.next_binary(), [1, 1, 0, 0, 0]);
}

#[test]
fn cursors_without_a_place_are_told() {
    let server = TestServer::new(guest("cursors"));
    let mut clients: Vec<Client> = (0..33)
        .map(|number: usize| {
            let mut client = server.client("full");
            // Each sees those who moved before it.
            assert_eq!(client.next_binary().len(), 1 + 8 * number.min(32));
            client.binary(&[number.to_le_bytes()[0], 0, 0, 0]);
            if number < 32 {
                // The next one to come sees this one: its move has to be over.
                assert_eq!(server.client("full").next_binary().len(), 1 + 8 * (number + 1));
            }
            client
        })
        .collect();
    let mut last = clients.pop().expect("the thirty-third");
    assert_eq!(last.next_binary(), [2]);
    clients.pop().expect("the thirty-second").leave();
    let gone = last.next_binary();
    assert_eq!((gone.len(), gone[0]), (5, 1));
    // Now there is a place.
    last.binary(&[7, 7, 7, 7]);
    let first = &mut clients[0];
    let moved =
        std::iter::repeat_with(|| first.next_binary()).find(|message| message.ends_with(&[7, 7, 7, 7]));
    assert_eq!(moved.expect("it never ends").len(), 9);
}

#[test]
fn cursors_come_with_a_page() {
    let dist = example("cursors");
    let server = TestServer::with(server().with_static_files(Some(dist.join("static"))), guest("cursors"));
    let page = server.get("/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("WebSocket"));
}

#[test]
fn vote() {
    let server = TestServer::new(guest("vote"));
    let mut one = server.client("lobby");
    one.expect(&[""]);
    assert_eq!(one.ask(" tea "), "1 tea");
    let mut two = server.client("lobby");
    two.expect(&["1 tea"]);
    two.text("");
    two.text(&"x".repeat(65));
    two.binary(b"milk");
    assert_eq!(two.ask("coffee"), "1 coffee\n1 tea");
    assert_eq!(two.ask("tea"), "2 tea");
    one.expect(&["1 coffee\n1 tea", "2 tea"]);
    two.leave();
    one.expect(&["1 tea"]);
}

#[test]
fn seed_echo() {
    let server = TestServer::new(guest("seed-echo"));
    let mut one = server.client("lobby");
    one.expect(&["User ClientId(1) connected."]);
    let mut two = server.client("lobby");
    two.expect(&["User ClientId(2) connected."]);
    one.binary(b"ignored");
    one.text("hello");
    for client in [&mut one, &mut two] {
        client.expect(&["User ClientId(1) sent 'hello'"]);
    }
    one.leave();
    two.expect(&["User ClientId(1) left."]);
}

#[test]
fn native_echo() {
    // Where it insists on a port of its own, somebody else may have that for a while.
    let mut started = None;
    eventually("its port is free", || {
        let child = Child::start("native-echo", &["0"]);
        started = child.find_line(Output::Stdout, "echo on ws://").ok().map(|url| (child, url));
        started.is_some()
    });
    let (_child, url) = started.expect("this was waited for");
    let port = url.trim_end_matches("/ws").rsplit(':').next().and_then(|port| port.parse().ok());
    let address = ([127, 0, 0, 1], port.expect("a port")).into();
    let mut client = Client::connect(address, "/ws").expect("an upgrade");
    assert_eq!(client.ask("hello"), "hello");
    client.binary(&[0, 255]);
    assert_eq!(client.next_binary(), [0, 255]);
}

#[test]
fn embed() {
    let mut child = Child::start("embed", &[example("echo").join("server.wasm")]);
    for line in ["hello", "", "héllo 😀"] {
        child.say(line);
        assert_eq!(child.line(Output::Stdout, line), "");
    }
    child.end_input();
    assert_eq!(child.exit().0, Some(0));

    // With a timer and everything.
    let mut child = Child::start("embed", &[example("clock").join("server.wasm")]);
    child.say("what time is it?");
    assert_eq!(child.line(Output::Stdout, "1"), "");
    child.end_input();
    assert_eq!(child.exit().0, Some(0));

    let mut child = Child::start("embed", &[""; 0]);
    assert!(child.line(Output::Stderr, "usage: ").starts_with("embed"));
    assert_eq!(child.exit().0, Some(2));
}

#[test]
fn dist_is_served_by_the_command() {
    let dist = example("cursors").display().to_string();
    let child = Child::start("stateroom", &["serve", &dist, "--ip", "127.0.0.1", "--port", "0"]);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut client = Client::connect(address, "/ws/lobby").expect("an upgrade");
    assert_eq!(client.next_binary(), [0]);
}

//! A client that does not keep up harms itself alone.

use std::{iter, sync::mpsc, thread, time::Duration};

use stateroom_server_smol::ShutdownPolicy;
use stateroom_tests::{
    Client, Frame, Message, Module, TestServer, eventually, guest, server,
    services::{journal, script, script_guest},
};

/// The number of messages of 10,000 bytes that fill the system's buffers and the server's, too.
const MANY: usize = 5_000;

#[test]
fn a_client_that_does_not_read_is_closed_and_others_keep_receiving() {
    for server in [
        TestServer::with_clock(server().with_outbox_size(64 << 10), script()),
        TestServer::with_clock(server().with_outbox_size(64 << 10), script_guest()),
    ] {
        let mut slow = server.client("room");
        assert_eq!(slow.ask("hello"), "hello");
        let (mut speaker, mut listener) = (server.client("room"), server.client("room"));
        assert_eq!(listener.ask("hello"), "hello");
        let filler = "x".repeat(10_000);
        // One after the other, so that only the one who does not read falls behind.
        let mut said = 0;
        while said < MANY && (said % 20 != 0 || server.status()["client_count"] == 3) {
            said += 1;
            let text = format!("{said} {filler}");
            speaker.text(&format!("broadcast {text}"));
            assert_eq!(speaker.next_text(), text);
            assert_eq!(listener.next_text(), text);
        }
        // It has left the room at once, and not only when its silence is noticed.
        server.wait_for_clients(2);
        assert_eq!(speaker.ask("count"), "1");
        assert_eq!(listener.ask("count"), "2");
        // What it gets to see is a beginning of what was said, in order.
        for number in 1.. {
            match slow.message() {
                Message::Text(text) => assert_eq!(text, format!("{number} {filler}")),
                Message::Close(1013) | Message::End => break,
                other => panic!("{other:?}"),
            }
            assert!(number <= said);
        }
    }
}

#[test]
fn disconnect_is_told_of_a_client_that_does_not_read() {
    let server = TestServer::with(server().with_outbox_size(64 << 10), journal());
    let mut slow = server.client("room");
    slow.expect(&["connect 1"]);
    let mut speaker = server.client("room");
    speaker.expect(&["connect 2"]);
    let filler = "x".repeat(10_000);
    for _ in 0..MANY {
        speaker.text(&filler);
        let line = speaker.next_text();
        if line == "disconnect 1" {
            return;
        }
        assert!(line.starts_with("message 2 "), "{line}");
    }
    speaker.expect(&["disconnect 1"]);
}

#[test]
fn a_client_that_reads_late_gets_the_reason() {
    let server = TestServer::with_clock(server().with_outbox_size(64 << 10), script());
    let mut slow = server.client("room");
    let mut speaker = server.client("room");
    assert_eq!(speaker.ask("hello"), "hello");
    assert_eq!(slow.ask("hello"), "hello");
    let filler = "x".repeat(60_000);
    for _ in 0..MANY {
        assert_eq!(speaker.ask(&format!("except 1 {filler}")), filler);
        speaker.text(&format!("to 1 {filler}"));
        if server.status()["client_count"] == 1 {
            break;
        }
    }
    // It has a second left, which does not pass, in which it can take in all that is on its way.
    let end = loop {
        match slow.message() {
            Message::Text(text) => assert!(text == filler),
            other => break other,
        }
    };
    assert_eq!(end, Message::Close(1013));
}

/// Sends messages to client 1, of which it reads none, until so many bytes wait for it that the system does not take.
#[track_caller]
fn fall_behind(server: &TestServer, speaker: &mut Client, bytes: usize) -> usize {
    let before = server.stats().memory;
    let message = format!("to 1 {}", "x".repeat(FILLER));
    let mut sent = 0;
    while server.stats().memory < before + bytes {
        speaker.text(&message);
        assert_eq!(speaker.ask("sent"), "sent");
        sent += 1;
    }
    sent
}

/// The bytes of such a message.
const FILLER: usize = 100_000;

/// The time that a client may take nothing, or may take for a message.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Returns a server on which nothing has a time but messages and outboxes, and pings.
fn server_with_timeouts() -> TestServer {
    let settings = server()
        .with_heartbeat_interval(TIMEOUT)
        .with_heartbeat_timeout(Duration::ZERO)
        .with_message_timeout(TIMEOUT)
        .with_outbox_timeout(TIMEOUT)
        .with_outbox_size(256 << 20);
    TestServer::with_clock(settings, script())
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_closed_and_others_keep_receiving() {
    let server = server_with_timeouts();
    let mut slow = server.client("room");
    assert_eq!(slow.ask("hello"), "hello");
    let (mut speaker, mut listener) = (server.client("room"), server.client("room"));
    assert_eq!(listener.ask("hello"), "hello");
    let sent = fall_behind(&server, &mut speaker, 1 << 20);
    // In steps that leave it time for the close frame. The system may take a little more of what waits at the first looks.
    let mut passed = Duration::ZERO;
    while server.stats().clients == 3 {
        assert!(passed < 10 * TIMEOUT, "it is still there");
        assert_eq!(speaker.ask("broadcast news"), "news");
        listener.expect(&["news"]);
        server.pass(TIMEOUT / 10);
        passed += TIMEOUT / 10;
        assert_eq!(speaker.ask("and then?"), "and then?");
    }
    assert!(passed > TIMEOUT, "{passed:?}");
    listener.text("broadcast more news");
    speaker.expect(&["more news"]);
    listener.expect(&["more news"]);
    // What the system has taken still comes, and then the reason.
    let mut received = 0;
    let end = loop {
        match slow.message() {
            Message::Text(text) if text.len() == FILLER => received += 1,
            other => break other,
        }
    };
    assert_eq!(end, Message::Close(1013));
    assert!(received < sent, "{received} of {sent}");
}

#[test]
fn a_client_that_reads_slowly_but_steadily_is_not_closed() {
    let server = server_with_timeouts();
    let mut slow = server.client("room");
    assert_eq!(slow.ask("hello"), "hello");
    let mut speaker = server.client("room");
    let sent = fall_behind(&server, &mut speaker, 32 << 20);
    let mut received = 0;
    for _ in 0..4 {
        let before = server.stats().memory;
        while server.stats().memory >= before {
            assert_eq!(slow.next_text().len(), FILLER);
            received += 1;
        }
        server.pass(TIMEOUT);
        // With its ping the speaker has been looked at, and so has the slow one.
        while speaker.next_frame().expect("a ping").opcode != Frame::PING {}
        assert_eq!(speaker.ask("done"), "done");
    }
    assert!(received < sent, "this test needs a client that is behind all the while");
    (received..sent).for_each(|_| assert_eq!(slow.next_text().len(), FILLER));
    assert_eq!(slow.ask("hello"), "hello");
}

#[test]
fn a_client_that_does_not_finish_a_message_is_closed() {
    let half = |text: &str| Frame::text(text).masked()[..10].to_vec();
    for (name, begun, more) in [
        ("nothing more", half("it has an end, but not here"), vec![]),
        ("a byte now and then", half("it has an end, but not here"), b"x".to_vec()),
        (
            "a fragment now and then",
            Frame::unfinished(Frame::TEXT, "once").masked(),
            Frame::unfinished(Frame::CONTINUATION, " more").masked(),
        ),
    ] {
        let server = server_with_timeouts();
        let mut client = server.client("room");
        // With the answer it is known that the beginning has come, too.
        client.raw(&[Frame::text("hello").masked(), begun].concat());
        client.expect(&["hello"]);
        server.pass(TIMEOUT);
        assert_eq!(client.next_frame().expect("a ping").opcode, Frame::PING, "{name}");
        client.raw(&more);
        server.pass(TIMEOUT);
        let closed = client.closed_because();
        assert_eq!(closed, (1008, "the rest of a message did not come in time"), "{name}");
    }
}

#[test]
fn a_client_that_is_always_within_another_message_is_not_closed() {
    let server = server_with_timeouts();
    let mut client = server.client("room");
    let message = Frame::text("hello").masked();
    let (begin, rest) = message.split_at(message.len() / 2);
    client.raw(begin);
    for _ in 0..4 {
        client.raw(&[rest, begin].concat());
        client.expect(&["hello"]);
        server.pass(TIMEOUT);
        assert_eq!(client.next_frame().expect("a ping").opcode, Frame::PING);
    }
}

#[test]
fn a_message_larger_than_an_outbox_ends_the_connection_that_it_is_for() {
    let server = TestServer::with(server().with_outbox_size(10_000), guest("echo"));
    let mut client = server.client("room");
    let long = "x".repeat(9_000);
    assert!(client.ask(&long) == long);
    client.text(&"x".repeat(10_000));
    assert_eq!(client.closed(), 1013);
    assert_eq!(server.client("room").ask("hello"), "hello");
}

/// Sends `frame` for as long as the server takes it, and until it is told to stop.
fn flood(mut client: Client, frame: Vec<u8>) -> (mpsc::Sender<()>, thread::JoinHandle<()>) {
    let (stop, stopped) = mpsc::channel();
    let frames = frame.repeat(1_000);
    let flooding = thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            if !client.try_raw(&frames) {
                break;
            }
        }
    });
    (stop, flooding)
}

#[test]
fn a_flood_from_one_client_does_not_hold_up_the_others() {
    let continuation = Frame::unfinished(Frame::CONTINUATION, "");
    for (name, first, frame) in [
        ("pongs", None, Frame::new(Frame::PONG, "").masked()),
        ("messages", None, Frame::text("").masked()),
        ("empty fragments", Some(Frame::unfinished(Frame::TEXT, "").masked()), continuation.masked()),
        ("a broken protocol", Some(Frame::text("a").unmasked()), vec![0; 16]),
        ("words after a farewell", Some(Frame::close(1000).masked()), Frame::text("more").masked()),
    ] {
        let server = TestServer::with_clock(server(), guest("echo"));
        let mut quick = server.client("quick");
        let mut client = server.client("flooded");
        if let Some(first) = first {
            client.raw(&first);
        }
        let (stop, flooding) = flood(client, frame);
        for number in 0..50 {
            let text = number.to_string();
            assert_eq!(quick.ask(&text), text, "{name}");
        }
        // Ends, while the flood goes on.
        server.handle().begin_shutdown();
        assert_eq!(quick.closed(), 1001, "{name}");
        server.pass(Duration::from_millis(1_500));
        server.stop();
        drop(stop);
        flooding.join().expect("a flood does not panic");
    }
}

#[test]
fn a_client_that_does_not_read_its_answers_is_not_heard_and_others_are() {
    for server in [
        TestServer::with(server().with_outbox_size(256 << 10), script()),
        TestServer::with(server().with_outbox_size(256 << 10), guest("echo")),
    ] {
        let mut deaf = server.client("room");
        let mut other = server.client("room");
        let filler = "x".repeat(10_000);
        let frames = (0..2_000).map({
            let filler = filler.clone();
            move |number| Frame::text(&format!("{number} {filler}"))
        });
        let sending = deaf.send_aside(frames);
        for number in 0..500 {
            let text = number.to_string();
            assert_eq!(other.ask(&text), text);
        }
        // It was made to wait, but it has lost nothing.
        for number in 0..2_000 {
            assert_eq!(deaf.next_text(), format!("{number} {filler}"));
        }
        sending.join().expect("it only sends");
        assert_eq!(other.ask("well"), "well");
    }
}

#[test]
fn three_hundred_clients_leave_together() {
    for shutdown in [ShutdownPolicy::Never, ShutdownPolicy::Immediate] {
        for server in [
            TestServer::with(server().with_shutdown(shutdown), script()),
            TestServer::with(server().with_shutdown(shutdown), script_guest()),
        ] {
            let mut witness = server.client("room");
            assert_eq!(witness.ask("count"), "1");
            let mut crowd: Vec<_> = (0..300).map(|_| server.client("room")).collect();
            assert_eq!(crowd[299].ask("count"), "2");
            for client in &mut crowd {
                client.text("broadcast farewell");
            }
            crowd.into_iter().for_each(Client::reset);
            server.wait_for_clients(1);
            // Of the farewells those came that were said in time; the room still answers.
            witness.text("to 1 still here");
            while witness.next_text() != "still here" {}
            assert_eq!(server.rooms(), [("room".to_owned(), vec![1])]);
        }
    }
}

#[test]
fn resets_with_replies_in_flight_leave_the_room_alive() {
    for server in [TestServer::new(script()), TestServer::new(script_guest())] {
        let mut witness = server.client("room");
        for count in 1..=5 {
            let mut client = server.client("room");
            let filler = "x".repeat(2_000);
            let frames: Vec<_> = iter::repeat_n(Frame::text(&filler).masked(), 1_000).collect();
            client.raw(&frames.concat());
            // The first reply is there, and others are on their way.
            assert_eq!(client.next_text(), filler);
            client.reset();
            assert_eq!(witness.ask("count"), count.to_string());
        }
        server.wait_for_clients(1);
        assert_eq!(server.client("room").ask("count"), "6");
    }
}

#[test]
fn a_room_that_fails_does_not_wait_for_a_client_that_does_not_read() {
    let server = TestServer::with_clock(server().with_outbox_size(16 << 20), script());
    let mut slow = server.client("room");
    assert_eq!(slow.ask("hello"), "hello");
    let mut speaker = server.client("room");
    for _ in 0..700 {
        speaker.text(&format!("to 1 {}", "x".repeat(10_000)));
    }
    assert_eq!(speaker.ask("hello"), "hello");
    assert_eq!(
        server.status()["client_count"],
        2,
        "this test needs a client for which some wait, but not too many"
    );
    speaker.text("panic now");
    speaker.expect(&["about to panic"]);
    assert_eq!(speaker.closed(), 1011);
    // The server lets go of the other one, too, although it takes nothing in.
    eventually("the server lets go of it", || {
        server.pass(Duration::from_secs(1));
        !slow.takes(&Frame::new(Frame::PONG, []))
    });
}

#[test]
fn a_broadcast_in_one_event_reaches_everyone_who_reads() {
    // 200 messages of 1,000 bytes to each of 20 clients, all at once.
    let module = Module::new().memory("3").told(
        "(loop $again
            (call $send_binary (i32.const 0) (i32.const 1024) (i32.const 1000))
            (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200))))",
    );
    let server = TestServer::new(module.program());
    let mut clients: Vec<_> = (0..20).map(|_| server.client("room")).collect();
    for client in &mut clients {
        assert_eq!(client.ask("here"), "here");
    }
    clients[0].text("!");
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                for _ in 0..200 {
                    assert_eq!(client.next_binary().len(), 1_000);
                }
                client
            })
        })
        .collect();
    let mut clients: Vec<_> = readers.into_iter().map(|thread| thread.join().expect("all of it")).collect();
    clients[0].expect(&["!"]);
}

#[test]
fn answers_come_in_order_in_whatever_pieces_one_asks_and_however_late_one_reads() {
    // `!` takes several slices, so that the others in the room have to wait.
    let module = || {
        Module::new().told(
            "(loop $on (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $on (i32.lt_u (local.get $i) (i32.const 50000))))",
        )
    };
    for outbox in [1_024, 3_000, 100_000] {
        // Those who say nothing more have a second to read the rest. Here it does not pass.
        let server = TestServer::with_clock(server().with_outbox_size(outbox), module().program());
        let texts = |client: usize| {
            (0..200).map(move |index| {
                let long = if (index + 7 * client).is_multiple_of(53) { "!" } else { "" };
                format!("{long}{client} {index} {}", "x".repeat((client + 1) * index % 61))
            })
        };
        let mut clients: Vec<_> = (0..12)
            .map(|number| {
                let bytes: Vec<u8> = texts(number).flat_map(|text| Frame::text(&text).masked()).collect();
                (server.client(&(number % 3).to_string()), bytes)
            })
            .collect();
        let mut size = 1;
        while clients.iter().any(|(_, bytes)| !bytes.is_empty()) {
            for (client, bytes) in &mut clients {
                size = size * 31 % 1_009;
                client.raw(&bytes[..size.min(bytes.len())]);
                bytes.drain(..size.min(bytes.len()));
            }
        }
        for (number, (mut client, _)) in clients.into_iter().enumerate() {
            if number % 2 == 1 {
                client.end_sending();
            }
            texts(number).for_each(|text| assert_eq!(client.next_text(), text));
        }
        server.wait_for_clients(0);
    }
}

//! Messages arrive as they were sent, where they were sent to, in the order in which they were sent.

use stateroom_sdk_core::engine::EngineFactory;
use stateroom_tests::{
    Frame, Module, TestServer, guest,
    services::{journal, journal_guest, script, script_guest},
};

/// Returns a native service and a guest.
fn scripts() -> [TestServer; 2] {
    [TestServer::new(script()), TestServer::new(script_guest())]
}

/// Tests a service that echoes, whatever it is made of.
#[track_caller]
fn echoes(factory: impl EngineFactory) {
    let server = TestServer::new(factory);
    let mut client = server.client("room");
    let every_char = "\0 a\u{7f}\u{80}é\u{7ff}\u{800}漢\u{ffff}\u{10000}😀\u{10ffff}";
    let long = "0123456789abcdef".repeat(1 << 16);
    assert_eq!(long.len(), 1 << 20);
    for text in
        ["hello", "", "\0", every_char, &"x".repeat(125), &"x".repeat(126), &"x".repeat(65_536), &long]
    {
        let answer = client.ask(text);
        assert!(answer == text, "{} bytes became {}", text.len(), answer.len());
    }
    let every_byte: Vec<u8> = (0..=255).collect();
    for bytes in [&b"hello"[..], &[], &[0], &every_byte, long.as_bytes()] {
        client.binary(bytes);
        let answer = client.next_binary();
        assert!(answer == bytes, "{} bytes became {}", bytes.len(), answer.len());
    }
    assert_eq!(client.ask("after all that"), "after all that");
    client.leave();
}

#[test]
fn a_guest_echoes() {
    echoes(guest("echo"));
}

#[test]
fn a_native_service_echoes() {
    echoes(script());
}

#[test]
fn a_guest_with_an_allocator_echoes() {
    echoes(script_guest());
}

#[test]
fn a_module_without_an_sdk_echoes() {
    echoes(
        Module::new()
            .memory("34")
            // `?` and `!` mean something to it, but no text of this test begins with them.
            .program(),
    );
}

#[test]
fn messages_reach_whom_they_are_meant_for() {
    for server in scripts() {
        let mut clients = [server.client("room"), server.client("room"), server.client("room")];
        for client in &mut clients {
            assert_eq!(client.ask("here"), "here");
        }
        let [one, two, three] = &mut clients;
        one.text("broadcast to all");
        one.text("to 2 to the second");
        one.text("to 1 to myself");
        one.text("except 2 to all but the second");
        one.text("except 1 to the others");
        one.text("except 9 to all again");
        one.text("to 9 to nobody");
        one.text("broadcast ");
        one.expect(&["to all", "to myself", "to all but the second", "to all again", ""]);
        two.expect(&["to all", "to the second", "to the others", "to all again", ""]);
        three.expect(&["to all", "to all but the second", "to the others", "to all again", ""]);
        for client in &mut clients {
            assert_eq!(client.ask("nothing else"), "nothing else");
        }
    }
}

#[test]
fn a_service_hears_text_as_text_and_bytes_as_bytes() {
    for server in [TestServer::new(journal()), TestServer::new(journal_guest())] {
        let mut client = server.client("room");
        client.text("");
        client.text("[]");
        client.binary(&[]);
        client.binary("é".as_bytes());
        client.expect(&["connect 1", "message 1 ", "message 1 []", "message 1 []", "message 1 [195, 169]"]);
    }
}

#[test]
fn ten_thousand_pipelined_messages_keep_their_order() {
    for server in scripts() {
        let mut client = server.client("room");
        let sending = client.send_aside((0..10_000).map(|number| Frame::text(&number.to_string())));
        for number in 0..10_000 {
            assert_eq!(client.next_text(), number.to_string());
        }
        sending.join().expect("it only sends");
    }
}

#[test]
fn a_thousand_messages_may_wait_for_their_answers() {
    for server in scripts() {
        let mut client = server.client("room");
        let frames: Vec<u8> =
            (0..1_000).flat_map(|number: u32| Frame::text(&number.to_string()).masked()).collect();
        client.raw(&frames);
        let mut other = server.client("room");
        assert_eq!(other.ask("meanwhile"), "meanwhile");
        for number in 0..1_000 {
            assert_eq!(client.next_text(), number.to_string());
        }
    }
}

#[test]
fn everyone_gets_broadcasts_in_the_same_order() {
    for server in [TestServer::new(journal()), TestServer::new(journal_guest())] {
        let mut clients: Vec<_> = (1..=5)
            .map(|id| {
                let mut client = server.client("room");
                client.expect(&[&format!("connect {id}")]);
                client
            })
            .collect();
        let sending: Vec<_> = clients
            .iter()
            .map(|client| client.send_aside((0..200).map(|number| Frame::text(&number.to_string()))))
            .collect();
        let heard: Vec<Vec<String>> = clients
            .iter_mut()
            .map(|client| {
                let lines = std::iter::repeat_with(|| client.next_text());
                lines.filter(|line| line.starts_with("message")).take(1_000).collect()
            })
            .collect();
        for thread in sending {
            thread.join().expect("it only sends");
        }
        assert!(heard.iter().all(|lines| *lines == heard[0]));
        for id in 1..=5 {
            let prefix = format!("message {id} ");
            let own: Vec<_> = heard[0].iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
            assert_eq!(own, (0..200).map(|number| number.to_string()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_message_of_the_largest_size_is_taken_and_a_larger_one_is_not() {
    for server in [TestServer::new(script()), TestServer::new(guest("echo"))] {
        let mut bystander = server.client("room");
        for kind in [Frame::TEXT, Frame::BINARY] {
            let mut client = server.client("room");
            let sending = client.send_aside(std::iter::once(Frame::new(kind, vec![b'x'; (1 << 20) + 1])));
            assert_eq!(client.closed(), 1009);
            sending.join().expect("it only sends");
        }
        // In pieces it is no smaller.
        let mut client = server.client("room");
        let pieces = [
            Frame::unfinished(Frame::BINARY, vec![1; 1 << 19]),
            Frame::unfinished(Frame::CONTINUATION, vec![1; 1 << 19]),
            Frame::new(Frame::CONTINUATION, [1]),
        ];
        let sending = client.send_aside(pieces.into_iter());
        assert_eq!(client.closed(), 1009);
        sending.join().expect("it only sends");
        assert_eq!(bystander.ask("unharmed"), "unharmed");
    }
}

#[test]
fn the_largest_size_can_be_set() {
    let server = TestServer::with(stateroom_tests::server().with_message_size(100), script());
    let mut client = server.client("room");
    assert_eq!(client.ask(&"x".repeat(100)), "x".repeat(100));
    client.text(&"x".repeat(101));
    assert_eq!(client.closed(), 1009);
}

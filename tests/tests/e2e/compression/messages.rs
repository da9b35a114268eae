//! Messages of clients.

use stateroom_tests::services::{journal, script};

use super::*;

#[test]
fn compressed_messages_are_taken_in_one_piece_and_in_many() {
    let server = TestServer::with(compressing(usize::MAX), script());
    let mut client = client(server.address());
    for message in ["", "a", "Hello", &text(300), &text(5000), &text(300_000)] {
        let frame = deflated(Frame::TEXT, message.as_bytes());
        client.frame(&frame);
        assert_eq!(client.next_frame(), Some(Frame::text(message)));
        client.frame(&deflated(Frame::BINARY, message.as_bytes()));
        assert_eq!(client.next_frame(), Some(Frame::new(Frame::BINARY, message)));
        // In three frames, with a ping between them.
        let (first, rest) = frame.payload.split_at(frame.payload.len() / 2);
        client.frame(&Frame::unfinished(Frame::TEXT, first).compressed());
        client.frame(&Frame::new(Frame::PING, "x"));
        client.frame(&Frame::unfinished(Frame::CONTINUATION, rest));
        client.frame(&Frame::new(Frame::CONTINUATION, ""));
        assert_eq!(client.next_frame(), Some(Frame::new(Frame::PONG, "x")));
        assert_eq!(client.next_frame(), Some(Frame::text(message)));
        if message.len() < 1000 {
            frame.masked().iter().for_each(|byte| client.raw(&[*byte]));
            assert_eq!(client.next_frame(), Some(Frame::text(message)));
        }
        // A client may always send a message as it is.
        client.text(message);
        assert_eq!(client.next_frame(), Some(Frame::text(message)));
    }
}

#[test]
fn many_compressed_messages_at_once_come_in_order() {
    let server = TestServer::with(compressing(100), script());
    let mut client = client(server.address());
    let message = |number: usize| format!("{number} {}", text(number * 37 % 3000));
    let sender =
        client.send_aside((0..2000).map(move |number| deflated(Frame::TEXT, message(number).as_bytes())));
    for number in 0..2000 {
        let frame = client.next_frame().unwrap();
        let payload = if frame.is_compressed { inflated(&frame) } else { frame.payload };
        assert!(payload == message(number).into_bytes(), "{number}");
    }
    sender.join().unwrap();
}

/// Sends frames and expects to be closed with `code`, while another client of the room notices nothing.
#[track_caller]
fn closes(code: u16, frames: &[Frame]) {
    let server = TestServer::with(compressing(100).with_message_size(100_000), journal());
    let mut observer = server.client("room");
    let mut client = client(server.address());
    client.expect(&["connect 2"]);
    frames.iter().for_each(|frame| _ = client.takes(frame));
    assert_eq!(client.closed(), code);
    observer.expect(&["connect 1", "connect 2", "disconnect 2"]);
}

#[test]
fn what_cannot_be_inflated_is_refused() {
    for payload in [&b"hello"[..], b"\xff\xff", b"\x07", b"\0\x05\0\0\0", b"", b"\xf2\x48\xcd\xc9\xc9\x07\0x"]
    {
        closes(1007, &[Frame::new(Frame::BINARY, payload).compressed()]);
    }
    let mut cut = deflated(Frame::TEXT, text(1000).as_bytes());
    cut.payload.truncate(100);
    closes(1007, &[cut]);
    // It can, and is not text.
    closes(1007, &[deflated(Frame::TEXT, b"caf\xc3")]);
}

#[test]
fn the_mark_of_a_compressed_message_is_only_where_it_belongs() {
    let Frame { payload, .. } = deflated(Frame::TEXT, b"Hello");
    let first = || Frame::unfinished(Frame::TEXT, &payload[..3]).compressed();
    closes(1002, &[first(), Frame::new(Frame::CONTINUATION, &payload[3..]).compressed()]);
    closes(1002, &[Frame::unfinished(Frame::TEXT, "a"), Frame::new(Frame::CONTINUATION, "b").compressed()]);
    for control in [Frame::PING, Frame::PONG, Frame::CLOSE] {
        closes(1002, &[Frame::new(control, "").compressed()]);
    }
}

#[test]
fn a_message_that_inflates_to_too_much_is_refused() {
    closes(1009, &[deflated(Frame::BINARY, &[0; 100_001])]);
    closes(1009, &[deflated(Frame::BINARY, &vec![0; 50 << 20])]);
    // Blocks without content.
    closes(1009, &[Frame::new(Frame::BINARY, b"\0\0\0\xff\xff".repeat(30_000)).compressed()]);
}

#[test]
fn bombs_take_no_memory_and_do_not_hold_others_up() {
    const LIMIT: usize = 1 << 20;
    let settings = compressing(100).with_total_memory(16 << 20).with_message_size(LIMIT);
    let server = TestServer::with(settings, script());
    let mut other = server.client("other");
    assert_eq!(other.ask("ready"), "ready");
    let before = memory(&server);
    // Each inflates to 100 MB; all together would be 2 GB.
    let bomb = deflated(Frame::BINARY, &vec![0; 100 << 20]).masked();
    let mut clients: Vec<_> = (0..20).map(|_| client(server.address())).collect();
    for client in &mut clients {
        client.try_raw(&bomb);
        assert_eq!(other.ask("still there?"), "still there?");
    }
    for client in &mut clients {
        assert!([1009, 1013].contains(&client.closed()));
    }
    // Those that fit are all right. The fullest one is echoed, too.
    let mut client = client(server.address());
    client.frame(&deflated(Frame::BINARY, &vec![0; LIMIT]));
    let answer = client.next_frame().unwrap();
    assert_eq!(answer.payload.len(), LIMIT);
    // Many small blocks take long, and other clients do not wait for that.
    let blocks = [b"\x02\x08\x20\x80\0".repeat(100_000), vec![0]].concat();
    let sender =
        client.send_aside((0..10).map(move |_| Frame::new(Frame::TEXT, blocks.clone()).compressed()));
    for _ in 0..50 {
        assert_eq!(other.ask("still there?"), "still there?");
    }
    client.reset();
    sender.join().unwrap();
    drop(clients);
    server.wait_for_clients(1);
    // An inflater and a compressor stay, with a buffer for each.
    let after = memory(&server);
    assert!(after < before + (1 << 20), "{before} bytes before, {after} after");
}

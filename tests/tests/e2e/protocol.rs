//! WebSocket, to the letter (RFC 6455).

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use stateroom_tests::{
    Client, Frame, PATIENCE, TestServer,
    services::{journal, script},
};

#[test]
fn frames_of_a_message_are_put_together() {
    let server = TestServer::new(journal());
    let mut client = server.client("room");
    client.expect(&["connect 1"]);
    // A character may be cut in two, control frames may come in between, and pieces may be empty.
    client.frame(&Frame::unfinished(Frame::TEXT, &b"caf\xc3"[..]));
    client.frame(&Frame::new(Frame::PING, "still there?"));
    assert_eq!(client.next_frame(), Some(Frame::new(Frame::PONG, "still there?")));
    client.frame(&Frame::unfinished(Frame::CONTINUATION, []));
    client.frame(&Frame::unfinished(Frame::CONTINUATION, &b"\xa9 "[..]));
    client.frame(&Frame::new(Frame::CONTINUATION, "noir"));
    client.expect(&["message 1 café noir"]);
    client.frame(&Frame::unfinished(Frame::BINARY, [1]));
    client.frame(&Frame::new(Frame::CONTINUATION, [2]));
    client.expect(&["message 1 [1, 2]"]);
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let server = TestServer::new(script());
    let mut client = server.client("room");
    for byte in Frame::text("slowly").masked() {
        client.raw(&[byte]);
    }
    client.expect(&["slowly"]);
}

#[test]
fn a_ping_is_answered_with_its_content() {
    let server = TestServer::new(script());
    let mut client = server.client("room");
    for content in [&b""[..], b"x", &[0xff; 125]] {
        client.frame(&Frame::new(Frame::PING, content));
        assert_eq!(client.next_frame(), Some(Frame::new(Frame::PONG, content)));
    }
    // A pong that nobody asked for is allowed, and is not answered.
    client.frame(&Frame::new(Frame::PONG, "unasked"));
    assert_eq!(client.ask("next"), "next");
}

#[test]
fn a_close_frame_is_answered_with_its_code() {
    let server = TestServer::new(script());
    for code in [1000, 1001, 3000, 4999] {
        let mut client = server.client("room");
        client.frame(&Frame::close(code));
        let answer = client.next_frame().expect("a close frame");
        assert_eq!((answer.opcode, &answer.payload[..]), (Frame::CLOSE, &code.to_be_bytes()[..]));
        assert_eq!(client.next_frame(), None);
    }
    let mut client = server.client("room");
    client.frame(&Frame::new(Frame::CLOSE, []));
    let answer = client.next_frame().expect("a close frame");
    assert_eq!((answer.opcode, answer.payload.len()), (Frame::CLOSE, 0));
    assert_eq!(client.next_frame(), None);
}

/// Sends bytes and expects to be closed with `code`, while another client of the room notices nothing.
#[track_caller]
fn closes(code: u16, bytes: &[u8]) {
    let server = TestServer::new(journal());
    let mut observer: Client = server.client("room");
    let mut client = server.client("room");
    client.expect(&["connect 2"]);
    client.raw(bytes);
    assert_eq!(client.closed(), code);
    observer.expect(&["connect 1", "connect 2", "disconnect 2"]);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    for bytes in [&b"\xff"[..], b"caf\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"] {
        closes(1007, &Frame::new(Frame::TEXT, bytes).masked());
    }
}

#[test]
fn text_in_pieces_that_is_not_utf8_is_refused() {
    let pieces = [Frame::unfinished(Frame::TEXT, &b"caf\xc3"[..]), Frame::new(Frame::CONTINUATION, "noir")];
    closes(1007, &pieces.iter().flat_map(Frame::masked).collect::<Vec<_>>());
}

#[test]
fn an_unmasked_frame_is_refused() {
    closes(1002, &Frame::text("hello").unmasked());
}

#[test]
fn a_frame_of_unknown_kind_is_refused() {
    for opcode in [3, 7, 11, 15] {
        closes(1002, &Frame::new(opcode, "hello").masked());
    }
}

#[test]
fn reserved_bits_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        let mut bytes = Frame::text("hello").masked();
        bytes[0] |= bit;
        closes(1002, &bytes);
    }
}

#[test]
fn frames_out_of_order_are_refused() {
    closes(1002, &Frame::new(Frame::CONTINUATION, "of what?").masked());
    let twice = [Frame::unfinished(Frame::TEXT, "one"), Frame::text("another")];
    closes(1002, &twice.iter().flat_map(Frame::masked).collect::<Vec<_>>());
}

#[test]
fn control_frames_are_short_and_whole() {
    closes(1002, &Frame::new(Frame::PING, [0; 126]).masked());
    closes(1002, &Frame::unfinished(Frame::PING, "half").masked());
}

#[test]
fn a_frame_that_claims_to_be_enormous_is_refused_before_it_comes() {
    let mut head = vec![0x82, 0xff];
    head.extend((1_u64 << 62).to_be_bytes());
    head.extend([1, 2, 3, 4]);
    closes(1009, &head);
}

#[test]
fn a_close_frame_with_nonsense_is_refused() {
    closes(1002, &Frame::new(Frame::CLOSE, [3]).masked());
    for code in [0, 999, 1004, 1005, 1006, 1015, 5000] {
        closes(1002, &Frame::close(code).masked());
    }
}

/// Sends the head of a request and returns the lines of the answer's head.
#[track_caller]
fn handshake(server: &TestServer, lines: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(server.address()).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).expect("a request can be sent");
    let lines = BufReader::new(stream).lines().map(|line| line.expect("a line"));
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn browsers_are_understood() {
    let server = TestServer::new(script());
    let firefox = [
        "GET /ws/lobby HTTP/1.1",
        "Host: localhost:8080",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept: */*",
        "Sec-WebSocket-Version: 13",
        "Origin: http://localhost:8080",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Connection: keep-alive, Upgrade",
        "Sec-Fetch-Mode: websocket",
        "Upgrade: websocket",
    ];
    let answer = handshake(&server, &firefox);
    assert!(answer[0].starts_with("HTTP/1.1 101 "), "{answer:?}");
    let headers: Vec<_> = answer[1..].iter().map(|line| line.to_ascii_lowercase()).collect();
    assert!(headers.contains(&"upgrade: websocket".to_owned()), "{answer:?}");
    assert!(headers.contains(&"connection: upgrade".to_owned()), "{answer:?}");
    // What was offered and is not understood must not be agreed to.
    assert!(!headers.iter().any(|line| line.starts_with("sec-websocket-extensions")), "{answer:?}");

    let shouting: Vec<_> =
        firefox[1..].iter().map(|line| line.replace("Sec-WebSocket", "SEC-WEBSOCKET")).collect();
    let shouting: Vec<_> = shouting.iter().map(|line| line.replace(": websocket", ": WebSocket")).collect();
    let lines: Vec<_> = std::iter::once(firefox[0]).chain(shouting.iter().map(String::as_str)).collect();
    let answer = handshake(&server, &lines);
    assert!(answer[0].starts_with("HTTP/1.1 101 "), "{answer:?}");
}

#[test]
fn a_handshake_that_lacks_something_is_no_handshake() {
    let server = TestServer::new(script());
    let whole = [
        "GET /ws/lobby HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    assert!(handshake(&server, &whole)[0].starts_with("HTTP/1.1 101 "));
    for missing in 2..whole.len() {
        let mut lines = whole.to_vec();
        lines.remove(missing);
        let answer = handshake(&server, &lines);
        assert!(answer[0].starts_with("HTTP/1.1 426 "), "without {}: {answer:?}", whole[missing]);
    }
}

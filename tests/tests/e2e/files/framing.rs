use std::{io::Read as _, net::Shutdown, time::Duration};

use stateroom_tests::Answer;

use super::{Site, header};

const UPGRADE: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn site() -> Site {
    Site::new(&[("deep/index.html", b"<p>deep"), ("large.bin", &vec![7; 8 << 20])])
}

#[test]
fn a_redirect_keeps_the_query() {
    let site = site();
    for (path, to) in [
        ("/deep", "/deep/"),
        ("/deep?room=a&name=%C3%BC", "/deep/?room=a&name=%C3%BC"),
        ("//deep?next=//example.org", "/deep/?next=//example.org"),
        ("/deep?", "/deep/?"),
    ] {
        let answer = site.get(path, &[]);
        assert_eq!((answer.status, header(&answer, "location")), (301, to), "{path}");
    }
}

#[test]
fn who_has_sent_everything_is_answered_although_it_writes_no_more() {
    let site = site();
    for (request, size) in [
        ("GET /status HTTP/1.0\r\n\r\n", 2),
        ("GET /deep/ HTTP/1.1\r\nHost: a\r\n\r\n", 7),
        ("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n", 8 << 20),
    ] {
        let mut stream = site.send(request);
        stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
        // Less than the time for which the server keeps a connection that asks for nothing.
        stream.get_ref().set_read_timeout(Some(Duration::from_secs(25))).expect("not zero");
        let answer = Answer::read(&mut stream, "GET");
        assert_eq!((answer.status, answer.body.len()), (200, size), "{request}");
        // Nothing more can come, so the server closes it at once.
        assert_eq!(stream.read(&mut [0]).expect("no reset"), 0, "{request}");
    }
    // All of several.
    let mut stream = site.send(&"GET /status HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    stream.get_ref().shutdown(Shutdown::Write).expect("it is open");
    for _ in 0..3 {
        assert_eq!(Answer::read(&mut stream, "GET").text(), "ok");
    }
    assert_eq!(stream.read(&mut [0]).expect("no reset"), 0);
}

#[test]
fn several_lines_of_connection_are_one_list() {
    let site = site();
    for lines in [
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n",
        "Connection: keep-alive,\tupgrade\r\nUpgrade: WebSocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n",
    ] {
        let mut stream = site.send(&format!("GET /ws/room HTTP/1.1\r\nHost: a\r\n{lines}{UPGRADE}\r\n"));
        let answer = Answer::read(&mut stream, "GET");
        assert_eq!(answer.status, 101, "{lines}");
        assert_eq!(header(&answer, "sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!((header(&answer, "upgrade"), header(&answer, "connection")), ("websocket", "Upgrade"));
    }
    for lines in [
        "Connection: keep-alive\r\nUpgrade: websocket\r\n",
        "Connection: not upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
        "Connection: Upgrade\r\nUpgrade: websockets\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n",
    ] {
        let mut stream = site.send(&format!("GET /ws/room HTTP/1.1\r\nHost: a\r\n{lines}{UPGRADE}\r\n"));
        assert_eq!(Answer::read(&mut stream, "GET").status, 426, "{lines}");
    }
    for lines in
        ["Connection: close\r\nConnection: keep-alive\r\n", "Connection: keep-alive\r\nConnection: close\r\n"]
    {
        let mut stream = site.send(&format!("GET /status HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(Answer::read(&mut stream, "GET").text(), "ok");
        assert_eq!(stream.read(&mut [0]).expect("no reset"), 0, "{lines}");
    }
}

#[test]
fn a_key_of_a_websocket_is_sixteen_bytes() {
    let site = site();
    for (key, status) in [
        ("AAAAAAAAAAAAAAAAAAAAAA==", 101),
        ("+/+/+/+/+/+/+/+/+/+/+w==", 101),
        ("", 426),
        ("AAAA", 426),
        ("AAAAAAAAAAAAAAAAAAAAAAA=", 426),
        ("AAAAAAAAAAAAAAAAAAAAAAAA", 426),
        ("AAAAAAAAAAAAAAAAAAAAA.==", 426),
    ] {
        let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let mut stream = site
            .send(&format!("GET /ws/room HTTP/1.1\r\nHost: a\r\n{lines}Sec-WebSocket-Key: {key}\r\n\r\n"));
        assert_eq!(Answer::read(&mut stream, "GET").status, status, "{key}");
    }
    let mut stream = site.send(
        "GET /ws/room HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(Answer::read(&mut stream, "GET").status, 426);
}

#[test]
fn a_request_has_one_host() {
    let site = site();
    for (hosts, status) in
        [("Host: a\r\n", 200), ("Host: a\r\nHost: b\r\n", 400), ("Host: a\r\nHost: a\r\n", 400), ("", 400)]
    {
        for path in ["/status", "/deep/"] {
            let mut stream = site.send(&format!("GET {path} HTTP/1.1\r\n{hosts}\r\n"));
            assert_eq!(Answer::read(&mut stream, "GET").status, status, "{hosts} {path}");
        }
    }
    let mut stream = site.send("GET /status HTTP/1.0\r\n\r\n");
    assert_eq!(Answer::read(&mut stream, "GET").status, 200);
}

//! Tests of which pages may use the rooms, and of what they may read, with the command itself.

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
};

use stateroom_tests::{Answer, Child, Client, Output, PATIENCE, example};

/// Serves an echo with these options.
fn serve(options: &[&str]) -> (Child, SocketAddr) {
    let dist = example("echo").display().to_string();
    let arguments = [&["serve", &dist, "--ip", "127.0.0.1", "--port", "0"], options].concat();
    let child = Child::start("stateroom", &arguments);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    (child, address)
}

/// Sends a request without content.
fn ask(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost:81\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"
    )
    .expect("a request can be sent");
    Answer::read(&mut BufReader::new(stream), method)
}

/// Returns the status with which a WebSocket of a page begins.
fn upgrade(address: SocketAddr, headers: &[&str]) -> u16 {
    Client::connect_with(address, "/ws/room", headers).map_or_else(|answer| answer.status, |_| 101)
}

#[test]
fn pages_of_the_same_host_and_programs_come_in_and_other_pages_do_not() {
    let (_child, address) = serve(&[]);
    for headers in [&[][..], &["Origin: http://localhost"], &["Origin: https://LOCALHOST"]] {
        assert_eq!(upgrade(address, headers), 101, "{headers:?}");
    }
    for headers in [
        &["Origin: http://example.com"][..],
        &["Origin: http://localhost:81"],
        &["Origin: null"],
        &["Origin:"],
        &["Origin: http://localhost.example.com"],
        &["Origin: http://localhost", "Origin: http://example.com"],
        &["Origin: http://localhost\u{e9}"],
    ] {
        assert_eq!(upgrade(address, headers), 403, "{headers:?}");
        // It is the port of this host, in `ask`.
        if headers == ["Origin: http://localhost:81"] {
            continue;
        }
        for (method, path) in
            [("POST", "/ws/new"), ("POST", "/new_room"), ("GET", "/status"), ("DELETE", "/ws/a")]
        {
            let refused = ask(address, method, path, headers);
            assert_eq!(refused.status, 403, "{method} {path} {headers:?}");
            assert!(refused.text().contains("--allow-origin"), "{refused:?}");
            assert_eq!(refused.header("access-control-allow-origin"), None);
            assert_eq!(refused.header("vary"), Some("Origin"));
        }
    }
    // No room has been opened for them.
    let status = ask(address, "GET", "/status?verbose", &[]);
    assert!(status.text().contains("\"room_count\":1"), "{status:?}");
}

#[test]
fn the_operator_chooses_whose_pages_come_in() {
    let options = ["--allow-origin", "https://Example.com", "--allow-origin", "https://*.example.org"];
    let (_child, address) = serve(&options);
    for (origin, status) in [
        ("https://example.com", 101),
        ("https://a.b.example.org", 101),
        ("https://example.org", 403),
        ("http://example.com", 403),
        ("https://example.com:8443", 403),
        // The list replaces the default.
        ("http://localhost", 403),
        ("null", 403),
    ] {
        assert_eq!(upgrade(address, &[&format!("Origin: {origin}")]), status, "{origin}");
    }
    assert_eq!(upgrade(address, &[]), 101);
    let (_child, address) = serve(&["--allow-origin", "self", "--allow-origin", "https://example.com"]);
    for origin in ["http://localhost", "https://example.com"] {
        assert_eq!(upgrade(address, &[&format!("Origin: {origin}")]), 101, "{origin}");
    }
    let (_child, address) = serve(&["--allow-origin", "*"]);
    for origin in ["http://localhost", "https://example.com", "null", ""] {
        assert_eq!(upgrade(address, &[&format!("Origin: {origin}")]), 101, "{origin}");
    }
}

#[test]
fn a_page_reads_every_answer() {
    let (_child, address) =
        serve(&["--allow-origin", "https://example.com", "--room-ids", "explicit", "--room-rate", "1"]);
    let page = ["Origin: https://example.com"];
    let create = || ask(address, "POST", "/ws/room", &page);
    let created = create();
    assert_eq!((created.status, created.header("location")), (201, Some("/ws/room")));
    let mut answers = vec![created];
    let exists = create();
    assert_eq!(exists.status, 409);
    answers.push(exists);
    // Ten at once are allowed.
    let too_fast = loop {
        let answer = create();
        if answer.status != 409 {
            break answer;
        }
    };
    assert_eq!(too_fast.status, 429);
    assert!(too_fast.header("retry-after").is_some());
    answers.push(too_fast);
    for (method, path, status) in [
        ("GET", "/status", 200),
        ("GET", "/ws/none", 404),
        ("GET", "/ws/room", 426),
        ("GET", "/ws/%ff", 400),
        ("DELETE", "/ws/room", 405),
    ] {
        let answer = ask(address, method, path, &page);
        assert_eq!(answer.status, status, "{method} {path}");
        answers.push(answer);
    }
    // The refusal of a WebSocket is one, too.
    answers.push(*Client::connect_with(address, "/ws/none", &page).expect_err("there is no room"));
    for answer in &answers {
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.com"), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").expect("some are");
        assert!(exposed.contains("Location") && exposed.contains("Retry-After"), "{answer:?}");
        assert_eq!(answer.header("vary"), Some("Origin"), "{answer:?}");
    }
    // For programs, too, as caches do not tell them from pages.
    let program = ask(address, "GET", "/ws/room", &[]);
    assert_eq!(
        (program.header("vary"), program.header("access-control-allow-origin")),
        (Some("Origin"), None)
    );
}

#[test]
fn a_browser_that_asks_first_is_told() {
    let (_child, address) = serve(&["--allow-origin", "https://example.com"]);
    let wanted = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization"];
    for (path, methods) in
        [("/ws/room", "GET, POST"), ("/ws", "GET, POST"), ("/new_room", "POST"), ("/status", "GET")]
    {
        let answer = ask(address, "OPTIONS", path, &[&["Origin: https://example.com"], &wanted[..]].concat());
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.com"));
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods));
        assert!(answer.header("access-control-allow-headers").expect("some").contains("Authorization"));
        assert!(answer.header("access-control-max-age").is_some());
        let other = ask(address, "OPTIONS", path, &[&["Origin: https://evil.net"], &wanted[..]].concat());
        assert_eq!((other.status, other.header("access-control-allow-origin")), (403, None));
        assert_eq!(ask(address, "OPTIONS", path, &[]).status, 405);
    }
    let status = ask(address, "GET", "/status?verbose", &[]);
    assert!(status.text().contains("\"room_count\":0"), "{status:?}");
    let (_child, address) = serve(&["--allow-origin", "*"]);
    let answer = ask(address, "OPTIONS", "/ws/room", &[&["Origin: null"], &wanted[..]].concat());
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!((answer.header("vary"), answer.header("access-control-allow-credentials")), (None, None));
}

#[test]
fn a_page_reads_that_there_is_no_space() {
    let (_child, address) = serve(&["--max-connections-per-address", "1"]);
    let _first = Client::connect(address, "/ws/room").expect("an upgrade");
    let refused = ask(address, "POST", "/ws/other", &["Origin: http://localhost:81"]);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    assert_eq!(refused.header("access-control-expose-headers"), Some("Retry-After"));
}

#[test]
fn clients_of_the_operators_playground_come_in() {
    for (playground, status) in [(&[][..], 403), (&["--playground"], 101)] {
        let options = [&["--admin", "127.0.0.1:0"], playground].concat();
        let dist = example("echo").display().to_string();
        let arguments = [&["serve", &dist, "--ip", "127.0.0.1", "--port", "0"], &options[..]].concat();
        let child = Child::start("stateroom", &arguments);
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        let line = child.line(Output::Stderr, "the operator's status is at http://127.0.0.1:");
        let port = line.split('/').next().expect("a port");
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let origin = format!("Origin: http://{host}:{port}");
            assert_eq!(upgrade(address, &[&origin]), status, "{origin}");
        }
        let other = format!("Origin: http://evil.net:{port}");
        assert_eq!(upgrade(address, &[&other]), 403);
    }
}

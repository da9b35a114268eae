use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    thread,
};

use stateroom_tests::{Client, Output};

use super::{Server, bearer};

/// A server that says who may enter, and notes what it is asked.
struct Backend {
    address: SocketAddr,
    asked: Receiver<Vec<String>>,
}

impl Backend {
    /// Answers each request with what `answer` makes of its lines.
    fn start(answer: impl Fn(&[String]) -> String + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
        let address = listener.local_addr().expect("it listens");
        let (sender, asked) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, sender) = (answer.clone(), sender.clone());
                thread::spawn(move || {
                    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                    let answer = answer(&lines);
                    let _ = sender.send(lines);
                    let _ = (&stream).write_all(answer.as_bytes());
                });
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> String {
        format!("http://{}/may-enter?from=rooms", self.address)
    }
}

fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_url_is_asked_who_may_enter_and_its_answer_is_kept_for_a_while() {
    let backend = Backend::start(|lines| match lines.iter().any(|line| line == "cookie: session=ada") {
        true => ok(r#"{"sub":"ada","level":7}"#),
        false if lines.iter().any(|line| line.starts_with("authorization: ")) => FORBIDDEN.to_owned(),
        false => "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n".to_owned(),
    });
    let server = Server::start(&["--auth-url", &backend.url(), "--auth-cache", "3600", "--auth-query", "t"]);
    let (_client, known) =
        server.enter("/ws/a%20b?x=1&t=secret", &["Cookie: session=ada", "User-Agent: test"]);
    assert_eq!(known[1..], ["auth:sub is ada", "auth:level is 7", "query is x=1"]);
    let asked = backend.asked.try_recv().expect("it was asked");
    assert_eq!(asked[0], "GET /may-enter?from=rooms HTTP/1.1");
    for line in [
        &format!("Host: {}", backend.address),
        "X-Stateroom-Room: a%20b",
        "X-Forwarded-Method: GET",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Uri: /ws/a%20b?x=1",
        "cookie: session=ada",
        "user-agent: test",
        "authorization: Bearer secret",
    ] {
        assert!(asked.iter().any(|asked| asked == line), "{line}: {asked:?}");
    }
    // The same question has the same answer for a while.
    server.enter("/ws/a%20b?x=1&t=secret", &["Cookie: session=ada", "User-Agent: test"]);
    assert!(backend.asked.try_recv().is_err());
    for _ in 0..2 {
        assert_eq!(server.refusal("/ws/a", &[]).0, 401);
        assert_eq!(server.refusal("/ws/a", &[&bearer("token")]).0, 403);
        assert_eq!(server.ask("POST", "/ws/a", &[&bearer("token")]).status, 403);
    }
    assert_eq!(backend.asked.try_iter().count(), 3);
    // Another room, another question.
    server.enter("/ws/b", &["Cookie: session=ada"]);
    assert_eq!(backend.asked.try_iter().count(), 1);
    assert_eq!(server.rooms(), 2);
}

#[test]
fn a_token_from_elsewhere_takes_the_place_of_the_header_of_the_client() {
    let backend = Backend::start(|_| ok(""));
    let server = Server::start(&["--auth-url", &backend.url(), "--auth-cookie", "t", "--auth-query", "t"]);
    for (path, headers, sent) in [
        ("/ws/a", &["Authorization: Basic eDp5"][..], "authorization: Basic eDp5"),
        ("/ws/a", &["Authorization: Bearer own", "Cookie: t=cookie"], "authorization: Bearer own"),
        ("/ws/a", &["Authorization: Basic eDp5", "Cookie: t=cookie"], "authorization: Bearer cookie"),
        ("/ws/a?t=query", &["Authorization: Basic eDp5"], "authorization: Bearer query"),
        (
            "/ws/a",
            &[
                "Authorization: Bearer own",
                "Sec-WebSocket-Protocol: stateroom.token, stateroom.token.offered",
            ],
            "authorization: Bearer offered",
        ),
    ] {
        server.enter(path, headers);
        let asked = backend.asked.try_recv().expect("it was asked");
        let found: Vec<_> = asked.iter().filter(|line| line.starts_with("authorization: ")).collect();
        assert_eq!(found, [sent], "{headers:?}");
    }
}

#[test]
fn the_page_of_a_refusal_and_what_comes_before_an_answer_are_skipped() {
    let page =
        |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    let early = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n".repeat(2) + &ok(r#"{"sub":"ada"}"#);
    for (answer, status) in [(page("401 Unauthorized"), 401), (page("403 Forbidden"), 403), (early, 101)] {
        let backend = Backend::start(move |_| answer.clone());
        let server = Server::start(&["--auth-url", &backend.url()]);
        assert_eq!(server.refusal("/ws/a", &[]).0, status);
    }
}

#[test]
fn a_url_that_fails_does_not_fill_the_log() {
    let backend = Backend::start(|_| "HTTP/1.1 500 Oops\r\n\r\n".to_owned());
    let server = Server::start(&["--auth-url", &backend.url(), "--auth-cache", "0"]);
    for _ in 0..30 {
        assert_eq!(server.ask("GET", "/ws/a", &[]).status, 503);
    }
    let (log, _) = server.log();
    let is_warning = |line: &&str| line.contains("WARN") && line.contains("does not say who may enter");
    assert_eq!(log.lines().filter(is_warning).count(), 1, "{log}");
}

#[test]
fn nobody_enters_while_the_answer_is_not_known() {
    for answer in [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ok("yes"),
        ok(r#"{"sub":"ada","sub":"bob"}"#),
        ok(&format!(r#"{{"a":"{}"}}"#, "x".repeat(5_000))),
        ok(&" ".repeat(100_000)),
        "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"x".repeat(100_000),
        "nonsense\r\n\r\n".to_owned(),
        String::new(),
    ] {
        let shown: String = answer.chars().take(60).collect();
        let backend = Backend::start(move |_| answer.clone());
        let server = Server::start(&["--auth-url", &backend.url(), "--auth-cache", "0"]);
        let refused = Client::connect(server.address, "/ws/a").expect_err("nobody enters");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")), "{shown}");
        server.child.line(Output::Stderr, "does not say who may enter");
        assert_eq!(server.rooms(), 0);
    }
    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let url = format!("http://{}/", listener.local_addr().expect("it listens"));
    drop(listener);
    let server = Server::start(&["--auth-url", &url]);
    assert_eq!(server.refusal("/ws/a", &[]).0, 503);
}

#[test]
fn a_url_that_does_not_answer_holds_nobody_else_up() {
    // The system takes connections, and nobody answers them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("the system has a port");
    let url = format!("http://{}/", silent.local_addr().expect("it listens"));
    let server = Server::start(&["--auth-url", &url]);
    let waiting: Vec<_> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address).expect("a connection");
            write!(stream, "GET /ws/{number} HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
            stream
        })
        .collect();
    // So many are asked at a time.
    let asked: Vec<_> = (0..16).map(|_| silent.accept().expect("it is asked")).collect();
    silent.set_nonblocking(true).expect("an option of every socket");
    assert!(silent.accept().is_err());
    assert_eq!(server.ask("GET", "/status", &[]).status, 200);
    for stream in &waiting {
        let answer = stateroom_tests::Answer::read(&mut BufReader::new(stream), "GET");
        assert_eq!(answer.status, 503);
    }
    drop(asked);
}

//! Tests of requests that are not for a WebSocket.

use std::{
    fs::{self, File},
    io::{self, BufReader, Cursor, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, SystemTime},
};

use stateroom_server_smol::Server;
use stateroom_tests::{
    Answer, Child, Client, Directory, Frame, Output, PATIENCE, TestServer, eventually, example, server,
    services::script,
};

#[test]
fn status_is_ok() {
    let server = TestServer::new(script());
    let answer = server.get("/status");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(server.request("HEAD", "/status", &[]).status, 200);
}

#[test]
fn verbose_status_counts_rooms_and_clients() {
    let server = TestServer::new(script());
    let answer = server.get("/status?verbose");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let status = server.status();
    assert_eq!(status["status"], "ok");
    assert_eq!(status["room_count"], 0);
    assert_eq!(status["client_count"], 0);
    assert!(status["uptime_seconds"].is_u64());
    assert!(status["version"].is_string());

    let mut clients = [server.client("b"), server.client("a"), server.client("b")];
    // A client that has an answer is in.
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
    }
    let status = server.status();
    assert_eq!(status["room_count"], 2);
    assert_eq!(status["client_count"], 3);
    assert_eq!(server.rooms(), [("a".to_owned(), vec![1]), ("b".to_owned(), vec![1, 2])]);
    drop(clients);
    server.wait_for_clients(0);
    assert_eq!(server.status()["room_count"], 2);
}

#[test]
fn a_request_for_a_websocket_has_no_content() {
    let server = TestServer::new(script());
    let headers = [
        "Upgrade: websocket",
        "Connection: upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Content-Length: 1",
    ];
    let mut stream = TcpStream::connect(server.address()).unwrap();
    write!(stream, "GET /ws HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\nx", headers.join("\r\n")).unwrap();
    let answer = Answer::read(&mut BufReader::new(stream), "GET");
    assert_eq!((answer.status, &answer.body[..]), (400, &b"a request for a WebSocket has no content"[..]));
    assert!(server.rooms().is_empty());
}

#[test]
fn a_request_for_several_hosts_is_refused() {
    let server = TestServer::new(script());
    for path in ["/status", "/ws", "/app.js"] {
        let answer = server.request("GET", path, &["Host: another"]);
        assert_eq!((answer.status, answer.text()), (400, "a request has one `Host`"), "{path}");
    }
}

#[test]
fn a_plain_request_for_a_room_is_told_to_upgrade() {
    let server = TestServer::new(script());
    for path in ["/ws", "/ws/hall"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 426, "{path}");
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
    let old =
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: a"];
    assert_eq!(server.request("GET", "/ws", &old).status, 426);
    assert_eq!(server.status()["room_count"], 0);
}

#[test]
fn wrong_methods_are_told_the_right_ones() {
    let server = TestServer::new(script());
    for (method, path, allowed) in [
        ("DELETE", "/ws/hall", "GET, POST"),
        ("PUT", "/ws", "GET, POST"),
        ("HEAD", "/ws", "GET, POST"),
        ("GET", "/new_room", "POST"),
        ("POST", "/status", "GET"),
        ("DELETE", "/", "GET"),
        ("POST", "/index.html", "GET"),
    ] {
        let answer = server.request(method, path, &[]);
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn a_connection_takes_several_requests_and_becomes_a_websocket_with_the_last() {
    for threads in [1, 4] {
        let (_directory, server) = site_with(server().with_threads(threads));
        for room in ["a", "b", "c", "d"] {
            let mut stream = BufReader::new(TcpStream::connect(server.address()).expect("a connection"));
            stream.get_ref().set_read_timeout(Some(PATIENCE)).expect("not zero");
            // All at once, a client's first words included.
            let requests = format!(
                "GET /status HTTP/1.1\r\nHost: a\r\n\r\n\
                 POST /ws/{room} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                 HEAD /app.js HTTP/1.1\r\nHost: a\r\n\r\n\
                 GET /app.js HTTP/1.1\r\nHost: a\r\n\r\n\
                 GET /ws HTTP/1.1\r\nHost: a\r\n\r\n\
                 GET /ws/{room} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let bytes = [requests.as_bytes(), &Frame::text("hello").masked()].concat();
            stream.get_mut().write_all(&bytes).expect("requests");
            for (method, status) in
                [("GET", 200), ("POST", 201), ("HEAD", 200), ("GET", 200), ("GET", 426), ("GET", 101)]
            {
                assert_eq!(Answer::read(&mut stream, method).status, status, "{method}");
            }
            let mut echo = [0; 7];
            stream.read_exact(&mut echo).expect("an answer");
            assert_eq!(echo, *b"\x81\x05hello");
        }
        server.wait_for_clients(0);
        assert_eq!(server.status()["room_count"], 4);
    }
}

#[test]
fn a_connection_has_half_a_minute_for_a_request() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let server = TestServer::with_clock(server(), script());
    let mut streams = [0; 2].map(|_| TcpStream::connect(server.address()).expect("a connection"));
    for stream in &mut streams {
        stream.set_read_timeout(Some(stateroom_tests::PATIENCE)).expect("not zero");
        write!(stream, "GET /status HTTP/1.1\r\nHost: a\r\n").expect("a request can begin");
    }
    // They have been accepted before this one.
    assert_eq!(server.get("/status").status, 200);
    let [mut late, mut never] = streams;
    server.pass(PATIENCE - Duration::from_millis(1));
    write!(late, "\r\n").expect("it is not too late");
    let mut late = BufReader::new(late);
    assert_eq!(Answer::read(&mut late, "GET").status, 200);
    server.pass(Duration::from_millis(1));
    assert!(is_end(never.read(&mut [0])));
    // Nor are connections kept that have been answered.
    server.pass(PATIENCE);
    assert!(is_end(late.read(&mut [0])));
}

/// Returns whether the server has closed the connection. If it has not read everything by then, that is a reset.
fn is_end(read: io::Result<usize>) -> bool {
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn nothing_is_where_nothing_was_put() {
    let server = TestServer::new(script());
    for path in ["/", "/index.html", "/wss", "/ws2/hall", "/status/", "/favicon.ico"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn nonsense_does_not_harm() {
    let server = TestServer::new(script());
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(100_000));
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "hello\n\n", &long] {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        // The server may have had enough before the end of it.
        let _ = stream.write_all(nonsense.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{:?}", nonsense.get(..20));
    }
    assert_eq!(server.get("/status").text(), "ok");
}

fn site() -> (Directory, TestServer) {
    site_with(server())
}

fn site_with(server: Server) -> (Directory, TestServer) {
    let directory = Directory::new()
        .with("secret.txt", "nobody's business")
        .with("site/index.html", "<p>home")
        .with("site/app.js", "1;")
        .with("site/style.css", "p {}")
        .with("site/a b.txt", "spaces")
        .with("site/data", [0, 1, 2, 255])
        .with("site/.env", "PASSWORD=1")
        .with("site/deep/index.html", "<p>deep")
        .with("site/deep/empty.txt", "")
        .with("site/large.bin", vec![7; 300_000]);
    let server = TestServer::with(server.with_static_files(Some(directory.path().join("site"))), script());
    (directory, server)
}

#[test]
fn static_files_come_with_their_types() {
    let (_directory, server) = site();
    for (path, kind, content) in [
        ("/", "text/html; charset=utf-8", "<p>home"),
        ("/index.html", "text/html; charset=utf-8", "<p>home"),
        ("/index.html?v=2", "text/html; charset=utf-8", "<p>home"),
        ("/style.css", "text/css", "p {}"),
        ("/a%20b.txt", "text/plain; charset=utf-8", "spaces"),
        ("/deep/", "text/html; charset=utf-8", "<p>deep"),
        ("/deep/empty.txt", "text/plain; charset=utf-8", ""),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.text()), (200, content), "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
    }
    assert!(server.get("/app.js").header("content-type").expect("a type").contains("javascript"));
    let data = server.get("/data");
    assert_eq!(data.header("content-type"), Some("application/octet-stream"));
    assert_eq!(data.body, [0, 1, 2, 255]);
    assert_eq!(server.get("/large.bin").body, vec![7; 300_000]);
    // Rooms and status are where they are without files, too.
    assert_eq!(server.get("/status").text(), "ok");
    assert_eq!(server.client("hall").ask("count"), "1");
}

#[test]
fn a_directory_without_a_slash_leads_to_the_one_with() {
    let (_directory, server) = site();
    let answer = server.get("/deep");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/deep/")));
    let answer = server.get("//deep");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/deep/")));
}

#[test]
fn a_head_request_has_everything_but_the_content() {
    let (_directory, server) = site();
    let answer = server.request("HEAD", "/large.bin", &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some("300000"));
    assert!(answer.body.is_empty());
}

/// Asks for a file whose tag is known. Returns the status of the answer.
fn ask_again(server: &TestServer, path: &str, tag: &str) -> u16 {
    let [get, head] = ["GET", "HEAD"].map(|method| {
        let answer = server.request(method, path, &[&format!("If-None-Match: \"0\", {tag}")]);
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert!(answer.header("etag").is_some(), "{method}");
        assert_eq!(answer.body.is_empty(), method == "HEAD" || answer.status == 304, "{method}");
        answer.status
    });
    assert_eq!(get, head);
    get
}

#[test]
fn an_unchanged_file_is_not_sent_again() {
    let (directory, server) = site();
    let answer = server.get("/index.html");
    let tag = answer.header("etag").expect("a tag");
    assert_eq!(ask_again(&server, "/index.html", tag), 304);
    assert_eq!(ask_again(&server, "/", tag), 304);
    assert_eq!(ask_again(&server, "/index.html", "*, \"1\""), 304);
    assert_eq!(ask_again(&server, "/index.html", "\"1\""), 200);
    let since = "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT";
    assert_eq!(server.request("GET", "/index.html", &[since]).status, 200);
    // The next server finds the same files.
    let root = directory.path().join("site");
    let next = TestServer::with(stateroom_tests::server().with_static_files(Some(root)), script());
    assert_eq!(ask_again(&next, "/index.html", tag), 304);
}

#[test]
fn a_file_that_takes_the_place_of_another_is_sent() {
    let (directory, server) = site();
    let at = |name: &str| directory.path().join("site").join(name);
    let time = SystemTime::now() - Duration::from_secs(100);
    let make = |name: &str, content: &str, time| {
        fs::write(at(name), content).unwrap();
        File::options().append(true).open(at(name)).unwrap().set_modified(time).unwrap();
    };
    let tag = || server.get("/page.html").header("etag").expect("a tag").to_owned();
    make("page.html", "one", time);
    let one = tag();
    // Equally old and large.
    make("other.html", "two", time);
    fs::rename(at("other.html"), at("page.html")).unwrap();
    assert_eq!(ask_again(&server, "/page.html", &one), 200);
    let two = tag();
    // The same file, with other content and the old time.
    eventually("the tag differs", || {
        // The clock of a file system may stand still for some milliseconds.
        make("page.html", "six", time);
        ask_again(&server, "/page.html", &two) == 200
    });
    let six = tag();
    // Older than what the client has.
    make("page.html", "old", time - Duration::from_secs(100));
    assert_eq!(ask_again(&server, "/page.html", &six), 200);
    assert_eq!(server.get("/page.html").text(), "old");
}

#[test]
fn no_path_leads_out_of_the_static_files() {
    let (_directory, server) = site();
    for path in [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/deep/../../secret.txt",
        "/deep/%2E%2E/%2E%2E/secret.txt",
        "//../secret.txt",
        "/.env",
        "/deep/../.env",
        "/%00",
        "/index.html%00",
        "/%ff",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("business"));
    }
}

#[cfg(unix)]
#[test]
fn a_server_that_runs_out_of_files_serves_on_when_there_are_some() {
    let dist = example("echo").display().to_string();
    let arguments = ["serve", &dist, "--ip", "127.0.0.1", "--port", "0"];
    let child = Child::start_confined(32, "stateroom", &arguments);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let mut early = Client::connect(address, "/ws/room").expect("an upgrade");
    assert_eq!(early.ask("hello"), "hello");
    // A connection that has asked for nothing is closed to make space for others.
    let crowd: Vec<_> = (0..50).map(|_| TcpStream::connect(address).expect("the system takes it")).collect();
    child.line(Output::Stderr, "no new connections for now");
    assert_eq!(early.ask("still here"), "still here");
    let mut late = Client::connect(address, "/ws/room").expect("an upgrade");
    assert_eq!(late.ask("hello"), "hello");
    drop(crowd);
}

#[test]
fn a_name_that_no_file_can_have_is_not_found() {
    let (_directory, server) = site();
    for path in [format!("/{}", "a".repeat(300)), format!("/{}", "a/".repeat(3000)), "/a%00b".into()] {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
}

/// Returns a page with a file that is larger than what the system takes of it for a client that does not read.
fn files_with_huge() -> Directory {
    let directory = Directory::new().with("small.txt", "small");
    let huge = File::create(directory.path().join("huge.bin")).expect("a file");
    huge.set_len(HUGE).expect("the disk takes it");
    directory
}

fn site_with_huge(server: Server) -> (Directory, TestServer) {
    let directory = files_with_huge();
    let server = TestServer::with(server.with_static_files(Some(directory.path().into())), script());
    (directory, server)
}

const HUGE: u64 = 64 << 20;

/// Returns a connection that has asked for something, and read nothing.
fn asking(server: &TestServer, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    stream
}

#[test]
fn there_are_only_so_many_downloads() {
    let (_directory, server) = site_with_huge(server().with_max_downloads(1));
    let first = asking(&server, "/huge.bin");
    let mut begin = [0; 9];
    (&first).read_exact(&mut begin).expect("it begins");
    assert_eq!(&begin, b"HTTP/1.1 ");
    for path in ["/huge.bin", "/small.txt"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}");
    }
    assert_eq!(server.request("HEAD", "/huge.bin", &[]).status, 200);
    assert_eq!(server.get("/status").status, 200);
    drop(first);
    eventually("the place is free", || server.get("/small.txt").status == 200);
}

#[test]
fn who_takes_a_file_slowly_makes_place_for_others() {
    let directory = files_with_huge();
    let settings = server().with_max_downloads(1).with_static_files(Some(directory.path().into()));
    let server = TestServer::with_clock(settings, script());
    let mut slow = asking(&server, "/huge.bin");
    slow.read_exact(&mut [0; 9]).expect("it begins");
    assert_eq!(server.get("/small.txt").status, 503);
    for passed in 0.. {
        // Meanwhile the system takes what it takes for a client that does not read.
        (0..100).for_each(|_| assert_eq!(server.get("/status").status, 200));
        server.pass(Duration::from_secs(6));
        if server.get("/small.txt").status == 200 {
            break;
        }
        assert!(passed < 4, "it would soon be ended in any case, as it takes nothing");
    }
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = slow.read_to_end(&mut rest);
    assert!((rest.len() as u64) < HUGE, "its connection has ended");
}

#[test]
fn a_download_holds_one_piece_and_nothing_when_it_is_over() {
    let (_directory, server) = site_with_huge(server());
    let before = server.stats().memory;
    let slow: Vec<_> = (0..8).map(|_| asking(&server, "/huge.bin")).collect();
    let held = || server.stats().memory - before;
    eventually("all have begun, and one piece each is left that the system does not take", || {
        (8 * (64 << 10)..8 * (100 << 10)).contains(&held())
    });
    drop(slow);
    eventually("everything is given back", || held() == 0);
}

#[test]
fn connections_hold_memory_until_they_end() {
    let server = TestServer::new(script());
    let before = server.stats().memory;
    let held = || server.stats().memory.saturating_sub(before);
    let silent: Vec<_> =
        (0..10).map(|_| TcpStream::connect(server.address()).expect("a connection")).collect();
    eventually("they are charged", || held() >= 10 << 10);
    let mut talking: Vec<_> = (0..10).map(|_| asking(&server, "/status")).collect();
    for stream in &mut talking {
        assert_eq!(Answer::read(&mut BufReader::new(&*stream), "GET").status, 200);
        write!(stream, "GET /{}", "x".repeat(5_000)).expect("a part of a request");
    }
    eventually("what has come is charged", || held() >= (10 * (1 + 14 + 4)) << 10);
    drop((silent, talking));
    eventually("everything is given back", || held() == 0);
}

#[test]
fn a_connection_that_there_is_no_memory_for_is_told() {
    // As little as there may be.
    let server = TestServer::with(server().with_total_memory(8 << 20), script());
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = asking(&server, "/status");
        let answer = Answer::read(&mut BufReader::new(&mut stream), "GET");
        if answer.status != 200 {
            break answer;
        }
        held.push(stream);
        assert!(held.len() < 1_000);
    };
    assert_eq!((refused.status, refused.header("connection")), (503, Some("close")));
    assert!(refused.text().contains("memory"), "{refused:?}");
    // A connection that has asked for nothing since is closed to make space for the next one.
    eventually("there is memory", || server.get("/status").status == 200);
}

#[test]
fn who_asks_and_takes_no_answers_is_answered_no_more() {
    let (_directory, server) = site_with_huge(server());
    let mut stream = asking(&server, "/huge.bin");
    write!(stream, "POST /ws/late HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").expect("a request");
    let mut begin = [0; 9];
    stream.read_exact(&mut begin).expect("it begins");
    assert!(server.rooms().is_empty());
    let mut stream = BufReader::new(Cursor::new(begin).chain(stream));
    assert_eq!(Answer::read(&mut stream, "GET").body.len() as u64, HUGE);
    assert_eq!(Answer::read(&mut stream, "POST").status, 201);
}

#[test]
fn connections_that_ask_for_nothing_keep_nobody_out() {
    for threads in [1, 2] {
        let server = TestServer::with(server().with_max_connections(50).with_threads(threads), script());
        let mut early = server.client("room");
        assert_eq!(early.ask("hello"), "hello");
        let mut answered = asking(&server, "/status");
        assert_eq!(Answer::read(&mut BufReader::new(&answered), "GET").status, 200);
        let silent: Vec<_> =
            (0..300).map(|_| TcpStream::connect(server.address()).expect("the system takes it")).collect();
        let mut late = server.client("room");
        assert_eq!(late.ask("hello"), "hello");
        assert_eq!(early.ask("hello"), "hello");
        // Those that came first have gone first.
        assert_eq!(answered.read(&mut [0]).unwrap_or(0), 0);
        let mut oldest = &silent[0];
        oldest.set_read_timeout(Some(PATIENCE)).expect("not zero");
        assert_eq!(oldest.read(&mut [0]).unwrap_or(0), 0);
        assert_eq!(asking_on(&silent[299]).status, 200);
    }
}

/// Returns the answer to a request on a connection that is there.
fn asking_on(mut stream: &TcpStream) -> Answer {
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    Answer::read(&mut BufReader::new(stream), "GET")
}

#[test]
fn an_address_has_only_so_many_connections_if_they_are_counted() {
    let server = TestServer::with(server().with_max_connections_per_address(Some(2)), script());
    let (mut one, two) = (server.client("a"), server.client("b"));
    let refused = server.get("/status");
    assert_eq!((refused.status, refused.header("connection")), (429, Some("close")));
    assert!(refused.text().contains("your address"), "{refused:?}");
    assert_eq!(server.connect("/ws/c").expect_err("it is one too many").status, 429);
    two.leave();
    eventually("there is a place", || server.get("/status").status == 200);
    assert_eq!(one.ask("hello"), "hello");
    // More than are told are closed.
    let third = TcpStream::connect(server.address()).expect("a connection");
    let crowd: Vec<_> =
        (0..100).map(|_| TcpStream::connect(server.address()).expect("a connection")).collect();
    assert!(crowd.iter().any(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.read(&mut [0]).unwrap_or(0) == 0
    }));
    assert_eq!(asking_on(&third).status, 200);
}

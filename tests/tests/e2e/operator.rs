//! Tests of the operator's requests, over a Unix socket or a loopback address.

use std::{
    io::{self, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};
use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService,
};
use stateroom_server_smol::{AdminAddress, ServeError, Server};
use stateroom_tests::{Answer, PATIENCE, TestServer, eventually, server, services::script};

/// Returns the server's answer to the operator.
#[track_caller]
fn ask(server: &TestServer, method: &str, path: &str, headers: &[&str]) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n"));
    match server.handle().admin_address().expect("it has one") {
        AdminAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).expect("somebody listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            exchange(stream, &request, method)
        }
        #[cfg(unix)]
        AdminAddress::Unix(path) => {
            let stream = std::os::unix::net::UnixStream::connect(path).expect("somebody listens");
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            exchange(stream, &request, method)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn exchange(mut stream: impl Read + Write, request: &str, method: &str) -> Answer {
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    Answer::read(&mut BufReader::new(stream), method)
}

#[track_caller]
fn order(server: &TestServer, method: &str, path: &str) -> Answer {
    ask(server, method, path, &["Host: localhost"])
}

#[track_caller]
fn read(server: &TestServer, path: &str) -> Value {
    let answer = order(server, "GET", path);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn on_loopback() -> Server {
    server().with_admin(Some("127.0.0.1:0".parse().expect("an address")))
}

#[test]
fn the_operator_sees_counts_and_rooms_and_nobody_else_does() {
    let server = TestServer::with(on_loopback().with_threads(2), script());
    assert_eq!(read(&server, "/rooms"), json!({ "rooms": [], "next": null }));
    let mut clients = [server.client("b"), server.client("a"), server.client("b")];
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
    }
    let status = read(&server, "/status");
    assert_eq!((&status["rooms"], &status["clients"]), (&json!(2), &json!(3)));
    assert_eq!((&status["hibernating_rooms"], &status["p99_pass_us"]), (&json!(0), &Value::Null));
    for number in ["uptime_seconds", "memory", "peak_memory", "memory_limit", "awake_memory"] {
        assert!(status[number].is_u64(), "{number}: {status}");
    }
    assert!(status["version"].is_string());
    assert_eq!(
        read(&server, "/rooms")["rooms"],
        json!([
            { "id": "a", "clients": [1], "hibernates": false },
            { "id": "b", "clients": [1, 2], "hibernates": false },
        ])
    );
    for path in ["/rooms", "/rooms/a"] {
        assert_eq!(server.get(path).status, 404, "{path} is not for the public");
    }
}

#[test]
fn rooms_are_listed_page_by_page() {
    let server = TestServer::with(on_loopback().with_threads(2), script());
    for room in ["a%2Fb", "c", "d%20e", "f", "g"] {
        assert_eq!(order(&server, "POST", &format!("/rooms/{room}")).status, 201);
    }
    let page = |path: &str| {
        let page = read(&server, path);
        let ids = page["rooms"].as_array().expect("a list").iter().map(|room| room["id"].clone());
        (ids.collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(page("/rooms?limit=2"), (vec![json!("a/b"), json!("c")], json!("c")));
    assert_eq!(page("/rooms?limit=2&after=c"), (vec![json!("d e"), json!("f")], json!("f")));
    assert_eq!(page("/rooms?limit=2&after=f"), (vec![json!("g")], Value::Null));
    assert_eq!(page("/rooms?after=a%2Fb&limit=4").1, Value::Null);
    for query in ["limit=1001", "limit=3&limit=4", "after=%ff"] {
        assert_eq!(order(&server, "GET", &format!("/rooms?{query}")).status, 400, "{query}");
    }
}

#[test]
fn the_longest_page_has_another_page_behind_it() {
    let server = TestServer::with(on_loopback().with_threads(2), script());
    let handle = server.handle();
    smol::block_on(async {
        for number in 0..1_001 {
            handle.create_room(&format!("{number:04}")).await.expect("there is space");
        }
        assert_eq!(handle.rooms(None, 5_000).await.expect("it serves").len(), 1_000);
    });
    let page = read(&server, "/rooms?limit=1000");
    assert_eq!((page["rooms"].as_array().expect("a list").len(), &page["next"]), (1_000, &json!("0999")));
    let rest = read(&server, "/rooms?limit=1000&after=0999");
    assert_eq!((rest["rooms"][0]["id"].clone(), &rest["next"]), (json!("1000"), &Value::Null));
}

#[test]
fn a_request_for_several_hosts_is_no_request_of_the_operator() {
    let server = TestServer::with(on_loopback(), script());
    assert_eq!(ask(&server, "GET", "/status", &["Host: localhost", "Host: localhost"]).status, 400);
}

#[test]
fn the_operator_is_answered_although_it_writes_no_more() {
    let server = TestServer::with(on_loopback(), script());
    let AdminAddress::Tcp(address) = server.handle().admin_address().expect("it has one") else {
        panic!("it is TCP");
    };
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes that");
    stream.shutdown(Shutdown::Write).expect("it is open");
    let mut stream = BufReader::new(stream);
    assert_eq!(Answer::read(&mut stream, "GET").status, 200);
    assert_eq!(stream.read(&mut [0]).expect("no reset"), 0);
}

#[test]
fn the_operator_creates_and_ends_rooms() {
    let server = TestServer::with(on_loopback(), script());
    let created = order(&server, "POST", "/rooms/hall");
    assert_eq!((created.status, created.text()), (201, "hall"));
    assert_eq!(order(&server, "POST", "/rooms/hall").status, 409);
    let mut client = server.client("hall");
    assert_eq!(client.ask("hello"), "hello");
    assert_eq!(order(&server, "DELETE", "/rooms/hall").status, 200);
    assert_eq!(client.closed(), 1001);
    assert_eq!(order(&server, "DELETE", "/rooms/hall").status, 404);
    assert_eq!(order(&server, "PUT", "/rooms/hall").header("allow"), Some("DELETE, GET, POST"));
    assert_eq!(order(&server, "DELETE", "/rooms").header("allow"), Some("GET"));
    assert_eq!(order(&server, "POST", "/rooms/").status, 400);
    assert_eq!(order(&server, "GET", "/").status, 404);
}

#[test]
fn pages_do_not_reach_the_operators_address() {
    let server = TestServer::with(on_loopback(), script());
    for headers in [
        &["Host: example.com"][..],
        &["Host: 127.0.0.1.example.com:9000"],
        &["X: none"],
        &["Host: localhost", "Origin: http://localhost:8080"],
        &["Host: localhost", "Origin: null"],
        &["Host: localhost", "Sec-Fetch-Site: cross-site"],
    ] {
        assert_eq!(ask(&server, "POST", "/rooms/hall", headers).status, 403, "{headers:?}");
    }
    assert!(server.rooms().is_empty());
    assert_eq!(ask(&server, "GET", "/status", &["Host: [::1]:9000"]).status, 200);
}

#[test]
fn connections_that_ask_for_nothing_are_bounded_and_keep_nobody_out() {
    let server = TestServer::with(on_loopback(), script());
    let AdminAddress::Tcp(address) = server.handle().admin_address().expect("it has one") else {
        panic!("it is TCP");
    };
    let connect = || {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream
    };
    let mut silent: Vec<_> = (0..100).map(|_| connect()).collect();
    let mut last = connect();
    last.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes that");
    assert_eq!(Answer::read(&mut BufReader::new(last), "GET").status, 200);
    // All but the last sixteen have ended by now, of which the request was one.
    for stream in &mut silent[..85] {
        stream.set_nonblocking(true).expect("an option of every socket");
        let end = stream.read(&mut [0]);
        assert!(!end.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    }
    // The others end when they have been silent for long.
    for stream in &mut silent[85..] {
        assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    }
}

/// Keeps the room's thread with its first message, for as long as the gate is closed.
#[derive(Default)]
struct Stuck;

static GATE: Mutex<()> = Mutex::new(());
static IS_STUCK: AtomicBool = AtomicBool::new(false);

impl StateroomService for Stuck {
    fn message(&mut self, _: ClientId, _: MessagePayload<'_>, _: &impl StateroomContext) {
        IS_STUCK.store(true, Ordering::SeqCst);
        drop(GATE.lock());
    }
}

#[test]
fn the_operator_is_answered_while_a_room_keeps_its_thread() {
    let server = TestServer::with(on_loopback(), DefaultStateroomFactory::<Stuck>::default());
    let mut client = server.client("room");
    let closed = GATE.lock().expect("nobody panics");
    client.text("be stuck");
    eventually("the room keeps its thread", || IS_STUCK.load(Ordering::SeqCst));
    assert_eq!(order(&server, "GET", "/status").status, 504);
    drop(closed);
    assert_eq!(order(&server, "GET", "/status").status, 200);
}

#[test]
fn an_address_that_others_reach_is_refused() {
    let everywhere = AdminAddress::Tcp(([0, 0, 0, 0], 0).into());
    let server = server().with_admin(Some(everywhere));
    let listener = server.bind().expect("the system has a port");
    let error = server.start(script(), listener).expect_err("it is refused");
    assert!(matches!(error, ServeError::Admin { .. }));
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_lasts_as_long_as_the_server() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = stateroom_tests::Directory::new();
    let path = directory.path().join("admin.sock");
    let at_path = || server().with_admin(Some(AdminAddress::Unix(path.clone())));
    let server = TestServer::with_clock(at_path(), script());
    assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    // Nobody but its user gets here, so any host will do.
    assert_eq!(ask(&server, "POST", "/rooms/hall", &["Host: server"]).status, 201);
    assert_eq!(read(&server, "/rooms")["rooms"][0]["id"], "hall");
    let other = at_path();
    let listener = other.bind().expect("the system has a port");
    let error = other.start(script(), listener).expect_err("the first one listens");
    assert!(error.to_string().contains("another program listens there; choose another path"), "{error}");
    server.stop();
    assert!(!path.exists());
    // What a server has left that was killed is no hindrance to the next one.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("nothing is there"));
    let server = TestServer::with_clock(at_path(), script());
    assert_eq!(order(&server, "GET", "/status").status, 200);
}

#[test]
fn programs_may_ask_whether_the_server_is_ready_without_a_host() {
    let server = TestServer::with(on_loopback(), script());
    let Some(AdminAddress::Tcp(address)) = server.handle().admin_address() else { panic!("it has one") };
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    assert_eq!(exchange(stream, "GET /ready HTTP/1.0\r\n\r\n", "GET").status, 200);
}

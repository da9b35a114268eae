//! `GET /ready`, for load balancers.

use rustix::process::Signal;
use stateroom_tests::{TestServer, eventually, request, server, services::script};

use super::{ask, client, connect, dist, operator, start};

#[test]
fn a_server_is_ready_when_it_serves_and_anybody_may_ask() {
    let server = TestServer::with_clock(server(), script());
    let answer = server.get("/ready");
    assert_eq!((answer.status, answer.text()), (200, "ready"));
    assert_eq!(server.request("HEAD", "/ready", &[]).status, 200);
    assert_eq!(server.request("GET", "/ready", &["Origin: https://elsewhere.example"]).status, 200);
    assert_eq!(server.post("/ready").header("allow"), Some("GET"));
}

#[test]
fn a_server_that_ends_is_not_ready_at_any_of_its_addresses() {
    let directory = dist();
    let socket = directory.path().join("admin.sock");
    let admin = socket.display().to_string();
    let (mut server, at) = start(&directory, &["--drain", "60", "--admin", &admin]);
    let (mut kept, mut one, mut two) = (connect(at), client(at, "room"), client(at, "room"));
    for path in ["/ready", "/"] {
        assert_eq!(ask(&mut kept, path).status, 200);
    }
    assert_eq!(operator(&socket, "/ready").text(), "ready");
    server.signal(Signal::TERM);
    assert_eq!(one.closed(), 1001);
    let answer = ask(&mut kept, "/ready");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(request(at, "GET", "/ready", &[]).status, 503);
    assert_eq!(request(at, "GET", "/", &[]).status, 503);
    assert_eq!(operator(&socket, "/ready").status, 503);
    assert_eq!(operator(&socket, "/status").status, 200, "the operator still sees what there is");
    assert_eq!(two.ask("hello"), "hello");
    two.leave();
    assert_eq!(server.exit().0, Some(0));
    eventually("nobody listens any more", || std::net::TcpStream::connect(at).is_err());
}

//! The operator's token.

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
};

use stateroom_tests::{Answer, Child, Directory, Output, PATIENCE, binary};

use super::{GUEST, run};

const TOKEN: &str = "5dzYgTtSxOiJnVmXyqvlJA";

fn directory() -> Directory {
    Directory::new().with("guest.wasm", wat::parse_str(GUEST).expect("a module")).with("token", TOKEN)
}

fn serve(directory: &Directory, options: &[&str]) -> Command {
    let mut command = Command::new(binary("stateroom"));
    command.args(["serve", "guest.wasm", "--ip", "127.0.0.1", "--port", "0", "--playground"]).args(options);
    command.current_dir(directory.path()).env("TOKEN", TOKEN);
    command
}

#[track_caller]
fn start(directory: &Directory, options: &[&str]) -> (Child, SocketAddr) {
    let child = Child::of(&mut serve(directory, options));
    let status = child.line(Output::Stderr, "operator's status is at http://");
    let mut address: SocketAddr = status.split('/').next().unwrap().parse().expect("an address");
    address.set_ip([127, 0, 0, 1].into());
    (child, address)
}

#[track_caller]
fn ask(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(stream, "GET {path} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n")).expect("it reads");
    Answer::read(&mut BufReader::new(stream), "GET")
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let directory = directory();
    let refused = run(serve(&directory, &["--admin", "0.0.0.0:0"])).unwrap_err();
    assert!(refused.contains("`--admin-token-file`") && refused.contains("127.0.0.1"), "{refused}");
    std::fs::write(directory.path().join("short"), "secret").expect("a disk");
    let short = run(serve(&directory, &["--admin", "0.0.0.0:0", "--admin-token-file", "short"])).unwrap_err();
    assert!(short.contains("the token `short` has 6 bytes") && !short.contains("secret"), "{short}");
    let (child, address) = start(&directory, &["--admin", "0.0.0.0:0", "--admin-token-file", "env:TOKEN"]);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for path in
        ["/status", "/rooms", "/metrics", "/rooms/hall", "/_/rooms", "/_/events", "/rooms/hall/events"]
    {
        let refused = ask(address, path, &["Host: admin.example.com"]);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")), "{path}");
        let wrong =
            ask(address, path, &["Host: admin.example.com", "Authorization: Bearer 5dzYgTtSxOiJnVmXyqvlJB"]);
        assert_eq!(wrong.status, 401, "{path}");
    }
    let line = child.line(Output::Stderr, "requests with a wrong operator's token: ");
    assert!(line.starts_with("1;"), "the others are told of together, later: {line}");
    let metrics = ask(address, "/metrics", &["Host: admin.example.com", &bearer]);
    let metrics = String::from_utf8(metrics.body).expect("text");
    let count = "stateroom_refused_requests_total{reason=\"operator_token\"} 7\n";
    assert!(metrics.contains(count), "{metrics}");
    for path in ["/status", "/rooms", "/metrics", "/_/rooms"] {
        assert_eq!(ask(address, path, &["Host: admin.example.com", &bearer]).status, 200, "{path}");
        // A proxy may speak TLS.
        for scheme in ["http", "https"] {
            let own = format!("Origin: {scheme}://admin.example.com");
            assert_eq!(ask(address, path, &["Host: admin.example.com", &bearer, &own]).status, 200, "{path}");
        }
        let page = ask(address, path, &["Host: admin.example.com", &bearer, "Origin: http://example.com"]);
        assert_eq!(page.status, 403, "{path}");
    }
    // The page asks for the token.
    assert_eq!(ask(address, "/_/", &["Host: admin.example.com"]).status, 200);
    drop(child);
}

#[test]
fn the_command_brings_the_token() {
    let directory = directory();
    let (_child, address) = start(&directory, &["--admin", "127.0.0.1:0", "--admin-token-file", "token"]);
    let rooms = |options: &[&str]| {
        let mut command = Command::new(binary("stateroom"));
        command.args(["rooms", "list", "--admin", &address.to_string()]).args(options);
        command.current_dir(directory.path()).env("TOKEN", TOKEN);
        run(command)
    };
    let refused = rooms(&[]).unwrap_err();
    assert!(
        refused.contains("needs the operator's token") && refused.contains("--admin-token-file"),
        "{refused}"
    );
    assert_eq!(rooms(&["--admin-token-file", "token"]), Ok(String::new()));
    assert_eq!(rooms(&["--admin-token-file", "env:TOKEN"]), Ok(String::new()));
    // A proxy may have any name. Who has not the token gets nothing under it.
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for (headers, status) in [(&["Host: example.com", &bearer][..], 200), (&["Host: example.com"], 401)] {
        assert_eq!(ask(address, "/rooms", headers).status, status, "{headers:?}");
    }
}

//! The log as JSON, and the ids of connections in both forms.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use serde_json::Value;
use stateroom_tests::{PATIENCE, request, tls::Authority};

use super::{Child, Command, Directory, GUEST, Output, Running, binary};

/// Reads lines that are objects.
#[track_caller]
fn objects(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}

/// Lets clients come and go, and asks for what does not exist.
#[track_caller]
fn visit(server: &Running) {
    let mut client = server.client("a%22b");
    client.expect(&["come"]);
    client.binary(b"a\"\nb");
    assert_eq!(client.next_binary(), b"a\"\nb");
    client.leave();
    assert_eq!(request(server.address, "GET", "/nothing?secret", &[]).status, 404);
}

#[test]
fn each_line_is_an_object_that_says_when_and_about_whom() {
    let server = Running::start(&["-vv", "--log-format", "json"]);
    visit(&server);
    let (lines, _) = server.end();
    let lines = objects(&lines);
    for line in &lines {
        let time = line["time"].as_str().expect("a time");
        assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{line}");
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
    let come = lines.iter().find(|line| line["message"].as_str().unwrap().ends_with("has come"));
    let come = come.expect("a client has come");
    assert_eq!(
        (&come["room"], &come["client"], &come["level"]),
        (&"a\"b".into(), &1.into(), &"debug".into())
    );
    let id = come["connection"].as_str().expect("a connection");
    let life: Vec<_> = lines.iter().filter(|line| line["connection"] == id).collect();
    let address = life[0]["address"].as_str().expect("an address");
    assert_eq!(life[0]["message"], format!("{address} connects"));
    assert_eq!(life[1]["message"], "GET \"/ws/a%22b\": 101");
    assert_eq!(life.last().unwrap()["message"], "the connection has ended");
    let logged = lines.iter().find(|line| line["guest"] == true).expect("a line of the guest");
    assert_eq!(logged["room"], "a\"b");
    assert_eq!(logged["message"], "room \"a\\\"b\": \"a\\\"\\nb\"");
    assert!(lines.iter().all(|line| !line.to_string().contains("secret")), "queries stay out of the log");
}

#[test]
fn the_id_of_a_connection_finds_its_life_in_a_log_of_text() {
    let server = Running::start(&["-vv"]);
    visit(&server);
    let (lines, _) = server.end();
    let come = lines.iter().find(|line| line.ends_with("client 1 has come")).expect("a client has come");
    let id = come.strip_prefix("DEBUG ").and_then(|rest| rest.split(' ').next()).expect("an id");
    assert!(id.starts_with('c'), "{come}");
    let life: Vec<_> = lines.iter().filter(|line| line.split(' ').any(|word| word == id)).collect();
    for (line, end) in [
        (life[0], " connects"),
        (life[1], "GET \"/ws/a%22b\": 101"),
        (life[2], "client 1 has come"),
        (life[life.len() - 1], "the connection has ended"),
    ] {
        assert!(line.ends_with(end), "{line} {life:#?}");
    }
    // That of a request has another one.
    let asked = lines.iter().find(|line| line.contains("GET \"/nothing\": 404")).expect("a request");
    assert!(!asked.contains(&format!(" {id} ")), "{asked}");
}

#[test]
fn a_connection_has_its_id_before_it_speaks_tls() {
    let directory = Directory::new().with("guest.wasm", wat::parse_str(GUEST).expect("a module"));
    Authority::new().issue().write(&directory);
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "-vv", "--log-format", "json"];
    let server = Running::start_in(directory, 0, &tls);
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    stream.write_all(&[22, 3, 1, 0, 4, 1, 0, 0, 0]).expect("it reads");
    let mut answer = Vec::new();
    let _ = BufReader::new(&stream).read_until(b'\n', &mut answer);
    drop(stream);
    let (lines, _) = server.end();
    let lines = objects(&lines);
    let failed = lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("TLS: "));
    let id = &failed.unwrap_or_else(|| panic!("{lines:#?}"))["connection"];
    let life: Vec<_> = lines.iter().filter(|line| line["connection"] == *id).collect();
    assert!(id.is_string() && life.len() > 2, "{lines:#?}");
    assert!(life[0]["message"].as_str().unwrap().ends_with(" connects"), "{life:#?}");
}

#[test]
fn an_address_is_that_of_the_client_with_its_port_if_that_is_known() {
    let directory = Directory::new().with("guest.wasm", wat::parse_str(GUEST).expect("a module"));
    let mut command = Command::new(binary("stateroom"));
    // It listens for both families.
    command.args(["serve", "guest.wasm", "--ip", "::", "--port", "0", "-vv", "--log-format", "json"]);
    command.args(["--trusted-proxy", "127.0.0.1"]).current_dir(directory.path());
    let child = Child::of(&mut command);
    let said = child.line(Output::Stderr, "serving on ");
    let port = said.split('"').next().and_then(|address| address.rsplit(':').next()).expect("an address");
    let address = ([127, 0, 0, 1], port.parse().expect("a port")).into();
    let server = Running { child, address, directory };
    let client = TcpStream::connect(server.address).expect("it listens on both");
    let own = client.local_addr().expect("it has one").to_string();
    drop(client);
    assert_eq!(request(server.address, "GET", "/a", &["X-Forwarded-For: 203.0.113.7"]).status, 404);
    assert_eq!(request(server.address, "GET", "/b", &["X-Forwarded-For: 2001:db8::7"]).status, 404);
    let (lines, _) = server.end();
    let lines = objects(&lines);
    let address = |message: &str| {
        let line = lines.iter().find(|line| line["message"] == message);
        line.unwrap_or_else(|| panic!("no {message}: {lines:#?}"))["address"].clone()
    };
    assert_eq!(address(&format!("{own} connects")), own);
    assert_eq!(address("GET \"/a\": 404"), "203.0.113.7");
    assert_eq!(address("GET \"/b\": 404"), "2001:db8::7");
}

#[test]
fn what_is_dropped_is_said_in_json() {
    let server = Running::start(&["-vv", "--log-format", "json"]);
    let mut stream = TcpStream::connect(server.address).expect("it listens");
    let ask = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2_000);
    let reading = BufReader::new(stream.try_clone().expect("a socket"));
    let reader = std::thread::spawn(move || reading.lines().map_while(Result::ok).count());
    stream.write_all(&ask).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    assert!(reader.join().expect("it ends") > 2_000);
    let (lines, _) = server.end();
    let lines = objects(&lines);
    let dropped =
        lines.iter().find(|line| line["message"].as_str().unwrap().contains(" log lines were dropped"));
    assert_eq!(dropped.unwrap_or_else(|| panic!("{} lines", lines.len()))["level"], "warn");
}

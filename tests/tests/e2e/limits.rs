//! Each limit that the `stateroom` command takes has an effect, as a flag and in a `stateroom.toml`.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use stateroom_tests::{Child, Client, Directory, Frame, Message, Output, binary, status};

/// Returns a guest that sends everything back, and first does what the first letter says.
fn module() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (import "env" "send_message" (func $send (param i32 i32 i32)))
            (memory (export "memory") 145)
            (table 100 funcref)
            (global $i (mut i32) (i32.const 0))
            (start $start)
            (func $start
                (loop $again
                    (global.set $i (i32.add (global.get $i) (i32.const 1)))
                    (br_if $again (i32.lt_u (global.get $i) (i32.const 1000)))))
            (func $nest (param $depth i32)
                (if (local.get $depth) (then (call $nest (i32.sub (local.get $depth) (i32.const 1))))))
            (func (export "jam_malloc") (param i32) (result i32) (i32.const 65536))
            (func (export "jam_free") (param i32 i32))
            (func (export "initialize") (param i32 i32))
            (func (export "connect") (param i32))
            (func (export "disconnect") (param i32))
            (func (export "timer"))
            (func (export "binary") (param i32 i32 i32))
            (func (export "message") (param $client i32) (param $at i32) (param $len i32)
                (local $letter i32) (local $i i32)
                (local.set $letter (i32.load8_u (local.get $at)))
                ;; g: grows by a page, or does not: then the answer is a dot
                (if (i32.eq (local.get $letter) (i32.const 0x67)) (then
                    (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then
                        (i32.store8 (local.get $at) (i32.const 0x2e))))))
                ;; c: computes
                (if (i32.eq (local.get $letter) (i32.const 0x63)) (then
                    (loop $again
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))))
                ;; n: nests a hundred calls
                (if (i32.eq (local.get $letter) (i32.const 0x6e)) (then (call $nest (i32.const 100))))
                ;; s: sends twenty empty messages to everybody
                (if (i32.eq (local.get $letter) (i32.const 0x73)) (then
                    (loop $again
                        (call $send (i32.const 0) (local.get $at) (i32.const 0))
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $again (i32.lt_u (local.get $i) (i32.const 20))))))
                ;; o: sends it to all others, too
                (if (i32.eq (local.get $letter) (i32.const 0x6f)) (then
                    (call $send (i32.sub (i32.const 0) (local.get $client)) (local.get $at) (local.get $len))))
                ;; t: sends it three times
                (if (i32.eq (local.get $letter) (i32.const 0x74)) (then
                    (call $send (local.get $client) (local.get $at) (local.get $len))
                    (call $send (local.get $client) (local.get $at) (local.get $len))))
                (call $send (local.get $client) (local.get $at) (local.get $len))))"#,
    )
    .expect("a module")
}

/// Returns a server, or what it says instead of serving.
fn serve(path: &Path, flags: &[&str]) -> Result<(Child, SocketAddr), String> {
    let path = path.display().to_string();
    let arguments = [&["serve", &path, "--ip", "127.0.0.1", "--port", "0"], flags].concat();
    let child = Child::start("stateroom", &arguments);
    match child.find_line(Output::Stderr, "serving on ") {
        Ok(address) => Ok((child, address.parse().expect("an address"))),
        Err(lines) => Err(lines.join("\n")),
    }
}

/// Returns a `dist` directory with this in its `stateroom.toml`, and with a file that is larger than what sockets
/// buffer.
fn dist(toml: &str) -> Directory {
    let directory = Directory::new().with("server.wasm", module()).with("static/large.bin", "");
    let file = File::options().write(true).open(directory.path().join("static/large.bin"));
    // It takes no place on the disk.
    file.and_then(|file| file.set_len(64 << 20)).expect("a file");
    if toml.is_empty() { directory } else { directory.with("stateroom.toml", format!("[limits]\n{toml}\n")) }
}

/// A trial of a server, which returns what the server does.
type Trial = fn(SocketAddr) -> String;

fn client(address: SocketAddr) -> Client {
    Client::connect(address, "/ws/room").expect("an upgrade")
}

/// Sends one text; what comes is a text, or its length if it is long, or a close code.
fn tell(mut client: Client, text: &str) -> String {
    client.text(text);
    match client.message() {
        Message::Text(text) if text.len() < 10 => text,
        Message::Text(text) => format!("{} bytes", text.len()),
        Message::Close(code) => code.to_string(),
        other => panic!("this should have been an answer: {other:?}"),
    }
}

/// Returns how many answers another room gives while one computes, several times.
fn answers_meanwhile(address: SocketAddr) -> String {
    const TIMES: usize = 30;
    let mut computing = Client::connect(address, "/ws/computing").expect("an upgrade");
    let mut quick = Client::connect(address, "/ws/quick").expect("an upgrade");
    assert_eq!((computing.ask("a"), quick.ask("a")), ("a".to_owned(), "a".to_owned()));
    (0..TIMES).for_each(|_| computing.text("c"));
    let (mut computed, mut answers) = (0, 0);
    while computed < TIMES {
        if computing.is_quiet() {
            assert_eq!(quick.ask("a"), "a");
            answers += 1;
        } else {
            computing.expect(&["c"]);
            computed += 1;
        }
    }
    // A few may be given before the other room begins, and while its messages are read.
    if answers > 6 { "many" } else { "few" }.to_owned()
}

/// Returns a client in the room `one`, and then another one: what that gets.
fn second_client(address: SocketAddr, path: &str) -> String {
    let mut first = Client::connect(address, "/ws/one").expect("an upgrade");
    assert_eq!(first.ask("a"), "a");
    match Client::connect(address, path) {
        Ok(second) => tell(second, "a"),
        Err(answer) => answer.status.to_string(),
    }
}

/// Asks for a file while somebody reads nothing of it: what the answer is.
fn second_download(address: SocketAddr) -> String {
    let download = || {
        let mut socket = BufReader::new(TcpStream::connect(address).expect("it listens"));
        let request = b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
        socket.get_mut().write_all(request).expect("it reads");
        let mut status = String::new();
        socket.read_line(&mut status).expect("an answer");
        (socket, status)
    };
    let (_first, status) = download();
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    let (_second, status) = download();
    status.split(' ').nth(1).expect("a status").to_owned()
}

/// Creates rooms, four times as many as may be created at once at one a second. Returns what happens.
fn forty_rooms(address: SocketAddr) -> String {
    let create = |room| match Client::connect(address, &format!("/ws/{room}")) {
        Ok(client) => tell(client, "a"),
        Err(answer) => answer.status.to_string(),
    };
    // All at once, so that a busy machine does not take a second for each.
    let answers: BTreeSet<_> = thread::scope(|scope| {
        let rooms: Vec<_> = (0..40).map(|room| scope.spawn(move || create(room))).collect();
        rooms.into_iter().map(|room| room.join().expect("it has an answer")).collect()
    });
    answers.into_iter().rev().collect::<Vec<_>>().join(", ")
}

/// Returns the first client of a room. While another room is in use, it does not hibernate for a new one, which is told to come
/// later.
fn new_room(address: SocketAddr, path: &str) -> Client {
    loop {
        let mut client = Client::connect(address, path).expect("an upgrade");
        client.text("a");
        match client.message() {
            Message::Text(text) if text == "a" => return client,
            Message::Close(1013) => {}
            other => panic!("this should have been an answer: {other:?}"),
        }
    }
}

/// Returns whether rooms hibernate at once when three are opened, of 9 MiB each.
fn hibernates_at_once(address: SocketAddr) -> String {
    for room in ["one", "two", "three"] {
        let mut client = new_room(address, &format!("/ws/{room}"));
        // They do so in steps, and there is one between two messages.
        (0..200).for_each(|_| assert_eq!(client.ask("a"), "a"));
    }
    let hibernating = status(address)["hibernating_room_count"].as_u64();
    if hibernating > Some(0) { "some do" } else { "none does" }.to_owned()
}

/// Returns how a client ends that does not read while others get 6 MiB: it hears of the last one, or it is closed.
fn reads_late(address: SocketAddr) -> String {
    let (mut late, mut other) = (client(address), client(address));
    let text = format!("o{}", "x".repeat(200));
    for _ in 0..300 {
        (0..100).for_each(|_| other.text(&text));
        (0..100).for_each(|_| assert!(other.next_text() == text));
    }
    assert_eq!(other.ask("o"), "o");
    loop {
        match late.message() {
            Message::Text(last) if last == "o" => return "all".into(),
            Message::Text(_) => {}
            // If it reads too late for that, it does not see the close frame.
            Message::Close(1013) | Message::End => return "closed".into(),
            other => panic!("this should have been a message: {other:?}"),
        }
    }
}

/// Returns whether a client resumes its session that has not received a message.
fn resumed(address: SocketAddr) -> String {
    let connect = || {
        let session = "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.token-of-a-client";
        Client::connect_with(address, "/ws/room", &[session]).expect("an upgrade")
    };
    let mut first = connect();
    let greeting = first.next_text();
    assert!(greeting.contains(r#""resumed":false"#), "{greeting}");
    assert_eq!(first.ask(&"x".repeat(100)).len(), 100);
    first.hang_up();
    let greeting = connect().next_text();
    if greeting.contains(r#""resumed":true"#) { "resumed" } else { "new" }.to_owned()
}

/// Asks forty times for a room without a WebSocket, four times as often as at once at one a second. Returns the last answer.
fn forty_clients(address: SocketAddr) -> String {
    let ask = || stateroom_tests::request(address, "GET", "/ws/room", &[]).status;
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..40).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asking| asking.join().expect("it has an answer")).collect()
    });
    answers.into_iter().max().expect("there are answers").to_string()
}

/// Sends a text so many times and waits for each answer. Returns `all`, or the code with which the client is closed.
fn talk(address: SocketAddr, times: usize, text: &str) -> String {
    let mut client = client(address);
    let sending = client.send_aside((0..times).map({
        let frame = Frame::text(text);
        move |_| frame.clone()
    }));
    let closed = (0..times).find_map(|_| match client.message() {
        Message::Text(answer) => {
            assert!(answer == text);
            None
        }
        Message::Close(code) => Some(code.to_string()),
        other => panic!("this should have been an answer: {other:?}"),
    });
    drop(client);
    sending.join().expect("it does not panic");
    closed.unwrap_or_else(|| "all".to_owned())
}

/// Each limit with a value of it, how it is tried, and what comes of it by default and with the value.
const TRIALS: [(&str, &str, Trial, &str, &str); 23] = [
    ("connections", "1", |address| second_client(address, "/ws/one"), "a", "503"),
    ("connections_per_address", "1", |address| second_client(address, "/ws/one"), "a", "429"),
    ("join_rate", "1", forty_clients, "426", "429"),
    ("clients_per_room", "1", |address| second_client(address, "/ws/one"), "a", "1013"),
    ("downloads", "1", second_download, "200", "503"),
    ("room_rate", "1", forty_rooms, "a", "a, 1013"),
    ("rooms", "1", |address| second_client(address, "/ws/two"), "a", "1013"),
    ("total_memory", "20MiB", hibernates_at_once, "none does", "some do"),
    ("awake_memory", "1MiB", hibernates_at_once, "none does", "some do"),
    ("outbox_size", "1KiB", reads_late, "all", "closed"),
    ("session_buffer", "100", resumed, "resumed", "new"),
    ("message_size", "64", |address| tell(client(address), &"x".repeat(65)), "65 bytes", "1009"),
    ("message_rate", "1", |address| talk(address, 40, "a"), "all", "1008"),
    ("byte_rate", "1KiB", |address| talk(address, 40, &"x".repeat(100_000)), "all", "1008"),
    ("memory", "9280KiB", |address| tell(client(address), "g"), "g", "."),
    ("fuel", "1M", |address| tell(client(address), "c"), "c", "1011"),
    ("slice", "10M", answers_meanwhile, "many", "few"),
    ("startup_fuel", "1k", |_| "it serves".into(), "it serves", "1000 units of fuel"),
    ("effects", "10", |address| tell(client(address), "s"), "", "1011"),
    ("effect_bytes", "100", |address| tell(client(address), &"t".repeat(50)), "50 bytes", "1011"),
    ("call_depth", "90", |address| tell(client(address), "n"), "n", "1011"),
    ("table_elements", "99", |_| "it serves".into(), "it serves", "99 elements"),
    ("module_size", "100", |_| "it serves".into(), "it serves", "100 is the limit"),
];

fn flag(key: &str) -> String {
    let name = key.replace('_', "-");
    if key.ends_with("_rate") { format!("--{name}") } else { format!("--max-{name}") }
}

#[test]
fn each_limit_has_an_effect_as_a_flag_and_in_a_file() {
    let outcome = |trial: Trial, dist: &Directory, flags: &[&str]| match serve(dist.path(), flags) {
        Ok((_child, address)) => trial(address),
        Err(error) => error,
    };
    let usual = dist("");
    for (key, value, trial, by_default, limited) in TRIALS {
        println!("{key}");
        assert_eq!(outcome(trial, &usual, &[]), by_default, "{key}");
        let flag = flag(key);
        let flagged = outcome(trial, &usual, &[&flag, value]);
        assert!(flagged.contains(limited), "{flag} {value}: {flagged}");
        let filed = outcome(trial, &dist(&format!("{key} = '{value}'")), &[]);
        assert!(filed.contains(limited), "{key} = '{value}': {filed}");
    }
}

#[test]
fn no_limit_goes_untried() {
    let help = Command::new(binary("stateroom")).arg("limits").output().expect("it has been built");
    let help = String::from_utf8(help.stdout).expect("text");
    let flags = help.lines().filter_map(|line| line.strip_prefix("  --")?.split(' ').next());
    let mut flags: Vec<_> = flags.map(|flag| format!("--{flag}")).collect();
    let mut tried: Vec<_> = TRIALS.iter().map(|(key, ..)| flag(key)).collect();
    flags.sort();
    tried.sort();
    assert_eq!(flags, tried);
}

#[test]
fn a_flag_wins_over_the_file() {
    let dist = dist("message_size = 64");
    let (_child, address) = serve(dist.path(), &["--max-message-size", "128"]).expect("it serves");
    assert_eq!(tell(client(address), &"x".repeat(128)), "128 bytes");
    assert_eq!(tell(client(address), &"x".repeat(129)), "1009");
}

#[test]
fn raised_message_sizes_hold_for_answers_as_well() {
    let dist = dist("");
    // More than waits for a client by default.
    let size = 9 << 20;
    let (_child, address) = serve(dist.path(), &["--max-message-size", "9MiB"]).expect("it serves");
    assert_eq!(tell(client(address), &"x".repeat(size)), format!("{size} bytes"));
    assert_eq!(tell(client(address), &"x".repeat(size + 1)), "1009");
}

#[test]
fn limits_that_contradict_one_another_are_not_served() {
    let dist = dist("fuel = 1000\n\nslice = 2000\n");
    let error = serve(dist.path(), &[]).expect_err("it says why");
    let file = dist.path().join("stateroom.toml").display().to_string();
    assert!(error.contains(&format!("`slice` ({file}:4) is 2k, more than `fuel` ({file}:2)")), "{error}");
    serve(dist.path(), &["--max-slice", "1000"]).expect("it serves");
}

#[test]
fn everything_wrong_with_a_file_is_told_at_once() {
    let dist = Directory::new().with("server.wasm", module());
    let dist = dist.with("stateroom.toml", "static_files = 'x'\n[limits]\nmemory = '1 MB'\nfuels = 1");
    let error = serve(dist.path(), &[]).expect_err("it says why");
    for part in
        [":1: unknown key `static_files`", ":3: `memory` is a number of bytes", ":4: unknown key `fuels`"]
    {
        assert!(error.contains(part), "{error}");
    }
}

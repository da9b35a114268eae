//! The playground: a page at `/_/`, and what it asks of the server.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};

use crate::{
    directory::Directory,
    guests::ECHO,
    running::{Serving, refuses, stateroom},
};

/// Answers each message twice, and with a close if it is empty; sets a timer; logs, and panics at the third message.
const BUSY: &str = "#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Busy(u8);

impl StateroomService for Busy {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.log(LogLevel::Info, \"hello\");
        ctx.set_timer(60_000);
        ctx.send_message(MessageRecipient::EveryoneExcept(client), \"new\");
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        self.0 += 1;
        assert!(self.0 < 3, \"too many\");
        ctx.send_message(client, message);
        ctx.send_message(MessageRecipient::Broadcast, &[7, 255][..]);
        if message.bytes().is_some_and(<[u8]>::is_empty) {
            ctx.close(client, 4_000, \"bye\");
        }
    }
}
";

/// A stream of events, as a page receives it.
struct Events {
    lines: BufReader<TcpStream>,
    event: String,
}

impl Events {
    /// Listens at an address.
    fn of(mut stream: TcpStream, path: &str) -> Self {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut events = Self { lines: BufReader::new(stream), event: String::new() };
        assert!(events.line().starts_with("HTTP/1.1 200"));
        events
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// Returns the name and the data of the next event.
    fn next(&mut self) -> (String, Value) {
        loop {
            let line = self.line();
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut self.event);
            } else if let Some(data) = line.strip_prefix("data: ") {
                return (self.event.clone(), serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Returns the next record of the room.
    fn record(&mut self) -> Value {
        loop {
            if let (event, data) = self.next()
                && event == "room"
            {
                return data;
            }
        }
    }

    /// Waits for this notice.
    fn wait_for(&mut self, event: &str, accept: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (found, data) = self.next();
            if found == event && accept(&data) {
                return data;
            }
        }
    }
}

/// Sends frames: an opcode and a payload each.
fn send(client: &mut TcpStream, frames: &[(u8, &[u8])]) {
    for (opcode, payload) in frames {
        let head = [0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        client.write_all(&[&head, *payload].concat()).unwrap();
    }
}

#[test]
fn a_page_sees_what_happens_in_a_room() {
    let here = Directory::new().with_guest("", BUSY);
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0", "--hibernate-after", "0"]));
    let mut events = Events::of(server.connect(), "/_/events?room=lobby");
    let mut client = server.join("/ws/lobby", "");
    send(&mut client, &[(1, "é".as_bytes()), (2, &[]), (1, b"a")]);

    let began = events.record();
    assert_eq!(began["state"], "began");
    assert!(began["time"].as_u64().unwrap() > 1_700_000_000_000);
    let init = events.record();
    assert_eq!(
        (&init["event"], &init["outcome"], &init["effects"]),
        (&json!("init"), &json!("done"), &json!([]))
    );
    let connect = events.record();
    assert_eq!((&connect["event"], &connect["client"]), (&json!("connect"), &json!(1)));
    let effects = json!([
        { "log": "info", "text": "hello" },
        { "timer": 60_000 },
        { "send": { "except": 1 }, "message": { "text": "new", "size": 3 } },
    ]);
    assert_eq!(connect["effects"], effects);
    for amount in ["fuel", "memory", "micros"] {
        assert!(connect[amount].is_u64(), "{amount}: {connect}");
    }
    assert!(connect["fuel"].as_u64().unwrap() > 0);

    let first = events.record();
    assert_eq!(first["message"], json!({ "text": "é", "size": 2 }));
    let bytes = json!({ "hex": "07ff", "size": 2 });
    let effects = json!([
        { "send": { "client": 1 }, "message": { "text": "é", "size": 2 } },
        { "send": "everyone", "message": bytes },
    ]);
    assert_eq!((&first["event"], &first["effects"]), (&json!("message"), &effects));
    let second = events.record();
    assert_eq!(second["message"], json!({ "hex": "", "size": 0 }));
    assert_eq!(second["effects"][2], json!({ "close": { "client": 1 }, "code": 4_000, "reason": "bye" }));

    // The third message came after the close, and is no event.
    let mut other = server.join("/ws/lobby", "");
    send(&mut other, &[(1, b"b")]);
    let mut between = [events.record(), events.record()];
    between.sort_by_key(|record| record["event"].to_string());
    assert_eq!((&between[0]["event"], &between[0]["client"]), (&json!("connect"), &json!(2)));
    assert_eq!((&between[1]["event"], &between[1]["client"]), (&json!("disconnect"), &json!(1)));
    let failed = events.record();
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["reason"].as_str().unwrap().contains("too many"), "{failed}");
    let ended = events.record();
    assert_eq!(ended["state"], "ended");
    assert!(ended["reason"].as_str().unwrap().contains("too many"), "{ended}");
}

#[test]
fn a_page_makes_and_ends_rooms_and_sees_all_of_them() {
    let here = Directory::new().with_guest("", ECHO);
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    // Without a page of the guest's, the playground is the page.
    let root = server.get("/");
    assert!(root.starts_with("HTTP/1.1 302") && root.contains("location: /_/\r\n"), "{root}");
    let page = server.get("/_/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("playground.css"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'self'"), "{page}");
    assert!(server.get("/_").contains("location: /_/\r\n"));

    let own = "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n";
    assert!(server.request("POST", "/_/rooms/lobby", own).starts_with("HTTP/1.1 201"));
    assert!(server.get("/_/rooms").contains("\"id\":\"lobby\""));
    assert!(server.get("/_/status").contains("\"rooms\":1,"));
    assert!(server.request("DELETE", "/_/rooms/lobby", own).starts_with("HTTP/1.1 200"));
    assert!(server.get("/_/rooms").contains("\"rooms\":[]"));
    // Pages of others have no business here.
    for foreign in ["Origin: http://example.com\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert!(server.request("POST", "/_/rooms/lobby", foreign).starts_with("HTTP/1.1 403"), "{foreign}");
    }
    assert!(server.get("/_/events?rom=lobby").starts_with("HTTP/1.1 400"));
    assert!(server.post("/_/events").starts_with("HTTP/1.1 405"));
    assert!(server.get("/_/nothing").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_page_hears_of_builds_and_of_its_files() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "one");
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0", "--color", "always"]));
    assert!(server.get("/_/client.js").contains("location.reload()"), "the library loads the page again");
    let mut events = Events::of(server.connect(), "/_/events");
    let before = events.wait_for("files", |_| true);
    let here = here.with("web/style.css", "");
    let changed = events.wait_for("files", |files| *files != before);
    server.wait_for_line("a page has changed: pages reload");
    let (web, away) = (here.path("web"), here.path("away"));
    fs::rename(&web, &away).unwrap();
    events.wait_for("files", |files| *files != changed);
    server.wait_for_line("the directory of the static files is gone: `");
    fs::rename(&away, &web).unwrap();
    events.wait_for("files", |files| *files == changed);
    server.wait_for_line("the directory of the static files is there again");

    let here = here.with("src/lib.rs", "!");
    events.wait_for("build", |build| build["state"] == "building");
    let failed = events.wait_for("build", |build| build["state"] == "failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("src/lib.rs:1") && error.contains("does not build"), "{error}");
    assert!(!error.contains('\x1b'), "{error}");
    let _here = here.with("src/lib.rs", format!("{ECHO}// The same.\n"));
    let done = events.wait_for("build", |build| build["state"] == "done");
    assert!(done["ms"].is_u64());
    server.wait_for_line("the module has not changed");
}

#[test]
fn a_page_hears_of_each_kind_of_failure() {
    let here = Directory::new().with_guest("", ECHO);
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0", "--color", "always"]));
    let mut events = Events::of(server.connect(), "/_/events");
    let manifest = fs::read_to_string(here.path("Cargo.toml")).unwrap();
    let mut failed = |file: &str, content: &str, part: &str| {
        fs::write(here.path(file), content).unwrap();
        let failed = events
            .wait_for("build", |build| build["error"].as_str().is_some_and(|error| error.contains(part)));
        let error = failed["error"].as_str().unwrap();
        assert!(!error.contains('\x1b'), "{error}");
        error.to_owned()
    };
    failed("stateroom.toml", "nonsense = 1", "`nonsense`");
    fs::remove_file(here.path("stateroom.toml")).unwrap();
    failed("Cargo.toml", &format!("{manifest}[broken\n"), "Cargo.toml");
    failed("Cargo.toml", &format!("{manifest}nothing-there = {{ path = 'nowhere' }}\n"), "nowhere");
    fs::write(here.path("build.rs"), "fn main() { panic!(\"the schema is wrong\"); }").unwrap();
    failed("Cargo.toml", &format!("{manifest}# \n"), "in the terminal of `stateroom dev`");
    fs::remove_file(here.path("build.rs")).unwrap();
    let long = format!("{ECHO}compile_error!(\"{}\");\n", "long é ".repeat(8_000));
    let error = failed("src/lib.rs", &long, "long é");
    assert!(error.len() < 40_000 && error.contains("does not build"), "{}", error.len());
}

#[test]
fn serve_has_the_playground_at_the_operators_address_if_that_is_wanted() {
    let here = Directory::new().with("room.wat", crate::guests::QUIET);
    let arguments = ["serve", "room.wat", "--port", "0", "--admin", "127.0.0.1:0"];
    for wanted in [false, true] {
        let arguments = [&arguments[..], if wanted { &["--playground"] } else { &[] }].concat();
        let mut server = Serving::start(stateroom(&here, &arguments));
        let line = server.wait_for_line("the operator's status is at http://");
        let operator = line.split_once("http://").unwrap().1.split_once('/').unwrap().0;
        let get = |path: &str| {
            let mut stream = TcpStream::connect(operator).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {operator}\r\n\r\n").unwrap();
            let mut first = String::new();
            BufReader::new(stream).read_line(&mut first).unwrap();
            first
        };
        let status = if wanted { "HTTP/1.1 200" } else { "HTTP/1.1 404" };
        for path in ["/_/", "/_/rooms", "/_/events?room=lobby"] {
            assert!(get(path).starts_with(status), "{path}");
            // The public address lists no rooms.
            assert!(server.get(path).starts_with("HTTP/1.1 404"), "{path}");
        }
        if !wanted {
            continue;
        }
        let mut events = Events::of(TcpStream::connect(operator).unwrap(), "/_/events?room=lobby");
        let _client = server.join("/ws/lobby", "");
        assert_eq!(events.record()["state"], "began");
        // Those who only listen leave the operator's places free.
        let streams: Vec<_> =
            (0..20).map(|_| Events::of(TcpStream::connect(operator).unwrap(), "/_/events")).collect();
        assert!(get("/status").starts_with("HTTP/1.1 200"));
        drop(streams);
    }
    refuses(&here, &["serve", "room.wat", "--playground"], &["--admin"]);
}

#[test]
fn a_stream_of_events_does_not_delay_the_end() {
    let here = Directory::new().with_guest("", ECHO);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let mut events = Events::of(server.connect(), "/_/events?room=lobby");
    events.wait_for("build", |build| build["state"] == "done");
    fs::write(here.path("stateroom.toml"), "limits.memory = '1MiB'").unwrap();
    // With other limits, the server ends, and another one takes its place.
    server.wait_for_address();
    while events.lines.read_line(&mut String::new()).unwrap() > 0 {}
}

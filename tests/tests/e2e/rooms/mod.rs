//! Rooms on disk in the operator's hands: `stateroom rooms`, and the routes that it uses.

mod damaged;
#[cfg(unix)]
mod directory;
mod imports;

use std::{
    fs,
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

#[cfg(unix)]
use rustix::process::Signal;
use serde_json::{Value, json};
use stateroom_host_min::Program;
use stateroom_sdk_core::ClientId;
use stateroom_server_smol::{AdminAddress, DataReader, DataRooms, Recordings, RoomsError, Server};
use stateroom_tests::{
    Answer, Child, Client, Directory, Module, Output, PATIENCE, TestServer, binary, eventually, records_with,
    server, wait_until_unused,
};

const IDLE: Duration = Duration::from_secs(10);

/// Returns a guest that counts, and notes in its memory who has left. `!` sets a timer, and the timer writes `9`.
fn guest() -> Program {
    Module::new()
        .disconnect("(i32.store8 (i32.const 16) (i32.add (i32.const 48) (local.get $client)))")
        .told("(call $set_timer (i32.const 3600000)) return")
        .kept_program()
}

/// Returns a guest that fills its memory at a message with `!`, so that its next base has 3 MiB.
pub(crate) fn large_guest() -> Program {
    Module::new()
        .memory("50")
        .told("(memory.fill (i32.const 65536) (i32.load8_u (i32.const 16)) (i32.const 3145728))")
        .kept_program()
}

/// A directory with the guest, and with the rooms of two servers, `a` and `b`.
pub(crate) struct Place(pub(crate) Directory);

impl Place {
    pub(crate) fn new() -> Self {
        let program = guest();
        Self(Directory::new().with("guest.wasm", program.module().expect("it is kept")))
    }

    /// Runs `stateroom rooms`; returns its exit code, and what it has written.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let command = Command::new(binary("stateroom"))
            .arg("rooms")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("it has been built");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (command.status.code().expect("it ends"), text(command.stdout), text(command.stderr))
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, &*stderr), (0, ""), "{stdout}");
        stdout
    }

    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], parts: &[&str]) {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!((code, &*stdout), (1, ""), "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
        }
    }

    /// Starts a server with the rooms of `data`, whose operator's address is the socket `data.sock`.
    pub(crate) fn serve(&self, data: &str) -> Serving {
        let (binary, socket) = (binary("stateroom"), format!("./{data}.sock"));
        let mut command = Command::new(binary);
        command.args(["serve", "guest.wasm", "--ip", "127.0.0.1", "--port", "0", "--data", data]);
        command.args(["--admin", &socket, "--hibernate-after", "1"]).current_dir(self.0.path());
        let child = Child::of(&mut command);
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        Serving { child, address }
    }
}

pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Serving {
    #[track_caller]
    pub(crate) fn client(&self, room: &str) -> Client {
        Client::connect(self.address, &format!("/ws/{room}")).expect("it takes clients")
    }

    #[cfg(unix)]
    pub(crate) fn end(mut self, signal: Signal) {
        self.child.signal(signal);
        self.child.exit();
    }
}

#[cfg(unix)]
#[test]
fn a_directory_has_the_same_rooms_with_and_without_a_server() {
    let place = Place::new();
    let server = place.serve("a");
    for (room, count) in [("one", 3), ("two%2F2", 1)] {
        let mut client = server.client(room);
        (0..count).for_each(|_| _ = client.ask("a"));
    }
    server.client("timed").text("!");
    // All have left memory.
    eventually("no room is in memory", || {
        place.succeeds(&["list", "--admin", "./a.sock"]).matches("on disk").count() == 3
    });
    let online = place.succeeds(&["list", "--admin", "./a.sock"]);
    let show = |room: &str, by: [&str; 2]| place.succeeds(&["show", room, by[0], by[1]]);
    let shown = show("two/2", ["--admin", "./a.sock"]);
    let export = |room: &str, by: [&str; 2], file: &str| {
        place.succeeds(&["export", room, by[0], by[1], "-o", file]);
        fs::read(place.0.path().join(file)).expect("it was written")
    };
    let file = export("one", ["--admin", "./a.sock"], "one.room");
    place.fails(&["list", "--data", "a"], &["a server uses `a`", "--admin ADDRESS", "or end the server\n"]);
    server.end(Signal::TERM);

    let offline = place.succeeds(&["list", "--data", "a"]);
    assert_eq!(offline, online);
    let lines: Vec<_> = offline.lines().collect();
    assert_eq!(lines.len(), 3, "{offline}");
    for (line, id) in lines.iter().zip(["one", "timed", "two/2"]) {
        assert!(line.ends_with(&format!("  {id}")) && line.contains(" B  on disk  "), "{line}");
        assert!(line.split("  ").next().is_some_and(|hash| hash.len() == 8), "{line}");
    }
    assert!(lines[1].contains("timer in 5") && lines[1].contains(" min  "), "{offline}");
    assert_eq!(show("two/2", ["--data", "a"]), shown);
    // It has had `init`, `connect`, a message and `disconnect`.
    for part in [
        "id       two/2\n",
        "(its beginning, written by version ",
        "events   4 since the base (",
        "timer    none\n",
    ] {
        assert!(shown.contains(part), "{part} is not in: {shown}");
    }
    assert!(shown.ends_with("memory   no\nmembers  none\n"), "{shown}");
    assert_eq!(export("one", ["--data", "a"], "again.room"), file);
    for by in [["--data", "a"], ["--data", "b"]] {
        place.fails(
            &["show", "three", by[0], by[1]],
            &[if by[1] == "a" { "no room \"three\"" } else { "`b`" }],
        );
    }
    assert!(!place.0.path().join("b").exists(), "only an import makes a directory");

    // Two are deleted, and one is here for good.
    assert_eq!(place.succeeds(&["delete", "one", "--data", "a"]), "deleted one\n");
    place.fails(&["delete", "one", "--data", "a"], &["no room \"one\""]);
    let server = place.serve("a");
    assert_eq!(place.succeeds(&["delete", "timed", "--admin", "./a.sock"]), "deleted timed\n");
    place.fails(&["delete", "timed", "--admin", "./a.sock"], &["no room \"timed\""]);
    server.end(Signal::KILL);
    assert!(place.succeeds(&["list", "--data", "a"]).ends_with("  two/2\n"));
    assert_eq!(place.serve("a").client("one").ask("?"), "0");
}

#[cfg(unix)]
#[test]
fn a_room_moves_to_another_server_while_clients_are_in_it() {
    let place = Place::new();
    let (one, two) = (place.serve("a"), place.serve("b"));
    let mut clients = [one.client("room"), one.client("room")];
    for client in &mut clients {
        assert_eq!(client.ask("a"), "a");
    }
    let shown = place.succeeds(&["show", "room", "--admin", "./a.sock"]);
    assert!(shown.ends_with("memory   yes\nmembers  clients 1, 2\n"), "{shown}");
    assert!(place.succeeds(&["list", "--admin", "./a.sock"]).contains("  2 clients   -  "));
    place.succeeds(&["export", "room", "--admin", "./a.sock", "-o", "room.room"]);
    assert_eq!(clients[0].ask("?"), "2", "it goes on");
    assert_eq!(clients[0].ask("b"), "b");

    // Its events can be seen.
    let replay =
        Command::new(binary("stateroom")).args(["replay", "room.room"]).current_dir(place.0.path()).output();
    let replay = String::from_utf8(replay.expect("it runs").stdout).expect("text");
    assert!(replay.contains("client 2 sends \"a\"\n") && !replay.contains("sends \"b\""), "{replay}");

    let import = ["import", "room.room", "--admin", "./b.sock"];
    assert_eq!(place.succeeds(&import), "imported room\n");
    place.fails(&import, &["cannot import `room.room`", "a room \"room\" exists", "another id (`as`)"]);
    let other = [&import[..], &["--as", "other room"]].concat();
    assert_eq!(place.succeeds(&other), "imported other room\n");
    place.fails(&other, &["a room \"other room\" exists"]);
    // Nothing of it is only in memory.
    two.end(Signal::KILL);
    place.fails(&["import", "room.room", "--data", "b"], &["a room \"room\" exists", "--as"]);
    assert_eq!(place.succeeds(&["import", "room.room", "--data", "b", "--as", "third"]), "imported third\n");
    let two = place.serve("b");
    for room in ["room", "other%20room", "third"] {
        let mut client = two.client(room);
        assert_eq!(client.ask("?"), "2", "the members are gone, and the last one has left its number");
        assert_eq!(client.ask("a"), "a");
    }
    assert!(place.succeeds(&["show", "third", "--admin", "./b.sock"]).contains("(a snapshot, written by"));
    drop(clients);
}

#[cfg(unix)]
#[test]
fn timers_go_on_after_an_import() {
    let place = Place::new();
    let server = place.serve("a");
    server.client("room").text("!");
    eventually("it is set", || place.succeeds(&["list", "--admin", "./a.sock"]).contains("timer in "));
    place.succeeds(&["export", "room", "--admin", "./a.sock", "-o", "file"]);
    place.succeeds(&["import", "file", "--data", "b"]);
    let listed = place.succeeds(&["list", "--data", "b"]);
    assert!(listed.contains("timer in 5") && listed.ends_with(" min       room\n"), "{listed}");
}

#[cfg(unix)]
#[test]
fn a_damaged_file_becomes_no_room() {
    let place = Place::new();
    let server = place.serve("a");
    let mut client = server.client("room");
    (0..3).for_each(|_| _ = client.ask("some text"));
    place.succeeds(&["export", "room", "--admin", "./a.sock", "-o", "whole"]);
    let whole = fs::read(place.0.path().join("whole")).expect("it was written");
    let find =
        |part: &[u8]| whole.windows(part.len()).position(|window| window == part).expect("it is in it");
    let refuse = |bytes: &[u8], part: &str| {
        fs::write(place.0.path().join("changed"), bytes).expect("it can be written");
        for by in [["--data", "b"], ["--admin", "./a.sock"]] {
            let parts = ["cannot import `changed`", "the file cannot become a room: ", part];
            place.fails(&["import", "changed", "--as", "new", by[0], by[1]], &parts);
        }
    };
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    refuse(b"something else", "it is no export of a room");
    refuse(&[], "it is empty");
    refuse(&whole[..60], "its header is damaged");
    // A name in the module that does not matter for its events, and the module's first bytes, without which it cannot run.
    refuse(&changed(find(b"hello")), "its module is damaged");
    refuse(&changed(find(b"\0asm")), "its module is damaged");
    let third = whole.len() - 8;
    refuse(&whole[..third], "it ends in the middle of event 5");
    refuse(&whole[..whole.len() - 5], "it has no seal after event 5");
    refuse(&whole[..whole.len() - 1], "it has no seal after event 5");
    refuse(&changed(whole.len() - 1), "it has no seal after event 5");
    // The first message. It comes back, so that the effects are others.
    refuse(&changed(find(b"some text")), "event 3 has other effects here");
    fs::write(place.0.path().join("changed"), b"").expect("it can be written");
    assert_eq!(place.succeeds(&["list", "--data", "b"]), "", "nothing has come of them");
}

#[cfg(unix)]
#[test]
fn many_rooms_are_listed_page_by_page() {
    const ROOMS: usize = 230;
    let place = Place::new();
    let server = place.serve("a");
    for number in 0..ROOMS {
        server.client(&format!("{number:03}"));
    }
    let ids = |list: String| -> Vec<usize> {
        list.lines().map(|line| line.rsplit(' ').next().expect("an id").parse().expect("a number")).collect()
    };
    let all: Vec<_> = (0..ROOMS).collect();
    // A client is in before its room is.
    eventually("all rooms are listed", || ids(place.succeeds(&["list", "--admin", "./a.sock"])) == all);
    server.end(Signal::KILL);
    assert_eq!(ids(place.succeeds(&["list", "--data", "a"])), all);
}

#[cfg(unix)]
#[test]
fn a_server_that_keeps_no_rooms_says_so() {
    let place = Place::new();
    let mut command = Command::new(binary("stateroom"));
    command.args(["serve", "guest.wasm", "--ip", "127.0.0.1", "--port", "0", "--admin", "./a.sock"]);
    let child = Child::of(command.current_dir(place.0.path()));
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    let server = Serving { child, address };
    let mut client = server.client("room");
    client.ask("a");
    assert!(
        place
            .succeeds(&["list", "--admin", "./a.sock"])
            .ends_with("  1 client    -                     room\n")
    );
    let shown = place.succeeds(&["show", "room", "--admin", "./a.sock"]);
    assert_eq!(
        shown,
        "id       room\ndisk     no, the server has no `--data`\nmemory   yes\nmembers  client 1\n"
    );
    let by = ["--admin", "./a.sock"];
    place.fails(
        &["export", "room", by[0], by[1], "-o", "x"],
        &["neither keeps its rooms on disk (`--data`) nor"],
    );
    place.fails(&["export", "gone", by[0], by[1], "-o", "x"], &["no room \"gone\""]);
    fs::write(place.0.path().join("x"), b"").expect("it can be written");
    place.fails(&["import", "x", by[0], by[1]], &["keeps no rooms on disk (`--data`)"]);
    assert_eq!(place.succeeds(&["delete", "room", by[0], by[1]]), "deleted room\n");
    assert_eq!(client.closed(), 1001);
    place.fails(
        &["list", "--admin", "./gone.sock"],
        &["cannot reach a server at ./gone.sock", "`serve --admin`"],
    );
}

fn settings(data: &Directory) -> Server {
    server()
        .with_data(Some(data.path().join("data")))
        .with_admin(Some("127.0.0.1:0".parse().expect("an address")))
        .with_heartbeat_interval(Duration::ZERO)
        .with_heartbeat_timeout(Duration::ZERO)
}

/// Serves when no other server uses the directory any more.
fn serve_again(data: &Directory, server: Server, program: Program) -> TestServer {
    wait_until_unused(&data.path().join("data"));
    TestServer::guests(server, program)
}

/// Asks the operator's listener.
#[track_caller]
fn order(server: &TestServer, method: &str, path: &str) -> Answer {
    let Some(AdminAddress::Tcp(address)) = server.handle().admin_address() else { panic!("it has one") };
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it reads");
    Answer::read(&mut BufReader::new(stream), method)
}

#[test]
fn a_room_that_is_recorded_in_memory_can_be_kept_on_disk_later() {
    let mut recordings = Recordings::default();
    recordings.memory = 1 << 20;
    let server = TestServer::guests(
        server().with_recordings(recordings).with_admin(Some("127.0.0.1:0".parse().expect("an address"))),
        guest(),
    );
    let mut client = server.client("room");
    (0..3).for_each(|_| _ = client.ask("a"));
    let file = order(&server, "GET", "/rooms/room/export").body;
    let data = Directory::new();
    let path = data.path().join("data");
    assert!(matches!(DataRooms::open(&path), Err(RoomsError::NoRooms(_))));
    let mut rooms = DataRooms::open_or_create(&path).expect("it can be made");
    assert_eq!(rooms.import(&file, None).expect("it is whole"), "room");
    assert!(matches!(rooms.import(&file, None), Err(RoomsError::Exists(_))));
    rooms.close().expect("the disk works");
    let details = DataReader::open(&path).and_then(|mut rooms| rooms.show("room")).expect("it is there");
    let history = details.history.expect("it is on disk");
    assert_eq!((history.members, history.events), (vec![ClientId(1)], 0));
    let other = TestServer::guests(settings(&data), guest());
    let mut client = other.client("room");
    assert_eq!(client.ask("?"), "1", "its member has left");
    assert_eq!(other.rooms(), [("room".to_owned(), vec![2])]);
}

#[test]
fn a_directory_that_is_opened_again_and_again_does_not_grow() {
    let data = Directory::new();
    drop(TestServer::guests(settings(&data), guest()).client("room").ask("a"));
    wait_until_unused(&data.path().join("data"));
    let path = data.path().join("data");
    for _ in 0..24 {
        // Until a program that another test starts has begun, it has this process's locks, too.
        eventually("it is opened", || DataRooms::open(&path).and_then(DataRooms::close).is_ok());
        eventually("it is read", || {
            DataReader::open(&path).is_ok_and(|mut rooms| rooms.list(None, 10).len() == 1)
        });
    }
    // Segments are not emptied if there are fewer than 16.
    let files = fs::read_dir(path.join("journal")).expect("it is a directory").count();
    assert!(files <= 19, "{files} files");
}

fn wait_until_rooms_left(server: &TestServer) {
    eventually("the rooms leave memory", || {
        server.pass(IDLE);
        server.stats().rooms == 0
    });
}

#[test]
fn rooms_on_disk_are_listed_as_json() {
    let data = Directory::new();
    let server = TestServer::guests(settings(&data), guest());
    server.client("a").ask("a");
    wait_until_rooms_left(&server);
    let mut client = server.client("b");
    client.ask("a");
    let page =
        |path: &str| -> Value { serde_json::from_slice(&order(&server, "GET", path).body).expect("JSON") };
    let first = page("/rooms?limit=1");
    let (room, module) = (&first["rooms"][0], &first["rooms"][0]["module"]);
    assert_eq!((&room["id"], &room["in_memory"], &first["next"]), (&json!("a"), &json!(false), &json!("a")));
    assert_eq!(module.as_str().map(str::len), Some(64));
    let second = page("/rooms?limit=1&after=a");
    let room = &second["rooms"][0];
    assert_eq!((&room["id"], &room["clients"], &second["next"]), (&json!("b"), &json!([1]), &Value::Null));
    assert_eq!((&room["in_memory"], &room["module"]), (&json!(true), module));
    let shown = page("/rooms/b");
    assert_eq!(
        (&shown["members"], &shown["events"], &shown["quarantined"]),
        (&json!([1]), &json!(3), &json!(false))
    );
    assert_eq!(order(&server, "GET", "/rooms/c").status, 404);
    assert_eq!(order(&server, "PUT", "/rooms/c").status, 405);
}

#[test]
fn modules_that_no_room_runs_are_removed() {
    let new = || Module::new().kept_program();
    let data = Directory::new();
    let directory = data.path().join("data/modules");
    let modules = || fs::read_dir(&directory).expect("it is a directory").count();
    drop(TestServer::guests(settings(&data), guest()).client("old").ask("a"));
    drop(serve_again(&data, settings(&data), new()).client("new").ask("a"));
    let server = serve_again(&data, settings(&data), new());
    assert_eq!(server.client("old").ask("?"), "1");
    assert_eq!((modules(), order(&server, "DELETE", "/rooms/old").status), (2, 200));
    drop(server);
    let server = serve_again(&data, settings(&data), new());
    eventually("the old one is removed", || modules() == 1);
    assert_eq!(server.client("new").ask("?"), "1");
    drop(server);

    // The same without a server. What is not a module stays.
    wait_until_unused(&data.path().join("data"));
    for name in [&*format!("{}.wasm", "0".repeat(64)), "cut-off.new", "notes.txt"] {
        fs::write(directory.join(name), b"").expect("it can be written");
    }
    DataRooms::open(&data.path().join("data")).expect("no server uses it").close().expect("the disk works");
    assert_eq!(modules(), 2);
    assert_eq!(serve_again(&data, settings(&data), new()).client("new").ask("?"), "1");
}

#[test]
fn deleting_rooms_makes_space_in_a_full_journal() {
    const ROOMS: usize = 40;
    let guest = large_guest;
    let data = Directory::new();
    let settings = || settings(&data).with_journal_size(128 << 20);
    let server = TestServer::guests(settings(), guest());
    let grow = format!("!{}", "x".repeat(5_000));
    server.client("dormant").ask(&grow);
    wait_until_rooms_left(&server);
    let mut clients: Vec<_> = (0..ROOMS).map(|number| server.client(&number.to_string())).collect();
    clients.iter_mut().for_each(|client| _ = client.ask("a"));
    clients.iter_mut().for_each(|client| client.text(&grow));
    eventually("the journal is full", || !records_with("all rooms wait for space").is_empty());
    eventually("the server is not ready", || order(&server, "GET", "/ready").status == 503);
    // What is sent for these is held back, so much that the thread waits as well.
    let long = "x".repeat(60_000);
    clients.iter_mut().for_each(|client| (0..10).for_each(|_| client.text(&long)));
    let answer = order(&server, "DELETE", "/rooms/dormant");
    assert_eq!(answer.status, 200, "{}", answer.text());
    // Now there is space for a while, and the thread may be busy with what has waited.
    for number in 0..30 {
        eventually("the room is gone", || {
            [200, 404].contains(&order(&server, "DELETE", &format!("/rooms/{number}")).status)
        });
    }
    for client in &mut clients[30..] {
        client.expect(&[&*grow]);
        (0..10).for_each(|_| client.expect(&[&*long]));
    }
    assert_eq!(server.client("0").ask("?"), "0", "it is a new one");
    assert_eq!(server.client("dormant").ask("?"), "0");
    drop((clients, server));
    let server = serve_again(&data, settings(), guest());
    assert_eq!(server.client("35").ask("?"), "2");
    assert_eq!(server.client("3").ask("?"), "0");
}

#[test]
fn the_fuel_of_events_before_a_room_left_memory_counts_towards_its_next_base() {
    let long = "(i32.store (i32.const 128) (i32.const 600000)) \
        (loop $again \
            (i32.store (i32.const 128) (i32.sub (i32.load (i32.const 128)) (i32.const 1))) \
            (br_if $again (i32.load (i32.const 128))))";
    let data = Directory::new();
    let server = TestServer::guests(settings(&data), Module::new().told(long).kept_program());
    let mut events = Vec::new();
    for _ in 0..7 {
        let mut client = server.client("room");
        assert_eq!(client.ask("!"), "!");
        client.leave();
        wait_until_rooms_left(&server);
        let details: Value =
            serde_json::from_slice(&order(&server, "GET", "/rooms/room").body).expect("JSON");
        events.push(details["events"].as_u64().expect("a number"));
    }
    // Each stay has three events, and a few of them use the fuel after which there is a new base.
    assert!(!events.is_sorted(), "{events:?}");
}

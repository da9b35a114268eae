//! Recordings of rooms, and `stateroom replay`.

use std::fs;

use crate::{
    directory::Directory,
    guests::STD,
    running::{Serving, fails, run, stateroom, succeeds},
    socket::{ask, joined},
};

/// Fails with a long message, and otherwise sends each message to everyone.
const STRICT: &str = "#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Strict;

impl StateroomService for Strict {
    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        assert!(message.data().len() < 5, \"that is too long\");
        ctx.log(LogLevel::Info, \"heard\");
        ctx.send_message(MessageRecipient::Broadcast, message);
        ctx.set_timer(90_000);
    }
}
";

#[test]
fn dev_leaves_a_recording_of_a_room_that_fails() {
    let here = Directory::new().with_guest("", STRICT);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let mut client = joined(server.join("/ws/lobby", ""));
    assert_eq!(ask(&mut client, "hi"), "hi");
    std::io::Write::write_all(&mut client, b"\x81\x86\0\0\0\0longer").unwrap();
    let line = server.wait_for_line("to run its events again: `stateroom replay ");
    let (_, path) = line.split_once("`stateroom replay ").unwrap();
    let path = path.trim_end_matches('`');
    // It has the guest's panic in it.
    let output = stateroom(&here, &["replay", path]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for expected in [
        "room \"lobby\", recorded by version ",
        "GMT: the room begins\n   done, ",
        "client 1 connects, address: \"127.0.0.1\"",
        "client 1 sends \"hi\"\n   done, ",
        " units of fuel, ",
        "\n   log, info: \"heard\"\n   to everyone: \"hi\"\n   timer in 90000 ms\n",
        "client 1 sends \"longer\"\n   failed: the guest failed in `message`: it panicked at src/lib.rs:",
        "that is too long",
    ] {
        assert!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    let said = succeeds(stateroom(&here, &["replay", path, "--until", "2"]));
    assert!(said.contains("2. ") && !said.contains("3. "), "{said}");

    // Another version, which takes what was too long.
    let built = stateroom(&here, &["build"]);
    let here = here.with("src/lib.rs", STRICT.replace("< 5", "< 50"));
    succeeds(built);
    let output = stateroom(&here, &["replay", path, "--with", "dist"]).output().unwrap();
    let (said, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.ends_with("error: event 4 has another outcome in `dist`\n"), "{error}");
    assert!(said.contains("In `dist`: done, ") && said.contains("to everyone: \"longer\""), "{said}");
    let here = here.with("src/lib.rs", STRICT.replace("\"heard\"", "\"heard it\""));
    succeeds(stateroom(&here, &["build"]));
    // The panic is shorter in a build for servers, so the last event differs. The log does not count.
    let said = succeeds(stateroom(&here, &["replay", path, "--with", "dist", "--until", "3"]));
    assert!(said.ends_with("3 events have the same outcome in `dist`.\n"), "{said}");
}

#[test]
fn a_room_that_dev_serves_is_replayed_by_its_id() {
    let here = Directory::new().with_guest("'std'", STD);
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let mut client = joined(server.join("/ws/a%2Fb", ""));
    assert_eq!(ask(&mut client, "x"), "1");
    let playground = format!("http://localhost:{}/_", server.port());
    let said = succeeds(stateroom(&here, &["replay", "a/b", "--server", &playground]));
    assert!(said.contains("client 1 sends \"x\"") && said.contains("to client 1: \"1\""), "{said}");
    let replay = stateroom(&here, &["replay", "gone", "--server", &playground]);
    fails(replay, &["there is no file `gone`", "\"gone\"", "there is no such room, or it is not recorded"]);
}

#[test]
fn serve_records_the_rooms_that_are_chosen() {
    let here = Directory::new().with_guest("'std'", STD);
    succeeds(stateroom(&here, &["build"]));
    let mut server =
        Serving::start(stateroom(&here, &["serve", "dist", "--port", "0", "--record", "a", "--record", "b"]));
    for room in ["a", "b", "c"] {
        let mut client = joined(server.join(&format!("/ws/{room}"), ""));
        assert_eq!(ask(&mut client, "x"), "1");
    }
    // It is in the file without an end of the server.
    server.child.kill().unwrap();
    let recordings = fs::read_dir(here.path("recordings")).unwrap();
    let mut names: Vec<_> =
        recordings.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("a-") && names[1].starts_with("b-") && names[1].ends_with(".recording"));
    let path = format!("recordings/{}", names[0]);
    let said = succeeds(stateroom(&here, &["replay", &path]));
    assert!(said.contains("to client 1: \"1\""), "{said}");

    // A file that was cut off is replayed up to there, and one that was changed is refused.
    let whole = fs::read(here.path(&path)).unwrap();
    let here = here.with("cut.recording", &whole[..whole.len() - 3]);
    let said = succeeds(stateroom(&here, &["replay", "cut.recording"]));
    assert!(said.contains("The recording ends in the middle of the next event."), "{said}");
    let here = here.with("other.recording", "something else");
    fails(
        stateroom(&here, &["replay", "other.recording"]),
        &["`other.recording`", "not a recording of a room"],
    );
    let (status, text) = run(stateroom(&here, &["serve", "dist", "--record-to", "x"]));
    assert_eq!(status, 2);
    assert!(text.contains("--record <ROOM>"), "{text}");
}

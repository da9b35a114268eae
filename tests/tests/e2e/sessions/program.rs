//! Sessions when the program of their rooms is replaced.

use stateroom_host_min::Program;
use stateroom_server_smol::{Recordings, Server, Upgrade};
use stateroom_tests::{Module, TestServer};

use super::{TOKEN, begin, resume, settings};

fn resetting(recorded: usize) -> Server {
    let mut recordings = Recordings::default();
    recordings.memory = recorded;
    settings().with_recordings(recordings).with_upgrade(Upgrade::Reset)
}

/// Returns a guest that greets everyone who connects, and counts texts.
fn greeter() -> Module {
    Module::new().connect("(call $send_message (local.get 0) (i32.const 0) (i32.const 5))")
}

/// Returns one that counts each `!` twice.
fn other() -> Program {
    greeter()
        .told("(i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))")
        .program()
}

#[test]
fn a_session_that_waits_continues_in_the_new_program() {
    let server = TestServer::guests(resetting(1 << 20), greeter().program());
    let (mut client, id) = begin(&server, TOKEN);
    client.expect(&["hello"]);
    client.ask("!");
    client.hang_up();
    assert_eq!(server.replace(&other()).replayed.count, 1);
    let (mut client, received) = resume(&server, TOKEN, 2);
    assert_eq!(received, 1);
    assert!(client.is_quiet(), "what events have sent is not sent again");
    assert_eq!(client.ask("?"), "2");
    assert_eq!(server.rooms(), [("room".to_owned(), vec![u32::try_from(id).unwrap()])]);
}

#[test]
fn a_session_that_waits_continues_in_a_room_that_starts_afresh() {
    let server = TestServer::guests(resetting(0), greeter().program());
    let (mut client, id) = begin(&server, TOKEN);
    client.expect(&["hello"]);
    client.ask("!");
    client.hang_up();
    assert_eq!(server.replace(&other()).fresh.count, 1);
    let (mut client, received) = resume(&server, TOKEN, 2);
    assert_eq!(received, 1);
    // The new room has got `connect`.
    client.expect(&["hello"]);
    assert_eq!(client.ask("?"), "0");
    assert_eq!(server.rooms(), [("room".to_owned(), vec![u32::try_from(id).unwrap()])]);
}

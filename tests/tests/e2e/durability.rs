//! Rooms that are kept on disk: `docs/durability.md`.

use std::{path::Path, time::Duration};

use stateroom_host_min::Program;
use stateroom_server_smol::{Durability, RoomIds, ServeError, Server, Upgrade};
use stateroom_tests::{
    Directory, Frame, Message, Module, TestServer, eventually, saving, server, services::journal,
    wait_until_unused,
};

const IDLE: Duration = Duration::from_secs(10);

fn settings(data: &Directory) -> Server {
    wait_until_unused(&data.path().join("data"));
    server()
        .with_data(Some(data.path().join("data")))
        .with_heartbeat_interval(Duration::ZERO)
        .with_heartbeat_timeout(Duration::ZERO)
}

fn serve(data: &Directory, program: Program) -> TestServer {
    TestServer::guests(settings(data), program)
}

/// Returns the guest that counts, as often as wanted.
fn counter() -> Program {
    Module::new().kept_program()
}

/// Waits until rooms are no longer in memory.
fn wait_until_rooms_left(server: &TestServer) {
    eventually("the rooms leave memory", || {
        server.pass(IDLE);
        server.stats().rooms == 0
    });
}

#[test]
fn rooms_continue_after_the_end_of_the_server() {
    let data = Directory::new();
    let server = serve(&data, counter());
    let (mut one, mut two) = (server.client("one"), server.client("two"));
    for _ in 0..3 {
        assert_eq!(one.ask("a"), "a");
    }
    assert_eq!(two.ask("?"), "0");
    drop(server);
    for round in 0..3 {
        let server = serve(&data, counter());
        assert_eq!(server.stats().rooms, 0, "nobody has wanted them");
        let mut client = server.client("one");
        assert_eq!(client.ask("?"), (3 + round).to_string());
        assert_eq!(client.ask("a"), "a");
        assert_eq!(server.rooms(), [("one".to_owned(), vec![2 + round])], "no id is used twice");
        assert_eq!(server.client("two").ask("?"), "0");
    }
}

#[test]
fn a_level_says_whether_rooms_are_kept() {
    let levels = [(Durability::On, "1"), (Durability::Lazy, "1"), (Durability::Off, "0")];
    for (durability, messages) in levels {
        let data = Directory::new();
        let settings = || settings(&data).with_durability(durability);
        let server = TestServer::guests(settings(), counter());
        assert_eq!(server.client("room").ask("a"), "a");
        drop(server);
        let server = TestServer::guests(settings(), counter());
        assert_eq!(server.client("room").ask("?"), messages, "{durability:?}");
    }
}

#[test]
fn idle_rooms_leave_memory_and_come_back() {
    let data = Directory::new();
    let server = serve(&data, counter());
    for round in 0..3 {
        let mut client = server.client("room");
        assert_eq!(client.ask("?"), round.to_string());
        client.ask("a");
        client.leave();
        wait_until_rooms_left(&server);
        assert_eq!(
            server.request("HEAD", "/ws/room", &[]).status,
            server.request("HEAD", "/ws/other", &[]).status
        );
    }
    // Those with clients stay.
    let mut client = server.client("room");
    client.ask("a");
    eventually("it hibernates", || {
        server.pass(IDLE);
        server.stats().hibernating_rooms == 1
    });
    assert_eq!((client.ask("?"), server.stats().rooms), ("4".to_owned(), 1));
}

#[test]
fn clients_of_a_server_that_has_ended_are_gone() {
    // It notes in its memory who has left.
    let program = || {
        Module::new()
            .disconnect("(i32.store8 (i32.const 16) (i32.add (i32.const 48) (local.get $client)))")
            .kept_program()
    };
    let data = Directory::new();
    let server = serve(&data, program());
    let clients: Vec<_> = (0..3).map(|_| server.client("room")).collect();
    eventually("they have come", || server.stats().clients == 3);
    drop(server);
    drop(clients);
    let server = serve(&data, program());
    let mut client = server.client("room");
    assert_eq!(client.ask("?"), "3");
    assert_eq!(server.rooms(), [("room".to_owned(), vec![4])]);
}

#[test]
fn timers_survive() {
    let program = || {
        Module::new()
            .told("(call $set_timer (i32.const 5000))")
            .timer("(i32.store8 (i32.const 16) (i32.const 57)) (call $send_message (i32.const 0) (i32.const 0) (i32.const 5))")
            .kept_program()
    };
    let data = Directory::new();
    let server = serve(&data, program());
    server.client("room").ask("!");
    server.client("left").ask("!");
    drop(server);
    // Its clock is a few milliseconds ahead.
    let server = serve(&data, program());
    let mut client = server.client("room");
    server.pass(Duration::from_secs(5));
    client.expect(&["hello"]);
    assert_eq!(client.ask("?"), "9");
    client.leave();
    // A room that nobody has wanted has its timer, too.
    wait_until_rooms_left(&server);
    drop(server);
    let server = serve(&data, program());
    assert_eq!(server.client("left").ask("?"), "9");
}

#[test]
fn a_room_that_is_only_on_disk_wakes_when_its_timer_is_due() {
    let program = || {
        Module::new()
            .told("(call $set_timer (i32.const 60000))")
            .timer("(i32.store8 (i32.const 16) (i32.const 57)) (call $set_timer (i32.const 3600000))")
            .kept_program()
    };
    let data = Directory::new();
    let server = serve(&data, program());
    let mut client = server.client("room");
    client.ask("!");
    client.leave();
    wait_until_rooms_left(&server);
    server.pass(Duration::from_secs(60));
    eventually("it is here", || server.stats().rooms == 1);
    assert_eq!(server.client("room").ask("?"), "9");
}

#[test]
fn a_room_that_nobody_has_come_to_begins_after_a_restart() {
    let program = || Module::new().initialize("(i32.store8 (i32.const 16) (i32.const 53))").kept_program();
    let data = Directory::new();
    let server = serve(&data, program());
    assert_eq!(server.post("/ws/room").status, 201);
    drop(server);
    let server = serve(&data, program());
    assert_eq!(server.client("room").ask("?"), "5");
}

#[test]
fn rooms_that_have_ended_do_not_come_back() {
    let data = Directory::new();
    let failing = || Module::new().told("unreachable").kept_program();
    let server = serve(&data, failing());
    let mut client = server.client("room");
    client.ask("a");
    client.text("!");
    assert_eq!(client.closed(), 1011);
    drop(server);
    let server = serve(&data, failing());
    assert_eq!(server.client("room").ask("?"), "0");
}

#[test]
fn rooms_that_clients_may_not_create_exist_after_a_restart() {
    let data = Directory::new();
    let settings = || settings(&data).with_room_ids(RoomIds::Explicit);
    let server = TestServer::guests(settings(), counter());
    assert_eq!(server.post("/ws/room").status, 201);
    drop(server);
    let server = TestServer::guests(settings(), counter());
    assert_eq!(server.post("/ws/room").status, 409);
    assert_eq!(server.client("room").ask("?"), "0");
    assert_eq!(server.connect("/ws/other").unwrap_err().status, 404);
}

#[test]
fn old_rooms_run_the_module_that_they_have() {
    let other = || {
        Module::new()
            .told("(i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const 1)))")
            .kept_program()
    };
    let data = Directory::new();
    let server = serve(&data, counter());
    server.client("old").ask("!");
    drop(server);
    let server = serve(&data, other());
    let ask = |room: &str| {
        let mut client = server.client(room);
        client.ask("!");
        client.ask("?")
    };
    assert_eq!((ask("old"), ask("new")), ("2".to_owned(), "2".to_owned()));
    drop(server);
    let server = TestServer::guests(settings(&data).with_upgrade(Upgrade::Reset), other());
    assert_eq!(server.client("old").ask("?"), "2");
}

/// Returns a guest that saves its state, a digit. Each text adds so much to it, and gets it as the answer.
fn adding(number: u8) -> Program {
    let add =
        format!("(i32.store8 (i32.const 16) (i32.add (i32.load8_u (i32.const 16)) (i32.const {number})))");
    saving('0', &add, "(i32.store8 (i32.const 16) (i32.load8_u (local.get 0)))")
}

#[test]
fn rooms_that_were_only_on_disk_take_their_state_into_a_new_module() {
    let data = Directory::new();
    let server = serve(&data, adding(1));
    let mut awake = server.client("awake");
    assert_eq!(awake.ask("+"), "1");
    server.client("asleep").ask("+");
    eventually("the room leaves memory", || {
        server.pass(IDLE);
        server.stats().rooms == 1
    });
    // This one is renewed at once, …
    assert_eq!(server.replace(&adding(2)).loaded.count, 1);
    assert_eq!(awake.ask("+"), "3");
    // … and the other one when somebody wants it.
    let mut client = server.client("asleep");
    assert_eq!(client.ask("+"), "3");
    drop((server, awake, client));
    // A server that is started with another module does the same.
    for expected in ["6", "9"] {
        let server = serve(&data, adding(3));
        assert_eq!(["awake", "asleep"].map(|room| server.client(room).ask("+")), [expected; 2]);
    }
}

#[test]
fn no_id_is_used_twice_in_a_room_that_has_started_afresh() {
    let other = || Module::new().data("other").kept_program();
    let data = Directory::new();
    let settings = || settings(&data).with_upgrade(Upgrade::Reset);
    let server = TestServer::guests(settings(), counter());
    let mut stays = server.client("room");
    stays.ask("a");
    (0..5).for_each(|_| server.client("room").leave());
    server.wait_for_clients(1);
    server.replace(&other());
    assert_eq!(stays.ask("?"), "0");
    // It gets more bases later.
    (0..2_500).for_each(|_| _ = stays.ask("a"));
    drop(server);
    let server = TestServer::guests(settings(), other());
    let mut client = server.client("room");
    client.ask("?");
    assert_eq!(server.rooms(), [("room".to_owned(), vec![7])]);
}

#[test]
fn many_rooms_on_two_threads_come_back() {
    const ROOMS: usize = 500;
    let data = Directory::new();
    let settings = || settings(&data).with_threads(2);
    let server = TestServer::guests(settings(), counter());
    for number in 0..ROOMS {
        let mut client = server.client(&format!("room {number}").replace(' ', "-"));
        for _ in 0..number % 5 {
            client.ask("a");
        }
    }
    drop(server);
    let server = TestServer::guests(settings(), counter());
    for number in (0..ROOMS).rev() {
        let mut client = server.client(&format!("room-{number}"));
        assert_eq!(client.ask("?"), (number % 5).to_string());
    }
}

#[test]
fn messages_that_come_together_are_kept_in_their_order() {
    // Its state depends on their order. It takes long for those that begin with 0, and sends the state back.
    let program = || {
        let order = "(if (i32.eqz (i32.load8_u (local.get $at))) (then
                (local.set $i (i32.const 2000000))
                (loop $again (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))))
            (i32.store (i32.const 32) (i32.add
                (i32.mul (i32.load (i32.const 32)) (i32.const 31))
                (i32.add (i32.load8_u (local.get $at)) (local.get $len))))
            (call $send_binary (local.get $client) (i32.const 32) (i32.const 4))";
        Module::new().binary(order).kept_program()
    };
    // Small ones, some that are larger than what is kept together, and some that take longer than a slice.
    let messages: Vec<Vec<u8>> = (0..600_usize)
        .map(|number| {
            let size = if number % 100 == 50 { 5_000 } else { 1 + number % 7 };
            vec![if number % 97 == 60 { 0 } else { number as u8 | 1 }; size]
        })
        .collect();
    let mut state = 0_u32;
    let states: Vec<u32> = messages
        .iter()
        .map(|message| {
            state =
                state.wrapping_mul(31).wrapping_add(u32::from(message[0])).wrapping_add(message.len() as u32);
            state
        })
        .collect();
    let data = Directory::new();
    for half in 0..2 {
        let server = serve(&data, program());
        let mut client = server.client("room");
        let messages = &messages[half * 300..][..300];
        let frames: Vec<u8> =
            messages.iter().flat_map(|message| Frame::new(Frame::BINARY, &message[..]).masked()).collect();
        client.raw(&frames);
        for state in &states[half * 300..][..300] {
            assert_eq!(client.next_binary(), state.to_le_bytes());
        }
    }
}

#[test]
fn a_room_that_fails_for_memory_keeps_what_its_clients_have_seen() {
    // It counts messages, sends the number back, and takes 64 KiB more for each.
    let program = || {
        let growing = "(i32.store (i32.const 32) (i32.add (i32.load (i32.const 32)) (i32.const 1)))
            (call $send_binary (local.get $client) (i32.const 32) (i32.const 4))
            (drop (memory.grow (i32.const 1)))";
        Module::new().binary(growing).kept_program()
    };
    let data = Directory::new();
    let server = TestServer::guests(settings(&data).with_total_memory(8 << 20), program());
    let mut client = server.client("room");
    let mut seen = 0;
    loop {
        client.binary(b"+");
        match client.next_frame() {
            Some(Frame { opcode: Frame::BINARY, payload, .. }) => {
                seen = u32::from_le_bytes(payload.try_into().expect("a number"));
            }
            Some(Frame { opcode: Frame::CLOSE, .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(seen > 5, "{seen}");
    drop(server);
    let server = TestServer::guests(settings(&data).with_total_memory(64 << 20), program());
    let mut client = server.client("room");
    client.binary(b"+");
    assert_eq!(client.next_binary(), (seen + 1).to_le_bytes());
}

#[test]
fn long_histories_become_snapshots() {
    let data = Directory::new();
    let server = serve(&data, counter());
    let mut client = server.client("room");
    for _ in 0..2_503 {
        client.ask("a");
    }
    drop(server);
    let server = serve(&data, counter());
    assert_eq!(server.client("room").ask("?"), "3");
}

#[test]
fn no_room_ends_for_want_of_places() {
    let data = Directory::new();
    let server = TestServer::guests(settings(&data).with_max_rooms(3), counter());
    for round in 0..3 {
        for room in ["a", "b", "c", "d", "e", "f"] {
            let mut client = server.client(room);
            assert_eq!(client.ask("?"), round.to_string());
            client.ask("a");
            client.leave();
            server.wait_for_clients(0);
        }
    }
    assert!(server.stats().rooms <= 3);
}

#[test]
fn only_guests_are_kept_and_only_by_one_server() {
    let data = Directory::new();
    let start = |server: Server| {
        let listener = server.bind().expect("the system has a port");
        server.start(journal(), listener).map(drop)
    };
    let error = start(settings(&data)).unwrap_err();
    assert!(matches!(error, ServeError::Data { .. }), "{error}");
    assert!(error.to_string().contains("native service"), "{error}");
    let second = settings(&data);
    let first = serve(&data, counter());
    let listener = second.bind().expect("the system has a port");
    let error = second.start_guests(counter(), listener).map(drop).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    // What is no directory is named.
    let file = Directory::new().with("data", "");
    let server = settings(&file);
    let listener = server.bind().expect("the system has a port");
    let error = server.start_guests(counter(), listener).map(drop).unwrap_err().to_string();
    assert!(error.contains(&*file.path().join("data").to_string_lossy()), "{error}");
    assert!(Path::new(&file.path().join("data")).is_file());
}

#[test]
fn a_room_that_is_too_large_for_the_journal_fails_alone() {
    // A message makes it 40 MiB.
    let program = || {
        Module::new()
            .told(
                "(drop (memory.grow (i32.const 640))) \
                 (memory.fill (i32.const 65536) (i32.const 7) (i32.const 41943040))",
            )
            .limits(|limits| limits.memory = 64 << 20)
            .kept_program()
    };
    let data = Directory::new();
    let settings = || settings(&data).with_journal_size(128 << 20);
    let server = TestServer::guests(settings(), program());
    let (mut large, mut small) = (server.client("large"), server.client("small"));
    assert_eq!(small.ask("a"), "a");
    large.text("!");
    // It gets a new base at some time.
    for _ in 0..1_100 {
        large.text("a");
    }
    let answers = std::iter::from_fn(|| Some(large.message()));
    let end = answers.into_iter().find(|answer| !matches!(answer, Message::Text(_)));
    assert_eq!(end, Some(Message::Close(1011)));
    assert_eq!(small.ask("?"), "1");
    drop(server);
    let server = TestServer::guests(settings(), program());
    assert_eq!(server.client("small").ask("?"), "1");
    assert_eq!(server.client("large").ask("?"), "0");
}

#[test]
fn the_timer_of_a_room_waits_on_while_there_is_no_memory_for_it() {
    let program = || {
        Module::new()
            .told("(call $set_timer (i32.const 60000))")
            .timer("(i32.store8 (i32.const 16) (i32.const 57)) (call $set_timer (i32.const 3600000))")
            .kept_program()
    };
    let data = Directory::new();
    let server = TestServer::guests(settings(&data).with_total_memory(8 << 20), program());
    let mut client = server.client("room");
    client.ask("!");
    client.leave();
    wait_until_rooms_left(&server);
    // Others take all memory.
    let mut others = Vec::new();
    while let Ok(mut client) = server.connect(&format!("/ws/other-{}", others.len())) {
        client.text("?");
        if client.next_frame() != Some(Frame::text("0")) {
            break;
        }
        others.push(client);
    }
    assert!(others.len() > 5, "{}", others.len());
    server.pass(Duration::from_secs(60));
    server.pass(Duration::from_secs(3));
    assert_eq!(server.stats().rooms, others.len(), "there is no memory for it");
    others.into_iter().for_each(|client| client.leave());
    eventually("it is here", || {
        server.pass(Duration::from_secs(1));
        server.rooms().iter().any(|(id, _)| id == "room")
    });
    assert_eq!(server.client("room").ask("?"), "9");
}

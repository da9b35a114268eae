//! Sessions that outlive the server, because their rooms are on disk.

use std::{net::SocketAddr, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use stateroom_host_min::{Limits, Program};
use stateroom_server_smol::Server;
use stateroom_tests::{
    Child, Client, Directory, Output, TestServer, eventually, saving, server, wait_until_unused,
};

use super::{MOMENT, WINDOW, control, greeting};

/// Tells everyone who comes, goes, and says what. Tells nobody what begins with `.`, and only others what begins with `!`. Each `#` is
/// followed by 1,000 bytes.
const GUEST: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4097)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32)
        (memory.fill (i32.const 8192) (i32.const 120) (i32.const 1000)))
    (func $tell (param $to i32) (param $what i32) (param $client i32) (param $at i32) (param $len i32)
        (i32.store8 (i32.sub (local.get $at) (i32.const 1)) (i32.add (i32.const 48) (i32.and (local.get $client) (i32.const 63))))
        (i32.store8 (local.get $at) (local.get $what))
        (call $send (local.get $to) (i32.sub (local.get $at) (i32.const 1)) (i32.add (local.get $len) (i32.const 1))))
    (func (export "connect") (param i32)
        (call $tell (i32.const 0) (i32.const 43) (local.get 0) (i32.const 9) (i32.const 1)))
    (func (export "disconnect") (param i32)
        (call $tell (i32.const 0) (i32.const 45) (local.get 0) (i32.const 9) (i32.const 1)))
    (func (export "timer"))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32) (local $first i32)
        (local.set $first (i32.load8_u (local.get $at)))
        (if (i32.eq (local.get $first) (i32.const 46)) (then return))
        (if (i32.eq (local.get $first) (i32.const 33)) (then
            (call $tell (i32.sub (i32.const 0) (local.get $client)) (local.get $first) (local.get $client) (local.get $at) (local.get $len))
            return))
        (call $tell (i32.const 0) (local.get $first) (local.get $client) (local.get $at) (local.get $len))
        (if (i32.eq (local.get $first) (i32.const 35)) (then
            (call $send (i32.const 0) (i32.const 8192) (i32.const 1000))))))"#;

fn program() -> Program {
    Program::load_and_keep(wat::parse_str(GUEST).expect("a module").into(), Limits::default())
        .expect("a guest")
}

fn place() -> Directory {
    Directory::new().with("guest.wasm", wat::parse_str(GUEST).expect("a module"))
}

/// A server in a process of its own, at the same port each time.
struct Process {
    child: Child,
    address: SocketAddr,
}

fn start(place: &Directory, port: u16, more: &[&str]) -> Process {
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let mut arguments = vec!["serve".to_owned(), path("guest.wasm"), "--data".to_owned(), path("data")];
    arguments.extend(["--ip", "127.0.0.1", "--port"].map(str::to_owned));
    arguments.push(port.to_string());
    arguments.extend(more.iter().map(|word| (*word).to_owned()));
    let child = Child::start("stateroom", &arguments);
    let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
    Process { child, address }
}

impl Process {
    fn kill(mut self) -> u16 {
        self.child.signal(Signal::KILL);
        self.child.exit();
        self.address.port()
    }
}

fn settings(place: &Directory) -> Server {
    wait_until_unused(&place.path().join("data"));
    server()
        .with_data(Some(place.path().join("data")))
        .with_resume(WINDOW)
        .with_heartbeat_interval(Duration::ZERO)
        .with_heartbeat_timeout(Duration::ZERO)
}

fn serve(place: &Directory) -> TestServer {
    TestServer::guests(settings(place), program())
}

/// A client that does what the protocol asks of it.
struct Player {
    token: String,
    room: String,
    id: u64,
    attempts: u64,
    begun: u64,
    received: u64,
    client: Option<Client>,
}

impl Player {
    fn new(name: &str) -> Self {
        let token = format!("{name}-0123456789abcdefghij");
        Self { token, room: "room".to_owned(), id: 0, attempts: 0, begun: 0, received: 0, client: None }
    }

    /// Opens a connection without waiting for anything.
    #[track_caller]
    fn open(&mut self, address: SocketAddr) -> Client {
        let attempt = self.attempts;
        self.attempts += 1;
        let begun = if self.id == 0 { attempt } else { self.begun };
        let Self { token, received, .. } = &*self;
        let offered = format!(
            "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.{token}.{received}.{attempt}.{begun}"
        );
        Client::connect_with(address, &format!("/ws/{}", self.room), &[&offered])
            .unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }

    /// Opens a connection. Returns whether the session is resumed, and how many messages the room has received.
    #[track_caller]
    fn come(&mut self, address: SocketAddr) -> (bool, u64) {
        let mut client = self.open(address);
        let greeting: Value = greeting(&mut client);
        let number = |field: &str| greeting[field].as_u64().expect("a number");
        let is_resumed = greeting["resumed"] == true;
        if is_resumed {
            assert_eq!(number("client"), self.id, "a client keeps its id");
        } else {
            (self.begun, self.received) = (self.attempts - 1, 0);
            self.id = number("client");
        }
        self.client = Some(client);
        (is_resumed, number("received"))
    }

    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("it has a connection")
    }

    fn say(&mut self, text: &str) {
        self.client().text(text);
    }

    #[track_caller]
    fn hear(&mut self, texts: &[&str]) {
        for expected in texts {
            let mut text = self.client().next_text();
            while text.starts_with('\0') {
                text = self.client().next_text();
            }
            self.received += 1;
            assert_eq!(text, *expected);
        }
    }

    #[track_caller]
    fn hears_nothing(&mut self) {
        assert!(self.client().is_quiet());
    }
}

#[test]
fn a_client_gets_its_id_and_what_it_missed_after_each_crash() {
    let place = place();
    let (mut one, mut two) = (Player::new("one"), Player::new("two"));
    let mut server = start(&place, 0, &["--resume", "300"]);
    assert_eq!(one.come(server.address), (false, 0));
    assert_eq!(two.come(server.address), (false, 0));
    one.hear(&["1+", "2+"]);
    two.hear(&["2+"]);
    let mut sent_by_two = 0;
    for round in 0..4 {
        one.say("a");
        one.say("!to two");
        one.say(".");
        two.say("b");
        sent_by_two += 1;
        one.hear(&["1a", "2b"]);
        if round % 2 == 0 {
            two.hear(&["1a"]);
        }
        let port = server.kill();
        server = start(&place, port, &["--resume", "300"]);
        // Nobody was in doubt about these.
        let (is_resumed, received) = one.come(server.address);
        assert!(is_resumed);
        assert!((4 * round + 1..=4 * round + 3).contains(&received), "in round {round}: {received}");
        // The last ones may not have arrived.
        for number in received..4 * round + 3 {
            one.say(["a", "!to two", "."][(number % 4) as usize]);
        }
        one.say("while two is away");
        one.hear(&["1while two is away"]);
        assert_eq!(two.come(server.address), (true, sent_by_two));
        if round % 2 == 1 {
            two.hear(&["1a"]);
        }
        two.hear_in_any_order("2b", "1!to two");
        two.hear(&["1while two is away"]);
        one.hears_nothing();
        two.hears_nothing();
    }
    let mut plain = Client::connect(server.address, "/ws/room").expect("an upgrade");
    plain.expect(&["3+"]);
}

impl Player {
    /// Two messages that the room has received at the same time.
    #[track_caller]
    fn hear_in_any_order(&mut self, first: &str, second: &str) {
        let mut heard = [(); 2].map(|()| self.client().next_text());
        self.received += 2;
        heard.sort();
        let mut expected = [first, second];
        expected.sort_unstable();
        assert_eq!(heard, expected);
    }
}

#[test]
fn bases_change_nothing() {
    let place = place();
    let (mut one, mut two) = (Player::new("one"), Player::new("two"));
    let mut server = start(&place, 0, &["--resume", "300"]);
    one.come(server.address);
    two.come(server.address);
    one.hear(&["1+", "2+"]);
    for round in 1..=3 {
        // Two receives nothing of this.
        for number in 0..1_500 {
            let text = format!("{number}");
            one.say(&text);
            one.hear(&[&format!("1{text}")]);
            if number % 100 == 99 {
                let received = one.received;
                one.say(&format!("\0{received}"));
            }
        }
        let port = server.kill();
        server = start(&place, port, &["--resume", "300"]);
        assert_eq!(two.come(server.address), (true, round - 1));
        if round == 1 {
            two.hear(&["2+"]);
        }
        for number in 0..1_500 {
            two.hear(&[&format!("1{number}")]);
        }
        let received = two.received;
        two.say(&format!("\0{received}"));
        two.say("now me");
        two.hear(&["2now me"]);
        assert_eq!(one.come(server.address), (true, 1_500 * round));
        one.hear(&["2now me"]);
    }
}

#[test]
fn a_client_that_comes_too_late_is_new() {
    let place = place();
    let (mut early, mut late) = (Player::new("early"), Player::new("late"));
    let server = start(&place, 0, &[]);
    early.come(server.address);
    late.come(server.address);
    let plain = Client::connect(server.address, "/ws/room").expect("an upgrade");
    early.hear(&["1+", "2+", "3+"]);
    server.kill();
    drop(plain);
    let server = serve(&place);
    // Clients without a session have gone. The others may come back.
    let mut plain = server.client("room");
    plain.expect(&["4+"]);
    assert_eq!(server.rooms(), [("room".to_owned(), vec![1, 2, 4])]);
    assert_eq!(server.stats().clients, 3);
    server.pass(WINDOW - MOMENT);
    assert_eq!(early.come(server.address()), (true, 0));
    early.hear(&["3-", "4+"]);
    server.pass(MOMENT);
    plain.expect(&["2-"]);
    early.hear(&["2-"]);
    let (is_resumed, _) = late.come(server.address());
    assert!(!is_resumed);
    late.hear(&["5+"]);
    drop(server);
    // After the next end, nobody wants the room for too long.
    let server = serve(&place);
    assert_eq!(server.stats().rooms, 0, "the time has begun");
    server.pass(WINDOW);
    let mut plain = server.client("room");
    plain.expect(&["6+"]);
    assert_eq!(server.rooms(), [("room".to_owned(), vec![6])]);
    let (is_resumed, _) = early.come(server.address());
    assert!(!is_resumed);
    early.hear(&["7+"]);
}

#[test]
fn a_client_that_has_missed_too_much_is_new() {
    let place = place();
    let more = &["--max-session-buffer", "16KiB", "--resume", "300"];
    let server = start(&place, 0, more);
    let (mut much, mut little) = (Player::new("much"), Player::new("little"));
    much.come(server.address);
    little.come(server.address);
    much.hear(&["1+", "2+"]);
    little.hear(&["2+"]);
    let mut plain = Client::connect(server.address, "/ws/room").expect("an upgrade");
    plain.expect(&["3+"]);
    little.hear(&["3+"]);
    let large = "x".repeat(1_000);
    for _ in 0..20 {
        plain.text("#");
        plain.expect(&["3#", &large]);
        little.hear(&["3#", &large]);
        let received = little.received;
        little.say(&format!("\0{received}"));
    }
    let port = server.kill();
    drop(plain);
    let server = start(&place, port, more);
    let (is_resumed, _) = much.come(server.address);
    assert!(!is_resumed, "what it missed is more than the server keeps");
    assert_eq!(much.id, 4);
    assert_eq!(little.come(server.address), (true, 0));
    little.hear(&["3-", "4+", "1-"]);
}

#[test]
fn a_room_with_a_session_that_waits_stays_in_memory() {
    const IDLE: Duration = Duration::from_secs(1);
    let place = place();
    let mut player = Player::new("one");
    let server = start(&place, 0, &[]);
    player.come(server.address);
    player.hear(&["1+"]);
    server.kill();
    let settings = settings(&place).with_hibernate_after(IDLE).with_resume(1_000 * IDLE);
    let server = TestServer::guests(settings, program());
    server.client("room").leave();
    server.wait_for_clients(1);
    // What is enough for one without clients is not enough for one with a client that may come back.
    server.connect("/ws/other").expect("an upgrade").leave();
    eventually("the other one leaves memory", || {
        server.pass(IDLE);
        server.stats().rooms == 1
    });
    assert_eq!(player.come(server.address()), (true, 0));
    player.hear(&["2+", "2-"]);
    player.client().frame(&stateroom_tests::Frame::close(1000));
    eventually("the room leaves memory", || {
        server.pass(IDLE);
        server.stats().rooms == 0
    });
    // Its session has ended, and is not in the history any more.
    let (is_resumed, _) = player.come(server.address());
    assert!(!is_resumed);
    player.hear(&["3+"]);
}

#[test]
fn sessions_continue_after_a_server_that_has_said_goodbye() {
    let place = place();
    let (mut here, mut away) = (Player::new("here"), Player::new("away"));
    let mut server = serve(&place);
    here.come(server.address());
    away.come(server.address());
    here.hear(&["1+", "2+"]);
    for round in 0..3 {
        let mut plain = server.client("room");
        let id = 3 + round;
        plain.expect(&[&format!("{id}+")]);
        here.hear(&[&format!("{id}+")]);
        if let Some(client) = away.client.take() {
            client.hang_up();
        }
        here.say("a");
        here.hear(&["1a"]);
        plain.expect(&["1a"]);
        server.handle().begin_shutdown();
        assert!(control(here.client()).contains("within"));
        assert_eq!(here.client().closed(), 1012);
        assert_eq!(plain.closed(), 1001);
        drop(server);
        server = serve(&place);
        assert_eq!(away.come(server.address()), (true, 0));
        if round == 0 {
            away.hear(&["2+"]);
        }
        away.hear(&[&format!("{id}+"), "1a", &format!("{id}-")]);
        assert_eq!(here.come(server.address()), (true, round + 1));
        here.hear(&[&format!("{id}-")]);
    }
    here.say("b");
    away.hear(&["1b"]);
}

#[test]
fn a_greeting_that_was_lost_is_known_after_a_crash() {
    let place = place();
    let mut player = Player::new("one");
    let server = start(&place, 0, &["--resume", "300"]);
    let mut plain = Client::connect(server.address, "/ws/room").expect("an upgrade");
    // It does not even receive the greeting.
    player.open(server.address).hang_up();
    plain.expect(&["1+", "2+"]);
    assert_eq!(player.come(server.address), (false, 0));
    assert_eq!(player.id, 2, "for the room it is the same client");
    player.say("a");
    player.hear(&["2+", "2a"]);
    let port = server.kill();
    let server = start(&place, port, &["--resume", "300"]);
    assert_eq!(player.come(server.address), (true, 1));
    player.hear(&["1-"]);
    // An older connection that arrives late does not take the session over.
    let attempts = std::mem::replace(&mut player.attempts, 1);
    let late = player.open(server.address);
    player.attempts = attempts;
    assert_eq!({ late }.closed(), 1008);
    let port = server.kill();
    let server = start(&place, port, &["--resume", "300"]);
    player.attempts = 1;
    assert_eq!(player.open(server.address).closed(), 1008);
    player.attempts = attempts;
    assert_eq!(player.come(server.address), (true, 1));
    player.hears_nothing();
}

#[test]
fn a_client_that_knows_more_than_the_disk_is_new() {
    let place = place();
    let (mut one, mut two) = (Player::new("one"), Player::new("two"));
    let server = start(&place, 0, &["--resume", "300"]);
    one.come(server.address);
    two.come(server.address);
    one.hear(&["1+", "2+"]);
    two.hear(&["2+"]);
    let port = server.kill();
    let server = start(&place, port, &["--resume", "300"]);
    // As if the disk had lost a message, and the room has sent others meanwhile.
    two.received += 1;
    assert_eq!(one.come(server.address), (true, 0));
    one.say("a");
    one.say("b");
    one.hear(&["1a", "1b"]);
    let (is_resumed, _) = two.come(server.address);
    assert!(!is_resumed);
    assert_eq!(two.id, 3);
    two.hear(&["3+", "2-"]);
}

#[test]
fn all_clients_of_a_room_come_back() {
    let place = place();
    let settings = || settings(&place).with_threads(2);
    let server = TestServer::guests(settings(), program());
    let mut players: Vec<_> = (0..40).map(|number| Player::new(&format!("player-{number}"))).collect();
    for player in &mut players {
        player.come(server.address());
    }
    drop(server);
    let server = TestServer::guests(settings(), program());
    for player in players.iter_mut().rev() {
        assert_eq!(player.come(server.address()), (true, 0));
    }
    assert_eq!(server.stats().clients, 40);
}

#[test]
fn sessions_that_do_not_wait_end_with_the_server() {
    let place = place();
    let settings = || settings(&place).with_resume(Duration::ZERO);
    let mut player = Player::new("one");
    let server = TestServer::guests(settings(), program());
    player.come(server.address());
    drop(server);
    let server = TestServer::guests(settings(), program());
    let (is_resumed, _) = player.come(server.address());
    assert!(!is_resumed);
    player.hear(&["2+"]);
}

#[test]
fn a_base_has_what_is_still_being_delivered() {
    let place = place();
    let server = start(&place, 0, &["--resume", "300"]);
    let mut players: Vec<_> = (0..8).map(|number| Player::new(&format!("player-{number}"))).collect();
    for player in &mut players {
        player.come(server.address);
    }
    for player in &mut players {
        for id in player.id..=8 {
            player.hear(&[&format!("{id}+")]);
        }
    }
    // It is so large that others go on before all clients have it, and that the room gets a new base.
    let large = "x".repeat(40_000);
    for _ in 0..3 {
        players[0].say(&large);
        players[0].hear(&[&format!("1{large}")]);
    }
    let port = server.kill();
    let server = start(&place, port, &["--resume", "300"]);
    assert_eq!(players[0].come(server.address), (true, 3));
    for player in &mut players[1..] {
        assert_eq!(player.come(server.address), (true, 0));
        player.hear(&[&*format!("1{large}"); 3]);
        player.hears_nothing();
    }
}

#[test]
fn a_server_that_ends_writes_no_base_without_the_sessions() {
    const PLAIN: u64 = 150;
    let place = place();
    let mut player = Player::new("one");
    let mut server = serve(&place);
    player.come(server.address());
    let mut next = 2_u64;
    player.hear(&["1+"]);
    for _ in 0..8 {
        let plain: Vec<_> = (0..PLAIN).map(|_| server.client("room")).collect();
        for _ in 0..PLAIN {
            let came = char::from(48 + (next & 63) as u8);
            player.hear(&[&format!("{came}+")]);
            next += 1;
        }
        let received = player.received;
        player.say(&format!("\0{received}"));
        drop(server);
        drop(plain);
        server = serve(&place);
        assert_eq!(player.come(server.address()), (true, 0));
        // They have left in any order.
        for _ in 0..PLAIN {
            assert!(player.client().next_text().ends_with('-'));
            player.received += 1;
        }
        player.hears_nothing();
    }
}

/// Returns a guest that takes its state along, and tells everyone its mark when it has. `@` makes it say it.
fn marked(mark: char) -> Program {
    saving(mark, "", "(call $send)")
}

#[test]
fn sessions_take_along_what_a_new_program_has_said() {
    let place = Directory::new();
    let mut player = Player::new("one");
    let server = TestServer::guests(settings(&place), marked('a'));
    player.come(server.address());
    player.say("?");
    player.hear(&["a"]);
    player.say("?");
    assert_eq!(server.replace(&marked('b')).loaded.count, 1);
    drop(server);
    let server = TestServer::guests(settings(&place), marked('c'));
    // The room comes from the disk, and takes its state into the program of this server.
    assert_eq!(player.come(server.address()), (true, 2));
    player.hear(&["a", "b", "c"]);
    player.say("?");
    player.hear(&["c"]);
    // A room that starts afresh has the clients that may come back.
    drop(server);
    let server =
        TestServer::guests(settings(&place).with_upgrade(stateroom_server_smol::Upgrade::Reset), program());
    player.client = None;
    assert_eq!(server.client("room").ask("?"), "c");
    assert_eq!(server.replace(&marked('d')).loaded.count, 1);
    assert_eq!(player.come(server.address()), (true, 3));
    player.hear(&["c", "d"]);
}

#[test]
fn sessions_of_rooms_that_are_being_opened_outlive_the_server() {
    let place = place();
    let mut players: Vec<_> = (0..100).map(|number| Player::new(&format!("player-{number}"))).collect();
    let mut server = serve(&place);
    for (number, player) in players.iter_mut().enumerate() {
        player.room = format!("room-{number}");
        player.come(server.address());
        player.hear(&["1+"]);
        player.client = None;
    }
    for _ in 0..5 {
        drop(server);
        server = serve(&place);
        let address = server.address();
        // Some rooms are being read from the disk when the server ends.
        let opening: Vec<_> = players.iter_mut().map(|player| player.open(address)).collect();
        server.handle().begin_shutdown();
        drop(opening);
    }
    drop(server);
    let server = serve(&place);
    for player in &mut players {
        assert_eq!(player.come(server.address()), (true, 0), "{}", player.room);
        player.hears_nothing();
    }
}

#[test]
fn what_was_received_before_a_crash_takes_no_space_after_it() {
    let place = place();
    let more = &["--max-session-buffer", "16KiB", "--resume", "300"];
    let server = start(&place, 0, more);
    let mut player = Player::new("one");
    player.come(server.address);
    player.hear(&["1+"]);
    let large = "x".repeat(1_000);
    for _ in 0..12 {
        player.say("#");
        player.hear(&["1#", &large]);
        let received = player.received;
        player.say(&format!("\0{received}"));
    }
    let port = server.kill();
    let server = start(&place, port, more);
    // The server does not know what it has received, but need not.
    let mut plain = Client::connect(server.address, "/ws/room").expect("an upgrade");
    plain.expect(&["2+"]);
    for _ in 0..10 {
        plain.text("#");
        plain.expect(&["2#", &large]);
    }
    assert_eq!(player.come(server.address), (true, 12));
    player.hear(&["2+"]);
    for _ in 0..10 {
        player.hear(&["2#", &large]);
    }
}

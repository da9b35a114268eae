//! The clock of the machine is set while rooms run. faketime lets the process see another one, and nobody else.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use stateroom_tests::{Client, Directory, binary, request};

use super::{Running, serve};

/// Says what time it is for each text, and for everyone when the timer fires. A text that begins with `t` sets it to 0.7 s, and one
/// that begins with `l` to 5 s.
const GUEST: &str = r#"(module
    (import "env" "send_binary" (func $send (param i32 i32 i32)))
    (import "env" "set_timer" (func $timer (param i32)))
    (import "stateroom" "now_ms" (func $now (result i64)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func $say (param $to i32)
        (i64.store (i32.const 8) (call $now))
        (call $send (local.get $to) (i32.const 8) (i32.const 8)))
    (func (export "timer") (call $say (i32.const 0)))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param i32 i32 i32)
        (if (i32.eq (i32.load8_u (local.get 1)) (i32.const 0x74)) (then (call $timer (i32.const 700))))
        (if (i32.eq (i32.load8_u (local.get 1)) (i32.const 0x6c)) (then (call $timer (i32.const 5000))))
        (call $say (local.get 0))))"#;

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// The longest that a timer of 0.7 s takes on a busy machine: less than an hour.
const SOON: Duration = Duration::from_secs(40);

/// A server that sees a clock of its own, in a directory with the guest.
struct Clocked(Running);

impl Clocked {
    #[track_caller]
    fn start(directory: Directory, ahead: i64, options: &[&str]) -> Self {
        set(&directory, ahead);
        let library = ["x86_64", "aarch64"]
            .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"))
            .into_iter()
            .find(|library| Path::new(library).exists())
            .expect("this test needs faketime: apt-get install faketime");
        let mut command: Command = serve(&directory, options);
        command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", directory.path().join("clock"));
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Self(Running::of(directory, command))
    }

    /// Sets its clock so many milliseconds ahead of the machine's.
    fn set(&self, ahead: i64) {
        set(&self.0.directory, ahead);
    }

    #[track_caller]
    fn client(&self) -> Client {
        Client::connect(self.0.address, "/ws/room").unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }
}

fn set(directory: &Directory, ahead: i64) {
    let clock = directory.path().join("clock");
    // It is never seen while it is empty.
    fs::write(clock.with_extension("new"), format!("{:+}", ahead / 1_000)).expect("a disk");
    fs::rename(clock.with_extension("new"), clock).expect("a disk");
}

fn dist() -> Directory {
    let guest = wat::parse_str(GUEST).expect("a module");
    Directory::new().with("dist/server.wasm", guest).with("dist/static/page.html", "a page")
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    now.as_millis().try_into().expect("not so late")
}

#[track_caller]
fn time(client: &mut Client) -> i64 {
    i64::from_le_bytes(client.next_binary().try_into().expect("a time"))
}

#[track_caller]
fn ask(client: &mut Client, text: &str) -> i64 {
    client.text(text);
    time(client)
}

/// Returns whether a time is so many milliseconds ahead, or a little more or less.
fn is_ahead(time: i64, ahead: i64) -> bool {
    (time - now() - ahead).abs() < 60_000
}

#[test]
fn timers_run_on_and_the_time_of_a_room_does_not_go_back_when_the_clock_jumps() {
    let options = ["--heartbeat-interval", "1", "--heartbeat-timeout", "120", "--hibernate-after", "1"];
    let server = Clocked::start(dist(), 0, &options);
    let mut client = server.client();
    let mut latest = ask(&mut client, "now");
    assert!(is_ahead(latest, 0), "{latest}");
    let mut most = 0;
    for ahead in [HOUR, 0, -HOUR, YEAR, -YEAR, 0] {
        // The timer is set before the jump, and again after it.
        let begun = Instant::now();
        ask(&mut client, "timer");
        server.set(ahead);
        for _ in 0..2 {
            let fired = time(&mut client);
            let took = begun.elapsed();
            assert!(Duration::from_millis(650) < took && took < SOON, "{took:?} after {ahead}");
            assert!(fired >= latest, "{fired} after {latest}: it goes back");
            latest = fired;
            if most < ahead {
                most = ahead;
            }
            // As far ahead as it ever was, as long as the clock is behind that.
            assert!(is_ahead(ask(&mut client, "timer"), most), "at {ahead}");
        }
        time(&mut client);
    }
    // The heartbeat has found nobody silent, and newcomers come.
    assert!(ask(&mut server.client(), "now") >= latest);
}

#[test]
fn tokens_expire_by_the_clock() {
    let directory = dist().with("secret", "0123456789abcdef0123456789abcdef");
    let path = directory.path().join("secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    // It is valid for an hour.
    let token = Command::new(binary("stateroom")).args(["token", "room", "--key"]).arg(&path).output();
    let token = String::from_utf8(token.expect("it runs").stdout).expect("text");
    let server = Clocked::start(directory, 0, &["--auth-key", "secret"]);
    let bearer = format!("Authorization: Bearer {}", token.trim_end());
    let enter = || Client::connect_with(server.0.address, "/ws/room", &[&bearer]);
    let mut client = enter().expect("it is valid");
    server.set(2 * HOUR);
    assert_eq!(enter().expect_err("it is over").status, 401);
    ask(&mut client, "who is in stays in");
    server.set(0);
    ask(&mut enter().expect("it is valid again"), "now");
}

#[test]
fn answers_have_the_date_of_the_clock() {
    let server = Clocked::start(dist(), YEAR, &[]);
    let year = |server: &Clocked| {
        let answer = request(server.0.address, "GET", "/page.html", &[]);
        let date = answer.header("date").expect("a date").to_owned();
        date.split(' ').nth(3).and_then(|year| year.parse::<u32>().ok()).expect("a year")
    };
    let ahead = year(&server);
    server.set(0);
    assert_eq!(year(&server), ahead - 1, "it goes back with the clock");
}

#[test]
fn a_timer_on_disk_is_not_late_because_the_clock_was_set_back() {
    let data = ["--data", "data"];
    for (before, after) in [(HOUR, 0), (0, -HOUR)] {
        let server = Clocked::start(dist(), before, &data);
        let mut client = server.client();
        let latest = ask(&mut client, "now");
        assert!(is_ahead(latest, before));
        if before > 0 {
            server.set(after);
        }
        ask(&mut client, "later");
        let (_, directory) = server.0.end();
        let begun = Instant::now();
        let server = Clocked::start(directory, after, &data);
        let mut client = server.client();
        // The room opens now at the latest, and the timer is due.
        let fired = time(&mut client);
        assert!(fired >= latest && begun.elapsed() < SOON, "{before} {after}: {:?}", begun.elapsed());
        assert!(ask(&mut client, "now") >= fired);
    }
}

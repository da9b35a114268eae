//! Tests what an operator sees and does, with the command itself: the log, rooms that are watched and closed, and the token.
#![cfg(target_os = "linux")]

mod actions;
mod logs;
mod token;
mod watch;

use std::{
    io::{BufReader, Write as _},
    net::SocketAddr,
    os::unix::net::UnixStream,
    process::Command,
};

use rustix::process::Signal;
use stateroom_tests::{Answer, Child, Client, Directory, Output, PATIENCE, binary};

/// Sends everything back, tells everyone who comes and goes, logs what is binary, and sets a timer when it is asked for nothing.
const GUEST: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (import "env" "send_binary" (func $send_binary (param i32 i32 i32)))
    (import "env" "set_timer" (func $timer (param i32)))
    (import "stateroom" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "come")
    (data (i32.const 32) "gone")
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32) (call $send (i32.const 0) (i32.const 16) (i32.const 4)))
    (func (export "disconnect") (param i32) (call $send (i32.const 0) (i32.const 32) (i32.const 4)))
    (func (export "timer"))
    (func (export "binary") (param $client i32) (param $at i32) (param $len i32)
        (call $log (i32.const 3) (local.get $at) (local.get $len))
        (call $send_binary (local.get $client) (local.get $at) (local.get $len)))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (if (i32.eqz (local.get $len)) (then (call $timer (i32.const 1))))
        (call $send (local.get $client) (local.get $at) (local.get $len))))"#;

/// A server in a process of its own, and its operator.
struct Running {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl Running {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        let module = wat::parse_str(GUEST).expect("a module");
        Self::start_in(Directory::new().with("guest.wasm", module), 0, options)
    }

    #[track_caller]
    fn start_in(directory: Directory, port: u16, options: &[&str]) -> Self {
        let mut command = Command::new(binary("stateroom"));
        command.args(["serve", "guest.wasm", "--ip", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--admin", "./admin.sock"]).args(options).current_dir(directory.path());
        let child = Child::of(&mut command);
        let said = child.line(Output::Stderr, "serving on ");
        let address = said.split('"').next().and_then(|address| address.parse().ok()).expect("an address");
        Self { child, address, directory }
    }

    #[track_caller]
    fn client(&self, room: &str) -> Client {
        Client::connect(self.address, &format!("/ws/{room}"))
            .unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"))
    }

    /// Returns the command with these arguments, for this server.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("stateroom"));
        command.args(arguments).current_dir(self.directory.path());
        command
    }

    /// Runs `stateroom rooms` to its end, and returns what it prints.
    #[track_caller]
    fn rooms(&self, arguments: &[&str]) -> Result<String, String> {
        run(self.command(&[&["rooms"], arguments, &["--admin", "./admin.sock"]].concat()))
    }

    /// Sends a request of the operator.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, content: &str) -> Answer {
        let stream = UnixStream::connect(self.directory.path().join("admin.sock")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let size = content.len();
        write!(&stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n{content}")
            .expect("it reads");
        Answer::read(&mut BufReader::new(stream), method)
    }

    /// Ends it, and returns the lines that it has written since the last one that was looked for.
    #[track_caller]
    fn end(self) -> (Vec<String>, Directory) {
        let Self { child, directory, .. } = self;
        child.signal(Signal::TERM);
        let lines = child.find_line(Output::Stderr, "a line that never comes").expect_err("there is none");
        (lines, directory)
    }
}

/// Runs a command to its end, and returns what it prints.
#[track_caller]
fn run(mut command: Command) -> Result<String, String> {
    let output = command.output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

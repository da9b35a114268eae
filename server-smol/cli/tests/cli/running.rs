//! The command, run to its end or for as long as a test serves.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};

use crate::directory::Directory;

pub(crate) fn stateroom(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stateroom"));
    command
        .args(arguments)
        .current_dir(&directory.0)
        .env("CARGO", env!("CARGO"))
        // All guests share their dependencies' builds.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"))
        // What would put a backtrace into an error, or change what is logged and built.
        .env("RUST_BACKTRACE", "1")
        .env_remove("RUST_LOG")
        .env_remove("RUSTFLAGS")
        .env_remove("PORT")
        .stdin(Stdio::null());
    command
}

/// Runs to the end; returns the exit status, and stdout and stderr together.
pub(crate) fn run(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
    (output.status.code().unwrap(), text)
}

pub(crate) fn succeeds(command: Command) -> String {
    let (status, text) = run(command);
    assert_eq!(status, 0, "{text}");
    text
}

/// Expects an error message and status 1 that has all of `parts` in it.
#[track_caller]
pub(crate) fn fails(command: Command, parts: &[&str]) {
    let (status, text) = run(command);
    assert_eq!(status, 1, "{text}");
    // The compiler's errors come before ours.
    let (before, message) = text.rsplit_once("error: ").expect("an error");
    assert!(before.is_empty() || before.ends_with('\n'), "{text}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[track_caller]
pub(crate) fn refuses(directory: &Directory, arguments: &[&str], parts: &[&str]) {
    let (status, text) = run(stateroom(directory, arguments));
    assert_eq!(status, 2, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    address: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Serving {
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        let mut server = Self::launch(command);
        server.wait_for_address();
        server
    }

    /// Starts what is no server yet.
    pub(crate) fn launch(command: Command) -> Self {
        // Reads on for as long as the server runs, so that the programs that it starts never wait for us.
        let (lines, log) = mpsc::channel();
        Self::spawn(command, log, move |line| lines.send(line).is_ok())
    }

    /// Starts a server whose log is read only while the test waits for a line.
    #[track_caller]
    pub(crate) fn unread(command: Command) -> Self {
        let (lines, log) = mpsc::sync_channel(0);
        let mut server = Self::spawn(command, log, move |line| lines.send(line).is_ok());
        server.wait_for_address();
        server
    }

    fn spawn(
        mut command: Command,
        log: mpsc::Receiver<String>,
        mut each: impl FnMut(String) -> bool + Send + 'static,
    ) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).all(&mut each));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log }
    }

    /// Sends a signal, and waits for the end that it has to bring; returns the exit status.
    #[cfg(unix)]
    #[track_caller]
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the log says where the server is.
    #[track_caller]
    pub(crate) fn wait_for_address(&mut self) {
        let line = self.wait_for_line("serving on ");
        let address: SocketAddr = line.split_once("serving on ").unwrap().1.parse().unwrap();
        self.address.set_port(address.port());
    }

    /// Waits for a line of the log with `part` in it.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, part: &str) -> String {
        let mut seen = String::new();
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(120)) {
            if line.contains(part) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
        panic!("it does not say `{part}`: {seen}");
    }

    /// Returns the lines of the log up to the one with `part` in it, and that one.
    #[track_caller]
    pub(crate) fn lines_to(&mut self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.wait_for_line(""));
            if lines.last().is_some_and(|line| line.contains(part)) {
                return lines;
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.request("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str) -> String {
        self.request("POST", path, "")
    }

    /// Asks for a WebSocket to a room, with these lines among the request's headers. The client stays until it is dropped.
    pub(crate) fn join(&self, path: &str, headers: &str) -> TcpStream {
        let mut client = self.connect();
        let upgrade =
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let host = "Host: localhost\r\nConnection: upgrade";
        write!(client, "GET {path} HTTP/1.1\r\n{host}\r\n{upgrade}\r\n{headers}\r\n").unwrap();
        client
    }

    /// Asks, with these lines among the request's headers.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

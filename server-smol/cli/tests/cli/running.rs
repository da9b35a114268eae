//! The command, run to its end or for as long as a test serves.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

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
        server.await_address();
        server
    }

    /// Starts what is no server yet.
    pub(crate) fn launch(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::channel();
        // Reads on for as long as the server runs, so that it never waits for us.
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log }
    }

    /// Waits until the log says where the server is.
    #[track_caller]
    pub(crate) fn await_address(&mut self) {
        let line = self.await_line("serving on ");
        let address: SocketAddr = line.split_once("serving on ").unwrap().1.parse().unwrap();
        self.address.set_port(address.port());
    }

    /// Waits for a line of the log with `part` in it.
    #[track_caller]
    pub(crate) fn await_line(&mut self, part: &str) -> String {
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

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> String {
        self.request("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> String {
        self.request("POST", path)
    }

    fn request(&self, method: &str, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
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

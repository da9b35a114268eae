//! The log cannot be written. Nobody waits for it.

use std::{
    fs::OpenOptions,
    io::{BufReader, Write as _, pipe},
    net::SocketAddr,
    os::unix::net::UnixStream,
    process::{Child, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use stateroom_tests::{Answer, PATIENCE, eventually, request};

use super::{Counting, dist, serve};

/// A server whose log nobody gets.
struct Unheard(Child);

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets a server write its log to `stderr`, makes it write far more than a pipe holds, and ends it.
#[track_caller]
fn serves_on(format: &str, stderr: impl Into<Stdio>) {
    let directory = dist();
    let mut command = serve(&directory, &["--admin", "./admin.sock", "-vv", "--log-format", format]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).env_remove("RUST_LOG");
    let mut server = Unheard(command.spawn().expect("it has been built"));
    let mut address: Option<SocketAddr> = None;
    eventually("it serves", || {
        address = UnixStream::connect(directory.path().join("admin.sock")).ok().and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
            write!(&stream, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
            let status = Answer::read(&mut BufReader::new(stream), "GET");
            let status: serde_json::Value = serde_json::from_slice(&status.body).ok()?;
            status["address"].as_str()?.parse().ok()
        });
        address.is_some()
    });
    let address = address.expect("it serves");
    let mut client = Counting::join(address, "room");
    let path = format!("/{}", "x".repeat(4_000));
    for count in 1..=100 {
        assert_eq!(request(address, "GET", &path, &[]).status, 404);
        assert_eq!(client.count(8), count);
    }
    kill_process(Pid::from_child(&server.0), Signal::TERM).expect("it is ours");
    assert_eq!(server.0.wait().expect("it is ours").code(), Some(0));
}

#[test]
fn a_full_disk_stops_nobody() {
    for format in ["text", "json"] {
        serves_on(format, OpenOptions::new().write(true).open("/dev/full").expect("the system has it"));
    }
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody() {
    for format in ["text", "json"] {
        let (_unread, stderr) = pipe().expect("the system has one");
        serves_on(format, stderr);
    }
}

#[test]
fn a_pipe_whose_reader_is_gone_stops_nobody() {
    for format in ["text", "json"] {
        let (reader, stderr) = pipe().expect("the system has one");
        drop(reader);
        serves_on(format, stderr);
    }
}

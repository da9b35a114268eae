use std::{
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use stateroom_tests::{self as tests, Child};

use crate::{
    Bench,
    server::{Server, confined},
};

/// The maximum time for which connections are held, in seconds: a crowd ends with the program, and by itself if that
/// has not ended it.
const HOLD: &str = "1800";
/// The time within which one more connection of a crowd must appear.
const GATHERING: Duration = Duration::from_secs(60);

/// Clients that are connected and say nothing but pongs, each in a room of its own, until this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd {
    _child: Child,
    /// The time until all were there.
    pub(crate) gathered: Duration,
}

impl Bench {
    /// Runs `stateroom load` with a mode and its options, and returns its report. It ends by itself.
    pub(crate) fn load_for(&self, seconds: f64, load: &str, server: &Server) -> Value {
        let (mode, flags) = load.split_once(' ').unwrap_or((load, ""));
        let mut command = Command::new(&self.load);
        command.args(["load", mode, &server.url("busy-")]).args(flags.split(' '));
        command.args(["--duration", &seconds.to_string(), "--warmup", "0.3"]);
        command.args(["--json", "--pid", &server.id().to_string()]);
        let output = self.cores.load(&mut command, Command::output).expect("it has been built");
        report(&output)
    }

    /// Connects so many clients to rooms `idle-0`, `idle-1` and so on.
    pub(crate) fn crowd(&self, server: &Server, count: usize) -> Crowd {
        let mut command = confined(&self.load);
        let number = count.to_string();
        command.args(["load", "idle", &server.url("idle-")]);
        command.args(["--connections", &number, "--rooms", &number, "--hold", HOLD, "--patience", "60"]);
        let (begin, before) = (Instant::now(), server.counts()[1]);
        let mut child = self.cores.load(&mut command, |command| Ok(Child::of(command))).expect("it starts");
        let (mut most, mut since) = (0, begin);
        loop {
            let clients = server.counts()[1].saturating_sub(before);
            if clients >= count as u64 {
                break;
            }
            if clients > most {
                (most, since) = (clients, Instant::now());
            }
            assert!(since.elapsed() < GATHERING, "{most} of {count} clients, and no more for {GATHERING:?}");
            assert!(
                child.is_running(),
                "the crowd has ended: {:?}",
                child.find_line(tests::Output::Stderr, "error: ")
            );
            thread::sleep(Duration::from_millis(200));
        }
        Crowd { _child: child, gathered: begin.elapsed() }
    }
}

fn report(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the load fails: {}", stderr.trim());
    serde_json::from_slice(&output.stdout).expect("JSON")
}

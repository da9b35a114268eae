use std::{path::Path, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    log::{RECORD, Sample},
    server::Server,
};

/// A load: clients, each in a room of its own, send messages and get them back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// The messages of a client that may wait for their answers.
    pub(crate) window: usize,
    /// The messages a second of all clients together. `None`: as many as the window allows.
    pub(crate) rate: Option<u64>,
}

impl Load {
    /// Returns clients that wait for each answer.
    pub(crate) fn waiting(clients: usize) -> Self {
        Self { clients, window: 1, rate: None }
    }

    /// Runs the clients for this time.
    pub(crate) fn run(&self, program: &Path, server: &Server, time: Duration) -> Sample {
        let Self { clients, window, rate } = self;
        let mut command = Command::new(program);
        // Each load has rooms of its own, as those of another may not have noticed that theirs are gone.
        let name = format!("{clients}-{window}-{}", rate.unwrap_or(0));
        command.args(["load", "echo", &format!("ws://{}/ws/of-{name}-{{room}}", server.address)]);
        let text = |number: &usize| number.to_string();
        command.args(["--connections", &text(clients), "--rooms", &text(clients)]);
        command.args(["--window", &text(window), "--size", &text(&RECORD), "--binary", "--json"]);
        rate.iter().for_each(|rate| _ = command.args(["--rate", &rate.to_string()]));
        let (seconds, server) = (time.as_secs().to_string(), server.id().to_string());
        command.args(["--duration", &seconds, "--warmup", "0.3", "--pid", &server]);
        let output = command.output().expect("it has been built");
        assert!(output.status.success(), "the load fails: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let number = |pointer| report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
        Sample {
            p50: number("/latency_us/p50"),
            p99: number("/latency_us/p99"),
            per_second: number("/messages_per_second"),
            cpu: number("/server/cpu_us_per_message"),
        }
    }
}

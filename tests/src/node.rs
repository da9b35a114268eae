use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use stateroom_host_min::{Effect, Event};
use stateroom_sdk_core::MessagePayload;

use crate::{Directory, child::workspace, foreign::not_started};

/// Runs a room in Node.js, whose WebAssembly has nothing to do with this host's, with `tests/guests/host.mjs`.
/// Returns what each event asks for, in the form of [`in_json`].
#[track_caller]
#[must_use]
pub fn run_in_node(module: &[u8], events: &[Event<'_>]) -> Vec<Value> {
    run_in_changed_host(module, events, &[])
}

/// Returns the same with a host of which pieces are replaced, each of which has to be there, once.
#[track_caller]
#[must_use]
pub fn run_in_changed_host(module: &[u8], events: &[Event<'_>], changes: &[(&str, &str)]) -> Vec<Value> {
    let host = fs::read_to_string(workspace().join("tests/guests/host.mjs")).expect("it is one of ours");
    let host = changes.iter().fold(host, |host, (piece, other)| {
        assert_eq!(host.matches(piece).count(), 1, "`{piece}` in host.mjs");
        host.replace(piece, other)
    });
    let directory = Directory::new().with("room.wasm", module).with("host.mjs", host);
    let mut node = Command::new("node");
    node.arg(directory.path().join("host.mjs")).arg(directory.path().join("room.wasm"));
    let started = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut node = match started {
        Ok(node) => node,
        Err(error) => panic!("{}", not_started(&node, &error, "install Node.js 20.10 or newer")),
    };

    // Small enough for the pipe, whether they are read or not.
    let events: String = events.iter().map(|event| format!("{}\n", event_in_json(event))).collect();
    let sent = node.stdin.take().expect("it was asked for").write_all(events.as_bytes());
    let output = node.wait_with_output().expect("it is ours");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && sent.is_ok(), "{}: {words}", output.status);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("it writes JSON"))
        .collect()
}

fn event_in_json(event: &Event<'_>) -> Value {
    match *event {
        Event::Init => json!({ "init": "lobby" }),
        Event::Connect(client, _) => json!({ "connect": client.0 }),
        Event::Disconnect(client) => json!({ "disconnect": client.0 }),
        Event::Message(client, MessagePayload::Text(text)) => {
            json!({ "from": client.0, "text": text })
        }
        Event::Message(client, MessagePayload::Bytes(bytes)) => {
            json!({ "from": client.0, "bytes": bytes })
        }
        Event::Timer => json!({ "timer": true }),
    }
}

/// Effects as `host.mjs` writes them.
///
/// # Panics
/// The documented interface has no such effect.
#[track_caller]
#[must_use]
pub fn in_json(effects: &[Effect<'_>]) -> Value {
    effects
        .iter()
        .map(|effect| match *effect {
            Effect::Send { recipient, payload: MessagePayload::Text(text) } => {
                json!({ "to": recipient.encode_i32(), "text": text })
            }
            Effect::Send { recipient, payload: MessagePayload::Bytes(bytes) } => {
                json!({ "to": recipient.encode_i32(), "bytes": bytes })
            }
            Effect::SetTimer { ms } => json!({ "timer": ms }),
            Effect::CancelTimer => json!({ "timer": 0 }),
            other => panic!("the documented interface has no {other:?}"),
        })
        .collect()
}

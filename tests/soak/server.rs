use std::{fs, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use rustix::process::Signal;
use stateroom_tests::{Child, Directory, Output, binary, counter, request, tls::Authority};

use crate::{sample::Sample, stream::Target};

/// The settings: short times, so that everything that waits for one ends often.
const SETTINGS: [&str; 28] = [
    "--ip",
    "127.0.0.1",
    "--port",
    "0",
    "--admin",
    "127.0.0.1:0",
    "--threads",
    "2",
    "--max-total-memory",
    "512MiB",
    "--shutdown",
    "after:2",
    "--resume",
    "10",
    "--hibernate-after",
    "2",
    "--heartbeat-interval",
    "5",
    "--heartbeat-timeout",
    "15",
    "--outbox-timeout",
    "5",
    // Small ones, so that slow clients hold about as much at any time.
    "--max-outbox-size",
    "1MiB",
    "--max-effect-bytes",
    "512KiB",
    "--max-message-size",
    "512KiB",
];

/// The server under test.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) target: Target,
    operator: SocketAddr,
    _directory: Directory,
}

impl Server {
    /// Starts the command.
    pub(crate) fn start(has_tls: bool) -> Result<Self, String> {
        let directory = Directory::new().with("counter.wasm", counter());
        let mut command = Command::new(binary("stateroom"));
        command.args(["serve", "counter.wasm"]).args(SETTINGS).current_dir(directory.path());
        let tls = has_tls.then(|| {
            let authority = Authority::new();
            authority.issue().write(&directory);
            command.args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
            Arc::new(authority.client(rustls::ALL_VERSIONS))
        });
        let child = Child::of(&mut command);
        let find = |part| {
            let line = child.find_line(Output::Stderr, part);
            line.map_err(|said| format!("the server does not start: {}", said.join("\n")))
        };
        let address = find("serving on ")?;
        let address = address.split(' ').next().and_then(|address| address.parse().ok());
        let operator = find("the operator's status is at http://")?;
        let operator = operator.split('/').next().and_then(|address| address.parse().ok());
        let (Some(address), Some(operator)) = (address, operator) else {
            return Err("the server does not say where it listens".to_owned());
        };
        Ok(Self { child, target: Target { address, tls }, operator, _directory: directory })
    }

    /// Asks what there is.
    pub(crate) fn sample(&mut self, time: Duration) -> Result<Sample, String> {
        if !self.child.is_running() {
            return Err("the server has ended".to_owned());
        }
        let status = request(self.operator, "GET", "/status", &[]);
        let status: serde_json::Value =
            serde_json::from_slice(&status.body).map_err(|error| error.to_string())?;
        let number = |name: &str| status[name].as_u64().ok_or_else(|| format!("`/status` has no `{name}`"));
        let metrics = request(self.operator, "GET", "/metrics", &[]);
        let metric = |name: &str| {
            let line = metrics.text().lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            line.ok_or_else(|| format!("`/metrics` has no `{name}`"))
        };
        let files =
            fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_err(|error| error.to_string())?;
        Ok(Sample {
            time,
            resident: self.child.resident(),
            memory: number("memory")?,
            files: files.count() as u64,
            tasks: metric("stateroom_tasks ")?,
            clients: number("clients")?,
            rooms: number("rooms")?,
            connections: metric("stateroom_connections_total ")?,
        })
    }

    /// Ends it, and looks at what it has said.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.child.signal(Signal::TERM);
        let (code, _) = self.child.exit();
        if let Ok(rest) = self.child.find_line(Output::Stderr, "panicked") {
            return Err(format!("a thread of the server has panicked{rest}"));
        }
        if code == Some(0) { Ok(()) } else { Err(format!("the server ends with exit code {code:?}")) }
    }
}

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::Value;
use stateroom_tests::{Child, Output, broadcast, eventually, example};

use crate::{
    cost::Totals,
    load,
    script::{Guest, Script},
    tool::Tool,
};

/// The server as it is shipped, and the guests.
#[derive(Debug)]
pub(crate) struct Server {
    program: PathBuf,
    /// The directory that the tools write to.
    place: PathBuf,
}

impl Server {
    /// Builds everything, the guests into `place`.
    pub(crate) fn build(root: &Path, place: PathBuf) -> Result<Self, String> {
        let server = Self { program: build(root)?, place };
        let echo = fs::read(example("echo").join("server.wasm")).map_err(|error| error.to_string())?;
        for (guest, module) in [(Guest::Echo, echo), (Guest::Broadcast, broadcast().module())] {
            fs::write(server.module(guest), module).map_err(|error| error.to_string())?;
        }
        let issued = load::authority().issue();
        for (name, text) in [("cert.pem", issued.certificate), ("key.pem", issued.key)] {
            fs::write(server.place.join(name), text).map_err(|error| error.to_string())?;
        }
        Ok(server)
    }

    fn module(&self, guest: Guest) -> PathBuf {
        self.place.join(match guest {
            Guest::Echo => "echo.wasm",
            Guest::Broadcast => "broadcast.wasm",
        })
    }

    /// Returns what each unit of a script takes, as far as a tool can tell.
    pub(crate) fn count(&self, script: &Script, tool: Tool) -> Result<Totals, String> {
        let [less, more] = script.steps.map(|steps| self.run(script, tool, steps));
        Ok(less?.each(&more?, script.difference()))
    }

    /// Runs a server from its start to its end.
    fn run(&self, script: &Script, tool: Tool, steps: usize) -> Result<Totals, String> {
        let report = self.place.join("report");
        // What an earlier server has left would be taken for this one's.
        let _ = fs::remove_file(&report);
        let mut command = tool.command(&report);
        command.arg(&self.program).arg("serve").arg(self.module(script.guest));
        command.args(["--ip", "127.0.0.1", "--port", "0", "--threads", "1"]);
        command.args(["--heartbeat-interval", "0", "--heartbeat-timeout", "0"]);
        // The tools make it slow, and it would do less in each pass.
        command.args(["--pass-time", "1000"]);
        if script.is_compressed {
            command.arg("--compress=1");
        }
        let data = self.place.join("data");
        if script.is_durable {
            // Each run begins with an empty one.
            let _ = fs::remove_dir_all(&data);
            command.arg("--data").arg(&data);
        }
        if script.has_tls {
            let names = ["cert.pem", "key.pem"].map(|name| self.place.join(name));
            command.arg("--tls-cert").arg(&names[0]).arg("--tls-key").arg(&names[1]);
        }
        let mut server = Child::of(&mut command);
        let address: SocketAddr = server
            .find_line(Output::Stderr, "serving on ")
            .map_err(|lines| format!("the server does not start: {}", lines.join("\n")))?
            .parse()
            .map_err(|_| "the server says no address".to_owned())?;
        (script.load)(address, steps);
        server.signal(Signal::TERM);
        let (code, _) = server.exit();
        if code != Some(0) {
            return Err(format!("{}: the server ends with {code:?}", script.name));
        }
        // strace goes on for a moment when what it has traced is gone.
        let mut totals = None;
        eventually("the tool writes its report", || {
            totals = fs::read_to_string(&report).ok().and_then(|report| tool.read(&report));
            totals.is_some()
        });
        totals.ok_or_else(|| format!("{tool:?} reports nothing"))
    }
}

/// Builds the server with the profile that it is shipped with; cargo says where it is.
fn build(root: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--package", "stateroom-smol", "--bin", "stateroom"]);
    cargo.arg("--message-format=json-render-diagnostics").current_dir(root).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err("the server does not build".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| "cargo says nothing of the program that it has built".to_owned())
}

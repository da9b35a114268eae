use std::{net::SocketAddr, path::PathBuf, process::Command, sync::OnceLock, time::Duration};

use stateroom_tests::{Child, Directory, Output, binary, counter};

/// A directory with the guest, and with the rooms.
#[derive(Debug)]
pub(crate) struct Place(Directory);

impl Place {
    pub(crate) fn new() -> Self {
        Self(Directory::new().with("counter.wasm", counter()))
    }

    fn arguments(&self) -> Vec<PathBuf> {
        let path = |name: &str| self.0.path().join(name);
        let mut arguments = vec!["serve".into(), path("counter.wasm"), "--data".into(), path("data")];
        arguments.extend(["--ip", "127.0.0.1", "--port", "0", "--resume", "600"].map(PathBuf::from));
        arguments
    }

    /// Starts a server.
    pub(crate) fn serve(&self) -> Child {
        Child::of(Command::new(program()).args(self.arguments()))
    }

    /// Starts a server of which strace changes system calls: those that name one of these files, if there are any.
    pub(crate) fn serve_with(&self, injected: &str, files: &[PathBuf]) -> Child {
        let mut strace = Command::new("strace");
        // The tracer is the grandchild. So what is started is the server.
        strace.args(["-D", "-f", "-q", "-o"]).arg(self.0.path().join("strace"));
        for file in files {
            strace.arg("-P").arg(file);
        }
        let calls = injected.split(':').next().unwrap_or_default();
        strace.args(["-e", &format!("inject={injected}"), "-e", &format!("trace={calls}")]);
        strace.arg(program()).args(self.arguments());
        Child::of(&mut strace)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| binary("stateroom"))
}

/// Waits until a server serves. Returns `None` if it ends before.
pub(crate) fn address(server: &Child) -> Option<SocketAddr> {
    let line = server.find_line(Output::Stderr, "serving on ").ok()?;
    line.parse().ok()
}

/// The time in which a server that is not disturbed has answered.
pub(crate) const SOON: Duration = Duration::from_secs(20);

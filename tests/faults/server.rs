use std::{net::SocketAddr, path::PathBuf, process::Command, sync::OnceLock, time::Duration};

use stateroom_tests::{Child, Directory, Output, binary};

/// A guest that counts messages. It tells each client its id, and everyone each new count, with the sender and the message.
const GUEST: &str = r#"(module
    (import "env" "send_binary" (func $send (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32)
        (i32.store (i32.const 8) (local.get 0))
        (call $send (local.get 0) (i32.const 8) (i32.const 4)))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "message") (param i32 i32 i32))
    (func (export "binary") (param i32 i32 i32)
        (i64.store (i32.const 16) (i64.add (i64.load (i32.const 16)) (i64.const 1)))
        (i32.store (i32.const 24) (local.get 0))
        (i64.store (i32.const 28) (i64.load (local.get 1)))
        (call $send (i32.const 0) (i32.const 16) (i32.const 20))))"#;

/// A directory with the guest, and with the rooms.
#[derive(Debug)]
pub(crate) struct Place(Directory);

impl Place {
    pub(crate) fn new() -> Self {
        let guest = wat::parse_str(GUEST).expect("a module");
        Self(Directory::new().with("counter.wasm", guest))
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

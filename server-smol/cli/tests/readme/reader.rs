use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    READERS,
    block::Block,
    console::CONSOLE,
    output::{is_like, printed},
    pages::root,
    serving::Serving,
    shell::SHELL,
};

/// A reader who has just cloned the repository and does what some documents say.
pub(crate) struct Reader {
    name: &'static str,
    /// The directory that has the checkout, under the name `stateroom`.
    home: PathBuf,
    /// The directory of the shell. A link is not resolved, as a shell does not resolve it.
    directory: PathBuf,
    port: u16,
    server: Option<Serving>,
    console: Vec<String>,
    /// The output of the last commands, which may still run.
    output: PathBuf,
    outputs: usize,
    /// A lock that keeps other processes out of `home`.
    _lock: File,
}

impl Reader {
    pub(crate) fn new(name: &'static str, number: usize) -> Self {
        // Always the same directory for the same build, so that what cargo has built for it serves again. It is not below this one: cargo
        // would take its packages for members of this workspace.
        let mut hasher = DefaultHasher::new();
        env!("CARGO_TARGET_TMPDIR").hash(&mut hasher);
        let home = env::temp_dir().join(format!("stateroom-{name}-{:x}", hasher.finish()));
        let lock = File::create(home.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        let directory = home.join("stateroom");
        symlink(root(), &directory).unwrap();

        // Below the ports that systems give to those who do not choose, and not those of other readers.
        let share = 10_000 / READERS.len();
        let first = number * share + std::process::id() as usize % share;
        let first = 20_000 + u16::try_from(first).unwrap();
        let port = (first..).find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).expect("a free port");
        let (console, output) = (Vec::new(), PathBuf::new());
        Self { name, home, directory, port, server: None, console, output, outputs: 0, _lock: lock }
    }

    pub(crate) fn follow(&mut self, block: &Block, next: Option<&Block>) {
        let text = self.with_port(&block.text);
        let (verb, path) = block.directive.split_once(' ').unwrap_or((&block.directive, ""));
        let path = self.directory.join(path);
        if !matches!(verb, "console" | "output") {
            assert_eq!(self.console, [""; 0], "{block}: the console's output comes first");
        }
        match verb {
            "run" => self.run(&text),
            "serve" => self.serve(&text),
            "kill" => assert!(self.server.take().is_some(), "{block}: nobody serves"),
            "console" => {
                self.console.push(text);
                let goes_on = next.is_some_and(|next| matches!(&*next.directive, "console" | "output"));
                assert!(goes_on, "{block}: what does this print?");
            }
            "output" => self.expect(block, &text),
            "file" => self.write(&path, &text),
            "shows" => {
                let content = fs::read_to_string(&path).unwrap();
                assert!(content.contains(&*text), "{block}: {} is\n{content}", path.display());
            }
            "prepend" => self.write(&path, &(text + "\n" + &fs::read_to_string(&path).unwrap())),
            "append" => self.write(&path, &(fs::read_to_string(&path).unwrap() + "\n" + &text)),
            "replace" => {
                let key = text.split('=').next().unwrap();
                let old = fs::read_to_string(&path).unwrap();
                let replaced = old.lines().filter(|line| line.split('=').next() == Some(key)).count();
                assert_eq!(replaced, 1, "{block}: `{key}` in {}", path.display());
                let new = old.lines().map(|line| match line.split('=').next() == Some(key) {
                    true => text.trim_end(),
                    false => line,
                });
                self.write(&path, &new.map(|line| format!("{line}\n")).collect::<String>());
            }
            "config" => self.configure(&text),
            "illustration" => {}
            unknown => panic!("{block}: `{unknown}` is no directive"),
        }
    }

    fn with_port(&self, text: &str) -> String {
        text.replace("8080", &self.port.to_string())
    }

    fn write(&mut self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(
            path.starts_with(&self.home) && !path.starts_with(self.home.join("stateroom")),
            "{} is not the reader's to write",
            path.display()
        );
        // The checkout is a link here, and cargo would take it for another place than the one that `stateroom new` writes.
        let text = text.replace("\"../stateroom/", &format!("\"{}/", root().display()));
        fs::write(path, text).unwrap();
        // What serves sees that, and says so.
        if let Some(serving) = &self.server {
            self.output.clone_from(&serving.output);
        }
        if path.ends_with("Cargo.toml") {
            // The versions of the workspace, which are known to be there.
            let lock = fs::read(root().join("Cargo.lock")).unwrap_or_default();
            fs::write(path.with_file_name("Cargo.lock"), lock).unwrap();
        }
    }

    /// Runs commands to their end.
    fn run(&mut self, commands: &str) {
        // What is not for the server comes when the server has been stopped.
        if !["curl ", "node ", "stateroom rooms "].iter().any(|command| commands.starts_with(command)) {
            self.stop();
        }
        let place = self.home.join("directory");
        let script = format!("exec=\n{SHELL}\n{commands}\npwd > '{}'", place.display());
        let status = self.shell(&script).status().unwrap();
        assert!(status.success(), "{commands}{status}\n{}", self.printed());
        self.directory = fs::read_to_string(place).unwrap().trim_end().into();
    }

    /// Starts a command that serves.
    fn serve(&mut self, command: &str) {
        self.stop();
        let child = self.shell(&format!("exec=exec\n{SHELL}\n{command}")).spawn().unwrap();
        let mut serving = Serving { child, output: self.output.clone() };
        let deadline = Instant::now() + Duration::from_secs(600);
        // It is another process, and not every one says when it is ready.
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = serving.child.try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(ended.is_none() && !late, "{command}does not serve: {ended:?}\n{}", self.printed());
            thread::sleep(Duration::from_millis(50));
        }
        self.server = Some(serving);
    }

    /// Ends the server, if one runs.
    fn stop(&mut self) {
        if let Some(serving) = self.server.take() {
            serving.stop();
        }
    }

    fn expect(&mut self, block: &Block, expected: &str) {
        let console = std::mem::take(&mut self.console);
        if !console.is_empty() {
            assert!(self.server.is_some(), "{block}: nobody serves");
            let mut node = self.node();
            node.args(["-e", CONSOLE, "--"]).args(console).env("EXPECTED", expected.trim_end());
            let status = node.status().unwrap();
            assert!(status.success(), "{block}: the console says\n{}", self.printed());
        }
        // A server that builds its guest again takes a while.
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let printed = self.printed();
            let mut lines = printed.lines();
            let missing = expected.lines().find(|line| !lines.any(|actual| is_like(line, actual)));
            let Some(missing) = missing else {
                return;
            };
            // What serves may print something after it has begun to.
            let may_come = self.server.is_some() && Instant::now() < deadline;
            assert!(may_come, "{block}: `{missing}` does not come, but\n{printed}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Builds the package that a `stateroom.toml` names, with it.
    fn configure(&mut self, text: &str) {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")).unwrap();
            line.trim_end_matches('"').to_owned()
        };
        self.directory = self.home.join(value("package"));
        self.write(&self.directory.join("stateroom.toml"), text);
        let files = self.directory.join(value("static_files"));
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("index.html"), "<p>hello").unwrap();
        self.run("stateroom build");
        assert!(self.directory.join("dist/static/index.html").exists());
    }

    fn shell(&mut self, script: &str) -> Command {
        let mut shell = self.command("bash");
        shell
            .args(["-c", script])
            // Without it the shell would resolve the link.
            .env("PWD", &self.directory)
            .env("STATEROOM", env!("CARGO_BIN_EXE_stateroom"))
            .env("PORT", self.port.to_string())
            .env("CARGO", env!("CARGO"))
            // Not where the other guests are: cargo gives the modules of packages with the same name the same name, too.
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("readers").join(self.name))
            .env_remove("RUST_LOG")
            .env_remove("RUSTFLAGS");
        shell
    }

    fn node(&mut self) -> Command {
        let version = Command::new("node").arg("--version").output().map(|output| output.stdout);
        let Ok(version) = version else {
            panic!(
                "Node.js runs the documents' JavaScript, and there is no `node`: install version 20.10 or newer"
            );
        };
        let version = String::from_utf8(version).unwrap();
        let major =
            version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        let mut node = self.command("node");
        match major {
            Some(22..) => {}
            Some(20 | 21) => drop(node.arg("--experimental-websocket")),
            _ => panic!("Node.js runs the documents' JavaScript, and {version} is older than 20.10"),
        }
        node
    }

    /// Returns a program whose output [`printed`](Self::printed) is.
    fn command(&mut self, name: &str) -> Command {
        self.outputs += 1;
        self.output = self.home.join(format!("output-{}", self.outputs));
        let output = File::create(&self.output).unwrap();
        let mut command = Command::new(name);
        command.current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        command
    }

    fn printed(&self) -> String {
        printed(&self.output)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

//! Keeps the README true: what it says to type is typed, in its order, and what it says comes out has to come out.
//!
//! Each of its blocks has a comment in the line before, which does not show: `<!-- test: … -->` with one of
//!
//! | directive | the block is |
//! | --- | --- |
//! | `run` | commands for a shell, which succeed |
//! | `serve` | a command that serves on port 8080, until the next command |
//! | `console` | lines for a browser's console; several blocks go into one console |
//! | `output` | what the last commands or the console print: these lines, in this order, others in between |
//! | `file PATH` | a file |
//! | `prepend PATH` | what a file then begins with |
//! | `append PATH` | what a file then ends with |
//! | `replace PATH` | a line for the one of a file that sets the same key |
//! | `config` | a `stateroom.toml` that the package of the name in it builds with |
//! | `illustration` | not tested |
//!
//! Sizes that come out may differ by a fifth, as they change with the compiler. Otherwise the README is taken at its word, but for what
//! [`SHELL`] changes.
#![cfg(all(unix, feature = "dev"))]

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The differences from an author's shell. The `stateroom` command is the one under test, on a port of its own. Cargo
/// does not optimise what is known to work without. `$exec` is `exec` if a command is going to be stopped.
const SHELL: &str = r#"
set -e
stateroom() {
  case "$1" in
    dev | serve) $exec "$STATEROOM" "$@" --port "$PORT" ;;
    *) "$STATEROOM" "$@" ;;
  esac
}
cargo() {
  case "$*" in
    "run --release -- "*) shift 3; stateroom "$@" ;;
    "install --locked --path "*) grep -qx 'name = "stateroom"' "$4/Cargo.toml" ;;
    "build --release "*) shift 2; "$CARGO" check "$@" ;;
    "build --profile small "*) shift 3; "$CARGO" check "$@" ;;
    "test --workspace") ;; # That is how this test is run.
    test | "test --test module") "$CARGO" "$@" ;;
    run) $exec "$CARGO" run --config 'profile.dev.debug="line-tables-only"' ;;
    *) echo "this is unknown to the test: cargo $*"; return 1 ;;
  esac
}
rustup() {
  # For machines without a network. A check does not need the target's linker, but it needs its library.
  test "$1 $2" = "target add" && { test -d "$(rustc --print=target-libdir --target "$3")" || command rustup "$@"; }
}
curl() { command curl --silent --show-error --fail "$@"; }
"#;

/// A browser's console: runs each argument as a script, and waits for the WebSocket in between, as a person would. Ends when the lines in
/// `EXPECTED` have been printed.
const CONSOLE: &str = r#"
const vm = require('node:vm');
let missing = process.env.EXPECTED.split('\n');
const log = console.log;
console.log = (line) => {
  log(line);
  if (line === missing[0]) missing.shift();
  if (missing.length === 0) process.exit(0);
};
globalThis.console = console;
const late = () => { log(`this is still missing: ${missing[0]}`); process.exit(1); };
setTimeout(late, 20_000);
(async () => {
  for (const script of process.argv.slice(1)) {
    vm.runInThisContext(script);
    const ws = vm.runInThisContext('ws');
    if (ws.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve) => ws.addEventListener('open', resolve));
    }
  }
})();
"#;

#[test]
fn what_the_readme_says_is_so() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme).unwrap_or_else(|(line, problem)| panic!("README.md:{line}: {problem}"));
    let mut reader = Reader::new();
    for (index, block) in blocks.iter().enumerate() {
        let next = blocks.get(index + 1);
        println!("README.md:{}: {}", block.line, block.directive);
        reader.follow(block, next);
    }
}

#[test]
fn links_lead_somewhere() {
    let examples = ["c", "zig", "assemblyscript", "wat"]
        .map(|language| format!("examples/counter-{language}/README.md"));
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "docs/abi.md",
        "client/README.md",
        "docs/comparison.md",
        "docs/costs.md",
        "docs/guide/client-library.md",
        "docs/scale.md",
        "examples/README.md",
    ]
    .map(str::to_owned);
    for name in others.iter().chain(&examples).chain(&decisions()) {
        let path = root().join(name);
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1) {
                let link = link.split(')').next().unwrap_or_default();
                let own_heading = |anchor: &str| {
                    // As GitHub makes them: lower case, without punctuation, with hyphens for blanks.
                    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
                    let anchors = text.lines().filter_map(|line| line.strip_prefix('#')).map(|heading| {
                        let heading = heading.trim_start_matches('#').trim().to_lowercase();
                        heading.chars().filter(kept).collect::<String>().replace(' ', "-")
                    });
                    anchors.into_iter().any(|heading| heading == anchor)
                };
                let known = match link.strip_prefix('#') {
                    Some(anchor) => own_heading(anchor),
                    None => link.starts_with("https://") || path.with_file_name(link).exists(),
                };
                assert!(known, "{name}:{}: there is no `{link}`", index + 1);
            }
        }
    }
}

#[test]
fn the_files_that_decisions_name_are_there() {
    for name in decisions() {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        // What stands between backticks, and has a slash but not at the beginning.
        let paths = text.split('`').skip(1).step_by(2).filter(|code| code.find('/').is_some_and(|at| at > 0));
        for path in paths {
            assert!(root().join(path).exists(), "{name}: there is no `{path}`");
        }
    }
}

/// Returns the files of decisions, from the root on.
fn decisions() -> Vec<String> {
    let files = fs::read_dir(root().join("docs/decisions")).unwrap();
    let names: Vec<_> =
        files.map(|entry| format!("docs/decisions/{}", entry.unwrap().file_name().display())).collect();
    assert!(names.len() > 40, "only {} decisions are found", names.len());
    names
}

#[test]
fn no_block_goes_unnoticed() {
    assert_eq!(blocks("a\n\n<!-- test: run -->\n```sh\nls\n```\n\nb\n").unwrap().len(), 1);
    for unmarked in [
        "a\n\n```sh\nls\n```\n",
        "<!-- test: run -->\n\n```sh\nls\n```\n",
        "<!-- test: run -->\n```sh\nls\n",
        "- a\n  ```sh\n  ls\n  ```\n",
        "~~~sh\nls\n~~~\n",
        "a\n\n    ls\n",
        "<pre>ls</pre>\n",
        "<!-- test: run -->\na\n",
    ] {
        assert!(blocks(unmarked).is_err(), "{unmarked}");
    }
}

#[test]
fn sizes_may_differ_and_results_may_not() {
    assert!(is_like("built x: 3389 bytes", "built x: 3400 bytes"));
    assert!(is_like("16096 bytes (16 KiB)", "14900 bytes (15 KiB)"));
    assert!(is_like("port 8080", "port 8080"));
    for (expected, actual) in [
        ("built x: 3389 bytes", "built x: 4400 bytes"),
        ("built x: 3389 bytes", "built y: 3389 bytes"),
        ("built x: 3389 bytes", "built x: 3389 bytes more"),
        ("port 8080", "port 8081"),
        ("new value: 1", "new value: 2"),
        ("new value: 1", "new value: 12"),
    ] {
        assert!(!is_like(expected, actual), "{expected} / {actual}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// What there is to read

#[derive(Debug)]
struct Block {
    /// The line at which it begins.
    line: usize,
    directive: String,
    text: String,
}

/// Returns all blocks of a text, or the line that is not as it should be.
fn blocks(text: &str) -> Result<Vec<Block>, (usize, &'static str)> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    let mut directive = None;
    while let Some((line, content)) = lines.next() {
        if !content.starts_with("```") {
            if directive.is_some() {
                return Err((line, "a directive is in the line before its block"));
            }
            let block = ["```", "~~~", "<pre"].iter().any(|sign| content.trim_start().starts_with(sign));
            if block || content.starts_with("    ") || content.starts_with('\t') {
                return Err((line, "a block begins with three backticks at the beginning of a line"));
            }
            directive = content.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
            continue;
        }
        let Some(directive) = directive.take() else {
            return Err((
                line,
                "nobody knows what this block is: write `<!-- test: … -->` in the line before",
            ));
        };
        let mut text = String::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, content)) => text = text + content + "\n",
                None => return Err((line, "this block does not end")),
            }
        }
        blocks.push(Block { line, directive: directive.to_owned(), text });
    }
    Ok(blocks)
}

/// Returns whether two lines are the same but for sizes, and those about the same.
fn is_like(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (pieces(expected), pieces(actual));
    expected.len() == actual.len()
        && (0..expected.len()).all(|index| {
            let unit = expected.get(index + 1).unwrap_or(&"");
            let is_size = unit.starts_with(" bytes") || unit.starts_with(" KiB");
            match (expected[index].parse::<u64>(), actual[index].parse::<u64>()) {
                (Ok(a), Ok(b)) if is_size => a.abs_diff(b) <= a / 5,
                _ => expected[index] == actual[index],
            }
        })
}

/// Returns the numbers of a line, and what is between them.
fn pieces(line: &str) -> Vec<&str> {
    line.trim_end().as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).map(utf8).collect()
}

fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text that is cut at ASCII digits alone stays text")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

// ---------------------------------------------------------------------------------------------------------------------------------
// The one who reads it

/// A reader who has just cloned the repository and does what the README says.
struct Reader {
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

/// A command that runs until it is stopped.
struct Serving {
    child: Child,
    output: PathBuf,
}

impl Reader {
    fn new() -> Self {
        // Always the same directory for the same build, so that what cargo has built for it serves again. It is not below this one: cargo
        // would take its packages for members of this workspace.
        let mut hasher = DefaultHasher::new();
        env!("CARGO_TARGET_TMPDIR").hash(&mut hasher);
        let home = env::temp_dir().join(format!("stateroom-readme-{:x}", hasher.finish()));
        let lock = File::create(home.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        let directory = home.join("stateroom");
        symlink(root(), &directory).unwrap();

        // Below the ports that systems give to those who do not choose.
        let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
        let port = (first..).find(|port| TcpListener::bind(("0.0.0.0", *port)).is_ok()).expect("a free port");
        let (console, output) = (Vec::new(), PathBuf::new());
        Self { home, directory, port, server: None, console, output, outputs: 0, _lock: lock }
    }

    fn follow(&mut self, block: &Block, next: Option<&Block>) {
        let text = self.with_port(&block.text);
        let (verb, path) = block.directive.split_once(' ').unwrap_or((&block.directive, ""));
        let path = self.directory.join(path);
        if !matches!(verb, "console" | "output") {
            assert_eq!(self.console, [""; 0], "README.md:{}: the console's output comes first", block.line);
        }
        match verb {
            "run" => self.run(&text),
            "serve" => self.serve(&text),
            "console" => {
                self.console.push(text);
                let goes_on = next.is_some_and(|next| matches!(&*next.directive, "console" | "output"));
                assert!(goes_on, "README.md:{}: what does this print?", block.line);
            }
            "output" => self.expect(block, &text),
            "file" => self.write(&path, &text),
            "prepend" => self.write(&path, &(text + "\n" + &fs::read_to_string(&path).unwrap())),
            "append" => self.write(&path, &(fs::read_to_string(&path).unwrap() + "\n" + &text)),
            "replace" => {
                let key = text.split('=').next().unwrap();
                let old = fs::read_to_string(&path).unwrap();
                let replaced = old.lines().filter(|line| line.split('=').next() == Some(key)).count();
                assert_eq!(replaced, 1, "README.md:{}: `{key}` in {}", block.line, path.display());
                let new = old.lines().map(|line| match line.split('=').next() == Some(key) {
                    true => text.trim_end(),
                    false => line,
                });
                self.write(&path, &new.map(|line| format!("{line}\n")).collect::<String>());
            }
            "config" => self.configure(&text),
            "illustration" => {}
            unknown => panic!("README.md:{}: `{unknown}` is no directive", block.line),
        }
    }

    fn with_port(&self, text: &str) -> String {
        text.replace("8080", &self.port.to_string())
    }

    fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(
            path.starts_with(&self.home) && !path.starts_with(self.home.join("stateroom")),
            "{} is not the reader's to write",
            path.display()
        );
        fs::write(path, text).unwrap();
        if path.ends_with("Cargo.toml") {
            // The versions of the workspace, which are known to be there.
            let lock = fs::read(root().join("Cargo.lock")).unwrap_or_default();
            fs::write(path.with_file_name("Cargo.lock"), lock).unwrap();
        }
    }

    /// Runs commands to their end.
    fn run(&mut self, commands: &str) {
        // What is not a request to the server comes when the server has been stopped.
        if !commands.starts_with("curl ") {
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
            assert!(self.server.is_some(), "README.md:{}: nobody serves", block.line);
            let mut node = self.node();
            node.args(["-e", CONSOLE, "--"]).args(console).env("EXPECTED", expected.trim_end());
            let status = node.status().unwrap();
            assert!(status.success(), "README.md:{}: the console says\n{}", block.line, self.printed());
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let printed = self.printed();
            let mut lines = printed.lines();
            let missing = expected.lines().find(|line| !lines.any(|actual| is_like(line, actual)));
            let Some(missing) = missing else {
                return;
            };
            // What serves may print something after it has begun to.
            let may_come = self.server.is_some() && Instant::now() < deadline;
            assert!(may_come, "README.md:{}: `{missing}` does not come, but\n{printed}", block.line);
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
        fs::create_dir(&files).unwrap();
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
            .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme"))
            .env_remove("RUST_LOG")
            .env_remove("RUSTFLAGS");
        shell
    }

    fn node(&mut self) -> Command {
        let version = Command::new("node").arg("--version").output().map(|output| output.stdout);
        let Ok(version) = version else {
            panic!(
                "Node.js runs the README's JavaScript, and there is no `node`: install version 20.10 or newer"
            );
        };
        let version = String::from_utf8(version).unwrap();
        let major =
            version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        let mut node = self.command("node");
        match major {
            Some(22..) => {}
            Some(20 | 21) => drop(node.arg("--experimental-websocket")),
            _ => panic!("Node.js runs the README's JavaScript, and {version} is older than 20.10"),
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

fn printed(output: &Path) -> String {
    String::from_utf8_lossy(&fs::read(output).unwrap()).into_owned()
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.home);
    }
}

impl Serving {
    /// Ends it as systemd does.
    fn stop(mut self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the server ends with {status}\n{}", printed(&self.output));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

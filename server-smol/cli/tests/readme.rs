//! Keeps the README and the guides true: what they say to type is typed, in their order, and what they say comes out has to come out.
//!
//! Each of their blocks has a comment in the line before, which does not show: `<!-- test: … -->` with one of
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
//! Sizes that come out may differ by a fifth, as they change with the compiler. Otherwise the documents are taken at their word, but for what
//! [`SHELL`] changes.
#![cfg(all(unix, feature = "dev"))]

use std::{
    env, fmt,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    net::{TcpListener, TcpStream},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

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
    test | "test --test module") "$CARGO" "$@" ;;
    run) $exec "$CARGO" run --config 'profile.dev.debug="line-tables-only"' ;;
    *) echo "this is unknown to the test: cargo $*"; return 1 ;;
  esac
}
./test() { :; } # That is how this test is run.
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

/// The documents that somebody reads one after the other, from the checkout on. Each list is independent of the others.
const READERS: [(&str, &[&str]); 3] = [
    (
        "counter",
        &[
            "README.md",
            "docs/guide/tutorial.md",
            "docs/guide/testing.md",
            "docs/guide/deploy.md",
            "docs/guide/native-services.md",
            "docs/guide/embedding.md",
            "docs/reference/configuration.md",
        ],
    ),
    ("auction", &["docs/guide/typed-messages.md"]),
    ("languages", &["docs/guide/other-languages.md"]),
];

#[test]
fn what_the_readme_and_the_tutorial_say_is_so() {
    read(0);
}

#[test]
fn what_is_said_about_typed_messages_is_so() {
    read(1);
}

#[test]
fn what_is_said_about_other_languages_is_so() {
    read(2);
}

/// Follows the documents of one of the [`READERS`].
fn read(number: usize) {
    let (name, documents) = READERS[number];
    let blocks: Vec<_> = documents.iter().flat_map(|document| blocks_of(document)).collect();
    let mut reader = Reader::new(name, number);
    for (index, block) in blocks.iter().enumerate() {
        println!("{block}");
        reader.follow(block, blocks.get(index + 1));
    }
}

/// Returns all blocks of a document.
fn blocks_of(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = blocks(&text).unwrap_or_else(|(line, problem)| panic!("{document}:{line}: {problem}"));
    blocks.iter_mut().for_each(|block| document.clone_into(&mut block.document));
    blocks
}

#[test]
fn each_guide_is_followed_or_has_nothing_to_type() {
    let followed: Vec<_> = READERS.iter().flat_map(|(_, documents)| *documents).collect();
    let pages = pages("docs/guide").into_iter().chain(pages("docs/reference"));
    for page in pages.filter(|page| page != "docs/reference/abi.md" && !followed.contains(&&page.as_str())) {
        for block in blocks_of(&page) {
            assert_eq!(
                block.directive, "illustration",
                "{block}: nobody follows this page: add it to `READERS`"
            );
        }
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
        "CONTRIBUTING.md",
        "client/README.md",
        "examples/README.md",
    ]
    .map(str::to_owned);
    for name in others.into_iter().chain(examples).chain(pages("docs")) {
        let path = root().join(&name);
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1) {
                let link = link.split(')').next().unwrap_or_default();
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
                let known = link.starts_with("https://")
                    || target.exists() && (anchor.is_empty() || has_heading(&target, anchor));
                assert!(known, "{name}:{}: there is no `{link}`", index + 1);
            }
        }
    }
}

/// Returns whether a document has a heading that a link can lead to by this name.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    // As GitHub makes them: lower case, without punctuation, with hyphens for blanks.
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    text.lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        heading.chars().filter(kept).collect::<String>().replace(' ', "-") == anchor
    })
}

#[test]
fn all_pages_are_in_the_table_of_contents() {
    let contents = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages("docs") {
        let link = format!("]({})", page.trim_start_matches("docs/"));
        let is_listed = contents.contains(&link) || page.contains("/decisions/") || page == "docs/README.md";
        assert!(is_listed, "docs/README.md does not list {page}");
    }
}

/// Returns the documents in a directory and those below it, from the root on.
fn pages(directory: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let name = format!("{directory}/{}", entry.unwrap().file_name().display());
        if root().join(&name).is_dir() {
            pages.extend(self::pages(&name));
        } else if name.ends_with(".md") {
            pages.push(name);
        }
    }
    pages.sort();
    pages
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
    let names = pages("docs/decisions");
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

#[derive(Debug, Default)]
struct Block {
    document: String,
    /// The line at which it begins.
    line: usize,
    directive: String,
    text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.document, self.line, self.directive)
    }
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
        blocks.push(Block { line, directive: directive.to_owned(), text, ..Block::default() });
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

/// A reader who has just cloned the repository and does what some documents say.
struct Reader {
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

/// A command that runs until it is stopped.
struct Serving {
    child: Child,
    output: PathBuf,
}

impl Reader {
    fn new(name: &'static str, number: usize) -> Self {
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

    fn follow(&mut self, block: &Block, next: Option<&Block>) {
        let text = self.with_port(&block.text);
        let (verb, path) = block.directive.split_once(' ').unwrap_or((&block.directive, ""));
        let path = self.directory.join(path);
        if !matches!(verb, "console" | "output") {
            assert_eq!(self.console, [""; 0], "{block}: the console's output comes first");
        }
        match verb {
            "run" => self.run(&text),
            "serve" => self.serve(&text),
            "console" => {
                self.console.push(text);
                let goes_on = next.is_some_and(|next| matches!(&*next.directive, "console" | "output"));
                assert!(goes_on, "{block}: what does this print?");
            }
            "output" => self.expect(block, &text),
            "file" => self.write(&path, &text),
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
            assert!(self.server.is_some(), "{block}: nobody serves");
            let mut node = self.node();
            node.args(["-e", CONSOLE, "--"]).args(console).env("EXPECTED", expected.trim_end());
            let status = node.status().unwrap();
            assert!(status.success(), "{block}: the console says\n{}", self.printed());
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
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
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

//! The `stateroom` command, run as people run it.
#![cfg(feature = "dev")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

// ---------------------------------------------------------------------------------------------------------------------------------
// Running it

fn stateroom(directory: &Directory, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stateroom"));
    command
        .args(arguments)
        .current_dir(&directory.0)
        .env("CARGO", env!("CARGO"))
        // All guests share their dependencies' builds.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"))
        // What would put a backtrace into an error, or change what is logged and built.
        .env("RUST_BACKTRACE", "1")
        .env_remove("RUST_LOG")
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null());
    command
}

/// Runs to the end; returns the exit status, and stdout and stderr together.
fn run(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked") && !text.contains("stack backtrace"), "{text}");
    (output.status.code().unwrap(), text)
}

fn succeeds(command: Command) -> String {
    let (status, text) = run(command);
    assert_eq!(status, 0, "{text}");
    text
}

/// Expects an error message and status 1 that has all of `parts` in it.
#[track_caller]
fn fails(command: Command, parts: &[&str]) {
    let (status, text) = run(command);
    assert_eq!(status, 1, "{text}");
    // The compiler's errors come before ours.
    let (before, message) = text.rsplit_once("error: ").expect("an error");
    assert!(before.is_empty() || before.ends_with('\n'), "{text}");
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[track_caller]
fn refuses(directory: &Directory, arguments: &[&str], parts: &[&str]) {
    let (status, text) = run(stateroom(directory, arguments));
    assert_eq!(status, 2, "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// A server that runs until it is dropped.
struct Serving {
    child: Child,
    address: SocketAddr,
    log: mpsc::Receiver<String>,
}

impl Serving {
    #[track_caller]
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::channel();
        // Reads on for as long as the server runs, so that it never waits for us.
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        server.await_address();
        server
    }

    /// Waits until the log says where the server is.
    #[track_caller]
    fn await_address(&mut self) {
        let line = self.await_line("serving on ");
        let address: SocketAddr = line.split_once("serving on ").unwrap().1.parse().unwrap();
        self.address.set_port(address.port());
    }

    /// Waits for a line of the log with `part` in it.
    #[track_caller]
    fn await_line(&mut self, part: &str) -> String {
        let mut seen = String::new();
        while let Ok(line) = self.log.recv_timeout(Duration::from_secs(120)) {
            if line.contains(part) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
        panic!("it does not say `{part}`: {seen}");
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Things to run it on

/// A temporary directory.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cli-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// The name of the package in this directory. Tests that run at the same time must not build the same one.
    fn name(&self) -> &str {
        self.0.file_name().unwrap().to_str().unwrap()
    }

    /// A package whose dependency on the SDK has `features`.
    fn with_guest(self, features: &str, source: &str) -> Self {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk-core");
        // The lock file of the workspace spares the guests a look at the registry.
        let lock = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock")).unwrap_or_default();
        let name = self.name().to_owned();
        self.with("Cargo.lock", lock).with("src/lib.rs", source).with(
            "Cargo.toml",
            format!(
                "[package]\nname = \"{name}\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
                 stateroom-sdk-core = {{ path = '{}', default-features = false, features = [{features}] }}\n",
                sdk.display()
            ),
        )
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ECHO: &str = "#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, message);
    }
}
";

const HEAP: &str = "#![no_std]
extern crate alloc;
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Last(alloc::string::String);

impl StateroomService for Last {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, self.0.as_str());
        self.0 = message.text().unwrap_or_default().into();
    }
}
";

const STD: &str = "use std::collections::HashMap;
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Counts(HashMap<String, u32>);

impl StateroomService for Counts {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let count = self.0.entry(message.text().unwrap_or_default().to_owned()).or_default();
        *count += 1;
        ctx.send_message(client, format!(\"{count}\"));
    }
}
";

const QUIET: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "connect") (param i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  (func (export "message") (param i32 i32 i32))
  (func (export "binary") (param i32 i32 i32)))
"#;

/// The memory that a module declares: its size at the start and the size of its pages, both in bytes.
fn memory(module: &Path) -> (u64, u64) {
    fn number(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    const MEMORIES: u64 = 5;

    let bytes = fs::read(module).unwrap();
    let mut rest = bytes.strip_prefix(b"\0asm\x01\0\0\0").expect("a module");
    while !rest.is_empty() {
        let (section, length) = (number(&mut rest), number(&mut rest));
        let (mut content, after) = rest.split_at(length as usize);
        rest = after;
        if section == MEMORIES {
            assert_eq!(number(&mut content), 1);
            let flags = number(&mut content);
            let pages = number(&mut content);
            if flags & 1 != 0 {
                number(&mut content);
            }
            let page = if flags & 8 != 0 { 1 << number(&mut content) } else { 65536 };
            return (pages * page, page);
        }
    }
    panic!("no memory");
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Options

#[test]
fn help_and_version_are_printed() {
    let nowhere = Directory::new();
    let help = succeeds(stateroom(&nowhere, &["--help"]));
    for word in ["dev", "build", "serve", "Examples:"] {
        assert!(help.contains(word), "{help}");
    }
    for command in ["dev", "build", "serve"] {
        let help = succeeds(stateroom(&nowhere, &[command, "--help"]));
        let option = if command == "serve" { "--heartbeat-timeout <SECONDS>" } else { "--portable" };
        assert!(help.contains(option), "{help}");
    }
    let version = succeeds(stateroom(&nowhere, &["--version"]));
    assert_eq!(version.trim(), concat!("stateroom ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_options_are_status_2() {
    let nowhere = Directory::new();
    refuses(&nowhere, &[], &["Usage"]);
    refuses(&nowhere, &["sevre", "x.wasm"], &["sevre", "serve"]);
    refuses(&nowhere, &["serve"], &["MODULE"]);
    refuses(&nowhere, &["serve", "x.wasm", "--port", "70000"], &["70000", "--port"]);
    refuses(&nowhere, &["serve", "x.wasm", "--ip", "here"], &["here", "--ip"]);
    refuses(&nowhere, &["serve", "x.wasm", "--heartbeat-interval", "-1"], &["heartbeat-interval"]);
    refuses(
        &nowhere,
        &["serve", "x.wasm", "--heartbeat-timeout", "soon"],
        &["soon", "whole number of seconds"],
    );
    refuses(&nowhere, &["serve", "x.wasm", "--room-ids", "any"], &["any", "explicit"]);
    refuses(&nowhere, &["serve", "x.wasm", "--shutdown", "after:x"], &["after:x", "after:60"]);
    refuses(&nowhere, &["serve", "x.wasm", "--threads", "0"], &["--threads", "1..=256"]);
    refuses(&nowhere, &["build", "-q", "-v"], &["--quiet"]);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// serve

#[test]
fn what_cannot_be_served_is_told() {
    let here = Directory::new()
        .with("notes.txt", "")
        .with("empty/.keep", "")
        .with("package/Cargo.toml", "")
        .with("built/dist/server.wasm", "")
        .with("false.wasm", "(module)")
        .with("lone.wat", "(module)")
        .with("torn.wat", "(module\n  (memory 1)\n  (func $f (param i32 i33))\n)")
        .with("latin.wat", b"(module\n (; \xe9 ;))");
    let serve = |path| stateroom(&here, &["serve", path, "--port", "0"]);
    fails(serve("gone.wasm"), &["`gone.wasm`", "there is no", ".wat", "stateroom build"]);
    fails(serve("gone"), &["`gone`", "there is no"]);
    fails(serve("notes.txt"), &["`notes.txt`", "`.wasm`", "`.wat`"]);
    fails(serve("notes.txt/x.wasm"), &["cannot read `notes.txt/x.wasm`"]);
    fails(serve("empty"), &["no `server.wasm` in `empty`", "stateroom build"]);
    fails(serve("package"), &["no `server.wasm` in `package`", "stateroom dev package"]);
    fails(serve("built"), &["serve `built/dist`"]);
    fails(serve("false.wasm"), &["cannot run `false.wasm`: "]);
    fails(serve("lone.wat"), &["cannot run `lone.wat`: "]);
    fails(serve("torn.wat"), &["torn.wat:3:23", "(func $f (param i32 i33))"]);
    fails(serve("latin.wat"), &["`latin.wat`", "line 2, column 5", "UTF-8"]);
}

#[cfg(unix)]
#[test]
fn unreadable_module_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let here = Directory::new().with("secret.wasm", "");
    fs::set_permissions(here.path("secret.wasm"), PermissionsExt::from_mode(0o000)).unwrap();
    if fs::read(here.path("secret.wasm")).is_ok() {
        return; // Nothing is unreadable to root.
    }
    fails(stateroom(&here, &["serve", "secret.wasm"]), &["cannot read `secret.wasm`", "ermission denied"]);
}

#[test]
fn port_in_use_is_told() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let serve = stateroom(&here, &["serve", "quiet.wat", "--ip", "127.0.0.1", "--port", &port]);
    fails(serve, &["127.0.0.1", &port, "in use", "`--port`"]);
}

#[test]
fn text_module_is_served() {
    let here = Directory::new().with("QUIET.WAT", QUIET);
    let server = Serving::start(stateroom(&here, &["serve", "QUIET.WAT", "--port", "0"]));
    assert!(server.get("/status").starts_with("HTTP/1.1 200"));
}

#[test]
fn heartbeat_shorter_than_its_interval_is_warned_of() {
    let here = Directory::new();
    let (_, text) = run(stateroom(&here, &["serve", "gone.wasm", "-i", "30", "-t", "10"]));
    assert!(!text.contains("WARN"), "the first mistake is enough: {text}");
    let here = here.with("quiet.wat", QUIET);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let serve = ["serve", "quiet.wat", "-p", &port, "--ip", "127.0.0.1", "-i", "30", "-t", "10"];
    let (_, text) = run(stateroom(&here, &serve));
    assert!(text.contains("WARN  clients that only listen are disconnected after 10 s"), "{text}");
}

// ---------------------------------------------------------------------------------------------------------------------------------
// stateroom.toml and Cargo.toml

#[test]
fn what_is_no_package_is_told() {
    let here = Directory::new().with("file", "").with("empty/.keep", "");
    for command in ["dev", "build"] {
        fails(stateroom(&here, &[command, "gone"]), &["no directory `gone`", "Cargo.toml"]);
        fails(stateroom(&here, &[command, "file"]), &["`file` is a file", "stateroom serve"]);
        fails(stateroom(&here, &[command, "empty"]), &["no `Cargo.toml` in `empty`"]);
    }
    fails(stateroom(&here, &["dev", "9000"]), &["`--port 9000`"]);
    let here = here.with("Cargo.toml", "[package]\nname = 5\n");
    fails(stateroom(&here, &["build"]), &["cargo failed: ", "name = 5"]);
}

#[test]
fn mistakes_in_stateroom_toml_are_told() {
    let told = |toml: &str, parts: &[&str]| {
        let here = Directory::new().with_guest("", ECHO).with("stateroom.toml", toml);
        for command in ["dev", "build"] {
            fails(stateroom(&here, &[command]), parts);
        }
        assert!(!here.path("dist").exists());
    };
    told("\n[service\n", &["stateroom.toml", "line 2"]);
    told(
        "\nstatic = 'web'",
        &["stateroom.toml:2: ", "unknown key `static`", "`static_files`", "`[service]`"],
    );
    told(
        "[service]\ncrate = 'web'",
        &["stateroom.toml:2: ", "`crate`", "`package`", "`target`", "`stack_size`"],
    );
    told("static_files = 'gone'", &["stateroom.toml:1: ", "gone`, which does not exist"]);
    told(
        "[service]\ntarget = 'wasm32-wasi'",
        &["stateroom.toml:2: ", "\"wasm32-unknown-unknown\" or \"wasm32-wasip1\"", "wasm32-wasi\""],
    );
    told(
        "service_id = 'x'\n[client]\npackage = 'web'",
        &["toml:1: `service_id` is not supported", "toml:2: `[client]` is not supported", "static_files"],
    );
    told("[service]\npackage = 'other'", &["stateroom.toml", "`other`", "it has `cli-"]);
}

#[test]
fn package_without_library_is_told() {
    let here = Directory::new()
        .with("Cargo.toml", "[package]\nname = \"tool\"\n[workspace]\n")
        .with("src/main.rs", "fn main() {}");
    fails(stateroom(&here, &["build"]), &["`tool` has no library", "src/lib.rs"]);
}

#[test]
fn workspace_without_package_needs_one_named() {
    let here = Directory::new()
        .with("Cargo.toml", "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n")
        .with("one/Cargo.toml", "[package]\nname = \"one\"\n")
        .with("one/src/lib.rs", "")
        .with("two/Cargo.toml", "[package]\nname = \"two\"\n")
        .with("two/src/lib.rs", "");
    fails(stateroom(&here, &["build"]), &["[service]", "package = ", "`one`, `two`"]);
    // It is found and built, and only then not a guest.
    let here = here.with("stateroom.toml", "service.package = 'two'");
    fails(stateroom(&here, &["build"]), &["cannot run `", "two.wasm`: "]);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// build

#[test]
fn memory_fits_what_the_guest_needs() {
    let build = |features: &str, source: &str, toml: &str, arguments: &[&str]| {
        let here = Directory::new().with_guest(features, source).with("stateroom.toml", toml);
        let said = succeeds(stateroom(&here, &[&["build"], arguments].concat()));
        let module = here.path("dist/server.wasm");
        let length = fs::metadata(&module).unwrap().len();
        assert!(said.contains("dist/server.wasm: ") && said.contains(&format!("{length} bytes")), "{said}");
        // Whatever is built can be served.
        Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));
        memory(&module)
    };
    let small = 3072..4096;
    let (size, page) = build("", ECHO, "", &[]);
    assert!(page == 1 && small.contains(&size), "{size} bytes in pages of {page}");
    assert_eq!(build("", ECHO, "", &["--portable"]), (65536, 65536));
    let (deep, page) = build("", ECHO, "service.stack_size = 16384", &[]);
    assert!(page == 1 && deep == size + 16384 - 3072, "{deep} bytes in pages of {page}");

    let (size, page) = build("'alloc'", HEAP, "", &[]);
    assert!(page == 1 && (8192..12288).contains(&size), "{size} bytes in pages of {page}");
    assert_eq!(build("'alloc'", HEAP, "", &["--portable"]), (65536, 65536));

    // The standard library's allocator does not know of other pages.
    assert_eq!(build("'std'", STD, "", &[]), (2 * 65536, 65536));
    assert_eq!(build("'std'", STD, "service.target = 'wasm32-wasip1'", &[]).1, 65536);
}

#[test]
fn dist_holds_the_module_and_a_copy_of_the_static_files() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "<p>one")
        .with("web/deep/er/x.js", "1");
    succeeds(stateroom(&here, &["build"]));
    assert_eq!(fs::read(here.path("dist/static/deep/er/x.js")).unwrap(), b"1");

    fs::remove_dir_all(here.path("web/deep")).unwrap();
    let here = here.with("web/index.html", "<p>two");
    succeeds(stateroom(&here, &["build"]));
    assert!(!here.path("dist/static/deep").exists());
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "dist", "src", "stateroom.toml", "web"]);

    let server = Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));
    assert!(server.get("/").contains("<p>two"));
}

#[test]
fn foreign_dist_is_left_alone() {
    let here = Directory::new().with_guest("", ECHO).with("dist/thesis.tex", "years of work");
    fails(stateroom(&here, &["build"]), &["dist` holds `thesis.tex`", "elsewhere"]);
    assert_eq!(fs::read(here.path("dist/thesis.tex")).unwrap(), b"years of work");

    let here = Directory::new().with_guest("", ECHO).with("dist", "a file");
    fails(stateroom(&here, &["build"]), &["dist` is not a directory"]);
}

#[test]
fn failed_build_leaves_the_old_dist() {
    let here = Directory::new()
        .with_guest("", "#![no_std]\nuse stateroom_sdk_core as _;\nfn oops(")
        .with("dist/server.wasm", "old");
    fails(stateroom(&here, &["build"]), &["` does not build; cargo says why above"]);
    assert_eq!(fs::read(here.path("dist/server.wasm")).unwrap(), b"old");
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "dist", "src"]);
}

#[test]
fn forgotten_no_std_is_explained() {
    let here = Directory::new().with_guest("", &ECHO.replace("#![no_std]", ""));
    fails(
        stateroom(&here, &["build"]),
        &["does not build", "src/lib.rs` with `#![no_std]`", "enable the feature"],
    );
}

#[test]
fn wasi_without_the_standard_library_is_refused() {
    let toml = "service.target = 'wasm32-wasip1'";
    let here = Directory::new().with_guest("'alloc'", HEAP).with("stateroom.toml", toml);
    fails(stateroom(&here, &["build"]), &["wasm32-wasip1 needs the feature `std`", "stateroom.toml"]);
}

#[test]
fn library_that_is_no_guest_is_told_at_build_time() {
    let here = Directory::new().with_guest("", "#![no_std]\nuse stateroom_sdk_core as _;");
    fails(
        stateroom(&here, &["build"]),
        &["cannot run `", ".wasm`: this module is not a Stateroom guest", "hint: put `#[stateroom_wasm]`"],
    );
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "src"]);
}

// ---------------------------------------------------------------------------------------------------------------------------------
// dev

#[test]
fn dev_builds_and_serves_again_when_a_file_changes() {
    let here =
        Directory::new().with_guest("", ECHO).with("old/index.html", "old").with("new/index.html", "new");
    let here = here.with("stateroom.toml", "static_files = 'old'");
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    assert!(server.get("/").ends_with("old"));

    // What does not build is told of, and what was there before is still served.
    fs::write(here.path("src/lib.rs"), "!").unwrap();
    server.await_line("the version before is still served");
    assert!(server.get("/").ends_with("old"));

    fs::write(here.path("stateroom.toml"), "static_files = 'new'").unwrap();
    server.await_line("the version before is still served");
    fs::write(here.path("src/lib.rs"), ECHO).unwrap();
    server.await_address();
    assert!(server.get("/").ends_with("new"));

    // What is missing is waited for.
    fs::write(here.path("stateroom.toml"), "static_files = 'newer'").unwrap();
    server.await_line("the version before is still served");
    fs::rename(here.path("new"), here.path("newer")).unwrap();
    server.await_address();
    assert!(server.get("/").ends_with("new"));
}

#[test]
fn dev_serves_static_files_from_their_source() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "<p>one");
    let server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    assert!(server.get("/").contains("<p>one"));
    let _here = here.with("web/index.html", "<p>two");
    assert!(server.get("/").contains("<p>two"));
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Other programs

#[cfg(unix)]
mod other_programs {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// `command` with a PATH of its own that has these scripts on it and nothing else.
    fn with_programs(here: &Directory, mut command: Command, programs: &[(&str, String)]) -> Command {
        let bin = here.path("bin");
        fs::create_dir_all(&bin).unwrap();
        for (name, script) in programs {
            let path = bin.join(name);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        command.env("PATH", bin);
        command
    }

    /// A compiler that looks for its targets in `libraries`.
    fn rustc(libraries: &Path) -> (&'static str, String) {
        let real = Path::new(env!("CARGO")).with_file_name("rustc");
        let script = format!(
            "if [ \"$1\" = --print=target-libdir ]; then echo '{}'; else exec '{}' \"$@\"; fi",
            libraries.display(),
            real.display()
        );
        ("rustc", script)
    }

    #[test]
    fn missing_target_is_added() {
        let here = Directory::new().with_guest("", ECHO);
        let libraries = here.path("libraries");
        let rustup = format!("echo \"$@\" >> said; /bin/mkdir '{}'", libraries.display());
        let build = stateroom(&here, &["build"]);
        let said = succeeds(with_programs(&here, build, &[rustc(&libraries), ("rustup", rustup)]));
        assert!(said.contains("rustup target add wasm32-unknown-unknown"), "{said}");
        assert_eq!(fs::read_to_string(here.path("said")).unwrap(), "target add wasm32-unknown-unknown\n");
    }

    #[test]
    fn target_that_cannot_be_added_is_told() {
        let here = Directory::new().with_guest("", ECHO);
        let missing = rustc(&here.path("libraries"));
        let build = with_programs(&here, stateroom(&here, &["build"]), std::slice::from_ref(&missing));
        fails(build, &["rustup.rs", "run `rustup target add wasm32-unknown-unknown`"]);

        let here = here.with("stateroom.toml", "service.target = 'wasm32-wasip1'");
        let rustup = ("rustup", "exit 1".to_owned());
        let build = with_programs(&here, stateroom(&here, &["build"]), &[missing, rustup]);
        fails(build, &["could not add it", "run `rustup target add wasm32-wasip1`"]);
    }

    #[test]
    fn missing_cargo_is_told() {
        let here = Directory::new().with_guest("", ECHO);
        let mut build = with_programs(&here, stateroom(&here, &["build"]), &[]);
        build.env_remove("CARGO");
        fails(build, &["cannot find `cargo`", "https://rustup.rs"]);
    }

    #[test]
    fn optimizer_is_used_where_it_helps_and_never_needed() {
        let here = Directory::new().with_guest("", ECHO);
        let build = |script: &str| {
            let path = env::var("PATH").unwrap();
            let mut build = stateroom(&here, &["build"]);
            build = with_programs(&here, build, &[("wasm-opt", script.to_owned())]);
            build.env("PATH", format!("{}:{path}", here.path("bin").display()));
            let said = succeeds(build);
            (said, fs::read(here.path("dist/server.wasm")).unwrap())
        };
        let find = "for argument; do case $argument in */in.wasm) in=$argument;; */out.wasm) out=$argument;; esac; done;";
        let (said, plain) = build("echo no such option >&2; exit 1");
        assert!(said.contains("WARN  the module stays") && said.contains("no such option"), "{said}");
        let (said, kept) = build(&format!("{find} echo nonsense > $out"));
        assert!(said.contains("WARN  the module stays") && kept == plain, "{said}");
        let (said, kept) = build(&format!("{find} cat $in > $out"));
        assert!(!said.contains("WARN") && kept == plain, "{said}");
    }

    #[test]
    fn server_ends_well_when_told_to() {
        let here = Directory::new().with("quiet.wat", QUIET);
        for signal in ["-TERM", "-INT"] {
            let mut server = Serving::start(stateroom(&here, &["serve", "quiet.wat", "--port", "0"]));
            let id = server.child.id().to_string();
            assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
            assert_eq!(server.child.wait().unwrap().code(), Some(0), "{signal}");
        }
    }
}

//! `stateroom serve`

use std::{fs, net::TcpListener, process::Command};

use crate::{
    directory::Directory,
    guests::QUIET,
    running::{Serving, fails, run, stateroom},
};

#[test]
fn what_cannot_be_served_is_told() {
    let here = Directory::new()
        .with("notes.txt", "")
        .with("empty/.keep", "")
        .with("package/Cargo.toml", "")
        .with("built/dist/server.wasm", "")
        .with("false.wasm", "no module")
        .with("lone.wat", "(module)")
        .with("torn.wat", "(module\n  (memory 1)\n  (func $f (param i32 i33))\n)")
        .with("latin.wat", b"(module\n (; \xe9 ;))")
        .with("text.wasm", ";; a room\n(module)");
    let serve = |path| stateroom(&here, &["serve", path, "--port", "0"]);
    fails(serve("gone.wasm"), &["`gone.wasm`", "there is no", ".wat", "stateroom build"]);
    fails(serve("gone"), &["`gone`", "there is no"]);
    fails(serve("notes.txt"), &["`notes.txt`", "`.wasm`", "`.wat`"]);
    fails(serve("notes.txt/x.wasm"), &["cannot read `notes.txt/x.wasm`"]);
    fails(serve("empty"), &["no `server.wasm` in `empty`", "stateroom build"]);
    fails(serve("package"), &["no `server.wasm` in `package`", "stateroom dev package"]);
    fails(serve("built"), &["give `built/dist`"]);
    fails(serve("false.wasm"), &["cannot run `false.wasm`: "]);
    fails(serve("text.wasm"), &["`text.wasm` is in the text format", "end in `.wat`"]);
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
fn options_that_contradict_one_another_are_told() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let serve =
        ["serve", "quiet.wat", "--port", "0", "--auth-url", "http://127.0.0.1:1/", "--auth-cookie", "token"];
    let serve = stateroom(&here, &[&serve[..], &["--allow-origin", "*"]].concat());
    fails(serve, &["`--auth-cookie` contradicts `--allow-origin`", "in place of `*`"]);
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
fn an_address_of_another_machine_is_told() {
    let here = Directory::new().with("quiet.wat", QUIET);
    // It is for documentation, and no machine has it.
    let (_, text) = run(stateroom(&here, &["serve", "quiet.wat", "--ip", "192.0.2.1"]));
    for part in ["192.0.2.1 is not an address of this machine", "`ip addr`", "`--ip 0.0.0.0`"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("--port"), "{text}");
}

#[test]
fn a_limit_that_the_module_exceeds_is_told_with_its_flag() {
    let here = Directory::new().with("quiet.wat", QUIET);
    for (flag, key) in [("--max-memory", "memory"), ("--max-module-size", "module_size")] {
        let mend = format!("raise `{flag}`, or `{key}` in `[limits]`");
        fails(stateroom(&here, &["serve", "quiet.wat", flag, "10"]), &["`quiet.wat`", "limit", &mend]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_memory_than_the_machine_has_is_warned_of() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let serve = |memory| {
        let limit = ["--max-total-memory", memory];
        // It ends after the warning.
        let serve = ["serve", "quiet.wat", "--ip", "192.0.2.1"];
        run(stateroom(&here, &[&serve[..], &limit].concat())).1
    };
    let text = serve("99999GiB");
    assert!(
        text.contains("WARN  `total_memory` is 99999GiB (`--max-total-memory`)") && text.contains("lower it"),
        "{text}"
    );
    let text = serve("8MiB");
    assert!(!text.contains("WARN"), "{text}");
}

#[cfg(unix)]
#[test]
fn the_operator_sees_rooms_where_it_is_told_to_look_and_nowhere_else() {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };
    let here = Directory::new().with("quiet.wat", QUIET);
    let serve = ["serve", "quiet.wat", "--port", "0", "--admin", "./admin.sock"];
    let mut server = Serving::start(stateroom(&here, &serve));
    server.wait_for_line("the operator's /status and /rooms are at the Unix socket ./admin.sock");
    assert!(server.post("/ws/lobby").starts_with("HTTP/1.1 201"));
    let mut operator = UnixStream::connect(here.path("admin.sock")).unwrap();
    write!(operator, "GET /rooms HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut rooms = String::new();
    operator.read_to_string(&mut rooms).unwrap();
    assert!(rooms.starts_with("HTTP/1.1 200") && rooms.contains("\"lobby\""), "{rooms}");
    assert!(server.get("/rooms").starts_with("HTTP/1.1 404"));
}

#[test]
fn an_operators_address_in_use_is_told() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = stateroom(&here, &["serve", "quiet.wat", "--port", "0", "--admin", &address]);
    fails(
        serve,
        &["the operator's address", &address, "the port is in use; choose another one", "`--admin`"],
    );
}

#[cfg(unix)]
#[test]
fn a_path_that_no_socket_can_be_at_is_told() {
    let here = Directory::new().with("quiet.wat", QUIET).with("sub/.keep", "").with("file", "");
    let long = format!("./{}", "l".repeat(120));
    for (path, mend) in [
        ("./gone/admin.sock", "there is no directory `./gone`: create it, or choose another path"),
        ("./file/admin.sock", "there is no directory `./file`: create it, or choose another path"),
        ("./sub", "it is a directory; give a path in it"),
        ("./file", "another file is there; choose another path"),
        (&long, "a socket's path has at most 107 bytes; choose a shorter one"),
    ] {
        let serve = stateroom(&here, &["serve", "quiet.wat", "--port", "0", "--admin", path]);
        fails(serve, &["the operator's address", path, mend, "`--admin`"]);
    }
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

#[cfg(target_os = "linux")]
#[test]
fn as_many_files_can_be_open_as_there_may_be_connections() {
    let here = Directory::new().with("quiet.wat", QUIET);
    // The limit that holds, and the one up to which it may be raised.
    let confined = |soft: u32, hard: u32, connections: &str| {
        let script = format!("ulimit -S -n {soft} && ulimit -H -n {hard} && exec \"$0\" \"$@\"");
        let serve =
            stateroom(&here, &["serve", "quiet.wat", "--port", "0", "--max-connections", connections]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(serve.get_program()).args(serve.get_args()).current_dir(&here.0);
        shell
    };
    let server = Serving::start(confined(300, 4000, "1000"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u32 = open_files.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!((1000..2000).contains(&soft), "{open_files}");
    // Root may raise the upper limit, too, where it has that right.
    let mut server = Serving::launch(confined(300, 400, "1000"));
    let said = server.wait_for_line("s");
    assert!(said.contains("this process may have 400") || said.contains("serving"), "{said}");
}

/// Logs the header `x-user` of each client that connects.
const BOUNCER: &str = r#"(module
  (import "stateroom" "log" (func $log (param i32 i32 i32)))
  (import "stateroom" "client_info" (func $client_info (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "header:x-user")
  (func (export "connect") (param $client i32)
    (call $log (i32.const 3) (i32.const 64)
      (call $client_info (local.get $client) (i32.const 0) (i32.const 13) (i32.const 64) (i32.const 64))))
  (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  (func (export "message") (param i32 i32 i32))
  (func (export "binary") (param i32 i32 i32)))
"#;

#[test]
fn rooms_see_the_headers_that_are_chosen() {
    let here = Directory::new().with("bouncer.wat", BOUNCER);
    let serve =
        ["serve", "bouncer.wat", "--port", "0", "--client-header", "X-Team", "--client-header", "X-User"];
    let mut server = Serving::start(stateroom(&here, &serve));
    let _client = server.join("/ws", "X-User: ada\r\n");
    assert!(server.wait_for_line("\"default\"").ends_with("\"ada\""));
}

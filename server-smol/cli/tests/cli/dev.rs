//! `stateroom dev`

use std::{
    fs,
    io::Read as _,
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use crate::{
    directory::Directory,
    guests::{ECHO, PRINTS, STD},
    running::{Serving, fails, run, stateroom, succeeds},
    socket::{ask, joined},
};

#[test]
fn dev_builds_and_serves_again_when_a_file_changes() {
    let here =
        Directory::new().with_guest("", ECHO).with("old/index.html", "old").with("new/index.html", "new");
    let here = here.with("stateroom.toml", "static_files = 'old'");
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let line = server.wait_for_line("the operator's status is at http://127.0.0.1:");
    let (_, operator) = line.split_once("http://").unwrap();
    assert!(TcpStream::connect(operator.split_once("/status").unwrap().0).is_ok(), "{line}");
    assert!(server.get("/").ends_with("old"));

    // What does not build is told of, and what was there before is still served.
    fs::write(here.path("src/lib.rs"), "!").unwrap();
    server.wait_for_line("the version before is still served");
    assert!(server.get("/").ends_with("old"));

    fs::write(here.path("stateroom.toml"), "static_files = 'new'").unwrap();
    server.wait_for_line("the version before is still served");
    fs::write(here.path("src/lib.rs"), ECHO).unwrap();
    server.wait_for_address();
    assert!(server.get("/").ends_with("new"));

    // What is missing is waited for.
    fs::write(here.path("stateroom.toml"), "static_files = 'newer'").unwrap();
    server.wait_for_line("the version before is still served");
    fs::rename(here.path("new"), here.path("newer")).unwrap();
    server.wait_for_address();
    assert!(server.get("/").ends_with("new"));
}

/// Reads what the server still sends, up to its close frame, and returns the frame's code.
fn close_code(mut client: TcpStream) -> u16 {
    let mut sent = Vec::new();
    client.read_to_end(&mut sent).unwrap();
    let at = sent.windows(2).rposition(|frame| frame[0] == 0x88).expect("a close frame");
    u16::from_be_bytes([sent[at + 2], sent[at + 3]])
}

#[test]
fn dev_disconnects_nobody_if_the_module_has_not_changed_and_says_whom_it_does() {
    let here = Directory::new().with_guest("", ECHO).with("stateroom.toml", "[limits]\nmemory = '2MiB'");
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let client = joined(server.join("/ws/lobby", ""));

    // Other words in the sources, and the same limit in other words.
    let here = here.with("src/lib.rs", format!("{ECHO}// A comment.\n"));
    server.wait_for_line("the module has not changed");
    let here = here.with("stateroom.toml", "# As before.\n[limits]\nmemory = 0x20_0000");
    server.wait_for_line("the module has not changed");
    // What did not build in between is forgotten.
    let here = here.with("src/lib.rs", "!");
    server.wait_for_line("the version before is still served");
    let here = here.with("src/lib.rs", ECHO);
    server.wait_for_line("the module has not changed");

    // Another limit.
    let here = here.with("stateroom.toml", "[limits]\nmemory = '1MiB'");
    server.wait_for_line("restarting: 1 client is disconnected");
    assert_eq!(close_code(client), 1012);
    // It is where it was.
    server.wait_for_line("serving on ");
    let (_one, _two) = (joined(server.join("/ws/a", "")), joined(server.join("/ws/b", "")));
    // Other files.
    let _here = here
        .with("web/index.html", "<p>")
        .with("stateroom.toml", "static_files = 'web'\n[limits]\nmemory = '1MiB'");
    server.wait_for_line("restarting: 2 clients are disconnected");
}

#[test]
fn dev_replaces_the_module_of_running_rooms_and_their_clients_stay() {
    let here = Directory::new().with_guest("'std'", STD);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    let mut client = joined(server.join("/ws/lobby", ""));
    assert_eq!([ask(&mut client, "a"), ask(&mut client, "a"), ask(&mut client, "b")], ["1", "2", "1"]);

    // The room has the same messages again.
    let here = here.with("src/lib.rs", STD.replace("+= 1", "+= 10"));
    server.wait_for_line("ms: room lobby has replayed its events");
    assert_eq!([ask(&mut client, "a"), ask(&mut client, "b")], ["30", "20"]);

    // A message that the room has had already is too much for this one.
    let strict = STD.replace("*count += 1", "*count += 1; assert!(*count < 3, \"no more\")");
    let here = here.with("src/lib.rs", &strict);
    let line = server.wait_for_line("it starts afresh: event ");
    assert!(
        line.contains("event 6 of its recording (message of client 1) fails in the new module: ")
            && line.ends_with(": no more"),
        "{line}"
    );
    server.wait_for_line("ms: room lobby has started afresh");
    assert_eq!(ask(&mut client, "a"), "1");

    // What does not build replaces nothing.
    let here = here.with("src/lib.rs", "!");
    server.wait_for_line("the version before is still served");
    assert_eq!(ask(&mut client, "a"), "2");
    let _here = here.with("src/lib.rs", STD);
    server.wait_for_line("ms: room lobby has replayed its events");
    assert_eq!(ask(&mut client, "a"), "3");
}

#[test]
fn dev_is_for_this_machine_alone_unless_told_otherwise() {
    let here = Directory::new().with_guest("", ECHO);
    let mut server = Serving::launch(stateroom(&here, &["dev", "--port", "0"]));
    let line = server.wait_for_line("serving on ");
    assert!(line.contains("serving on 127.0.0.1:"), "{line}");
    let port = line.rsplit(':').next().unwrap();
    let line = server.wait_for_line("rooms are at ");
    assert!(line.contains(&format!("ws://localhost:{port}/ws/<room>")), "{line}");
    let mut server = Serving::launch(stateroom(&here, &["dev", "--port", "0", "--ip", "0.0.0.0"]));
    let line = server.wait_for_line("serving on ");
    assert!(line.contains("serving on 0.0.0.0:"), "{line}");
}

#[test]
fn dev_builds_once_though_a_build_script_writes_sources() {
    let script = "fn main() {
        let out = std::env::var(\"OUT_DIR\").unwrap();
        std::fs::write(format!(\"{out}/made.rs\"), \"const MADE: &str = \\\"made\\\";\").unwrap();
    }";
    let included = "include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\n";
    let source = format!("{ECHO}{included}")
        .replace("client, message)", "client, MADE)")
        .replace("message: M", "_: M");
    let here = Directory::new().with_guest("", &source).with("build.rs", script);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    // Without a change of ours nothing would be built again: the only build is the one for this.
    let here = here.with("src/lib.rs", source.replace("client, MADE", "MessageRecipient::Broadcast, MADE"));
    let lines = server.lines_to("replaced the module in ");
    assert_eq!(lines.iter().filter(|line| line.contains("has changed, building")).count(), 1, "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("not changed")), "{lines:?}");
    // The script is one of the sources.
    let _here = here.with("build.rs", script.replace("\\\"made", "\\\"remade"));
    server.wait_for_line("replaced the module in ");
}

#[test]
fn dev_builds_once_though_a_build_script_writes_among_the_sources() {
    let script = "fn main() {
        std::fs::write(\"src/made.rs\", \"pub const MADE: &str = \\\"made\\\";\").unwrap();
    }";
    let source = ECHO.replace("client, message)", "client, made::MADE)").replace("message: M", "_: M");
    let here = Directory::new().with_guest("", &format!("{source}mod made;\n")).with("build.rs", script);
    // It is there before, as in a checkout.
    let here = here.with("src/made.rs", "pub const MADE: &str = \"made\";");
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    thread::sleep(Duration::from_secs(2));
    let here = here.with("src/lib.rs", format!("{source}mod made;\n// The end.\n"));
    let lines = server.lines_to("the module has not changed");
    assert_eq!(lines.iter().filter(|line| line.contains("has changed, building")).count(), 1, "{lines:?}");
    // A build that fails writes it, too.
    let here = here.with("src/lib.rs", "mod made; !");
    server.wait_for_line("the version before is still served");
    thread::sleep(Duration::from_secs(2));
    let _here = here.with("src/lib.rs", format!("{source}mod made;\n"));
    let lines = server.lines_to("the module has not changed");
    assert_eq!(lines.iter().filter(|line| line.contains("has changed, building")).count(), 1, "{lines:?}");
}

#[test]
fn dev_watches_manifests_and_the_settings_of_cargo() {
    let here = Directory::new().with_guest("", ECHO);
    let name = here.name().to_owned();
    // A package in a workspace, with a dependency beside it.
    let guest = here.path("guest");
    for file in ["src/lib.rs", "Cargo.toml"] {
        let to = guest.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(here.path(file), to).unwrap();
    }
    let manifest = fs::read_to_string(guest.join("Cargo.toml")).unwrap().replace("[workspace]\n", "");
    fs::write(guest.join("Cargo.toml"), format!("{manifest}{name}-words = {{ path = '../words' }}\n"))
        .unwrap();
    let workspace = "[workspace]\nmembers = ['guest', 'words']\nresolver = '3'\n";
    let words = format!("[package]\nname = '{name}-words'\nedition = '2024'\n");
    let here = here.with("Cargo.toml", workspace).with("words/Cargo.toml", &words).with(
        "words/src/lib.rs",
        "#![no_std]\npub const WORD: &str = if cfg!(feature = \"loud\") { \"HI\" } else { \"hi\" };\n",
    );
    let krate = name.replace('-', "_");
    let source = ECHO
        .replace("client, message)", &format!("client, {krate}_words::WORD)"))
        .replace("message: M", "_: M");
    let here = here.with("guest/src/lib.rs", source);
    let mut server = Serving::start(stateroom(&here, &["dev", "guest", "--port", "0"]));

    let here = here.with("Cargo.toml", format!("{workspace}# More.\n"));
    server.wait_for_line("the module has not changed");
    let here = here.with("words/Cargo.toml", format!("{words}[features]\ndefault = ['loud']\nloud = []\n"));
    server.wait_for_line("replaced the module in ");
    let config = "[env]\nUNUSED = '1'\n";
    let here = here.with(".cargo/config.toml", config);
    server.wait_for_line("the module has not changed");
    let _here = here.with("guest/.cargo/config.toml", config);
    server.wait_for_line("the module has not changed");
}

#[test]
fn dev_waits_for_a_dependency_that_does_not_build() {
    let here = Directory::new().with_guest("", ECHO);
    let name = format!("{}-words", here.name());
    let here = here.with_dependency(&format!("{name} = {{ path = 'words' }}"));
    let here = here
        .with("words/Cargo.toml", format!("[package]\nname = '{name}'\nedition = '2024'\n"))
        .with("words/src/lib.rs", "!");
    let mut server = Serving::launch(stateroom(&here, &["dev", "--port", "0"]));
    server.wait_for_line("waiting for a change");
    let here = here.with("words/src/lib.rs", "#![no_std]\n");
    server.wait_for_address();
    assert!(Path::exists(&here.path("words/src/lib.rs")));
}

#[test]
fn dev_waits_for_a_guest_that_does_not_build() {
    let here = Directory::new().with_guest("", "!");
    let mut server = Serving::launch(stateroom(&here, &["dev", "--port", "0"]));
    server.wait_for_line("does not build");
    server.wait_for_line("waiting for a change");
    // It builds, and is no guest yet.
    fs::write(here.path("src/lib.rs"), "#![no_std]\nuse stateroom_sdk_core as _;").unwrap();
    server.wait_for_line("put `#[stateroom_wasm]`");
    server.wait_for_line("waiting for a change");
    // A module of the guest is a source, too, and one that comes.
    fs::write(here.path("src/lib.rs"), format!("{ECHO}mod parts;")).unwrap();
    server.wait_for_line("waiting for a change");
    fs::write(here.path("src/parts.rs"), "").unwrap();
    server.wait_for_address();
    assert!(server.get("/status").starts_with("HTTP/1.1 200"));
}

#[cfg(unix)]
#[test]
fn dev_ends_when_told_to_while_it_waits() {
    let here = Directory::new().with_guest("", "!");
    let mut server = Serving::launch(stateroom(&here, &["dev", "--port", "0"]));
    server.wait_for_line("waiting for a change");
    assert_eq!(server.end(rustix::process::Signal::INT), Some(0));
}

#[test]
fn dev_finds_a_port_in_use_before_it_builds() {
    let here = Directory::new().with_guest("", "!");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, said) = run(stateroom(&here, &["dev", "--ip", "127.0.0.1", "--port", &port]));
    assert_eq!(status, 1);
    assert!(said.contains("in use") && said.contains("`--port`") && !said.contains("Compiling"), "{said}");
}

#[test]
fn dev_has_the_limits_of_the_flags_and_of_the_file() {
    let here = Directory::new().with_guest("", ECHO).with("stateroom.toml", "[limits]\nmemory = '1KiB'");
    fails(stateroom(&here, &["dev", "--port", "0"]), &["cannot run `", "1024 are the limit (`memory`)"]);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0", "--max-memory", "1MiB"]));
    // What the file says is looked at again when it changes.
    let _here = here.with("stateroom.toml", "[limits]\nmodule_size = 10");
    server.wait_for_line("10 is the limit");
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

#[test]
fn dev_puts_a_guests_panic_into_words() {
    const PANICS: &str = "use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Broken(u8);

impl StateroomService for Broken {
    fn init(&mut self, _: &impl StateroomContext) {
        self.0 = 254;
        panic!(\"{} is not expected\", self.0);
    }
}
";
    const WASI: &str = "service.target = 'wasm32-wasip1'";
    for (features, no_std, target) in [
        ("", "#![no_std]\n", ""),
        ("'alloc'", "#![no_std]\n", ""),
        ("'std'", "", ""),
        ("'alloc', 'std'", "", ""),
        ("'std'", "", WASI),
    ] {
        let here = Directory::new().with_guest(features, &format!("{no_std}{PANICS}"));
        let here = here.with("stateroom.toml", target);
        let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
        // There is one line for each room that fails.
        for _ in 0..2 {
            server.post("/ws/lobby");
            let line = server.wait_for_line("ERROR room \"lobby\"");
            let said =
                "ERROR room \"lobby\" failed: the guest failed in `initialize`: it panicked at src/lib.rs:";
            assert!(line.starts_with(said) && line.ends_with(": 254 is not expected"), "{features}: {line}");
        }
    }
}

#[test]
fn dev_tells_the_clients_of_a_room_and_the_log_why_it_failed() {
    const LATE: &str = "use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Late;

impl StateroomService for Late {
    fn connect(&mut self, _: ClientId, ctx: &impl StateroomContext) {
        match ctx.room_id() {
            \"time\" => _ = std::time::Instant::now(),
            \"sleep\" => std::thread::sleep(std::time::Duration::from_secs(1)),
            _ => _ = std::thread::spawn(|| ()),
        }
    }
}
";
    let here = Directory::new().with_guest("'std'", LATE);
    let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
    for (room, said) in [
        ("time", ": time not implemented on this platform: in place of `std::time` use `ctx.now_ms()`"),
        ("sleep", ": can't sleep: a room cannot wait; use `ctx.set_timer`"),
        ("spawn", ": a room has no threads; for work at a later time use `ctx.set_timer`"),
    ] {
        let mut client = joined(server.join(&format!("/ws/{room}"), ""));
        // A close frame with the code 1011.
        let mut head = [0; 4];
        client.read_exact(&mut head).unwrap();
        assert_eq!([head[0], head[2], head[3]], [0x88, 0x03, 0xf3]);
        let mut reason = vec![0; usize::from(head[1]) - 2];
        client.read_exact(&mut reason).unwrap();
        let reason = str::from_utf8(&reason).unwrap();
        let line = server.wait_for_line(&format!("room \"{room}\""));
        let (_, words) = line.split_once(&format!("ERROR room \"{room}\" failed: ")).expect(&line);
        assert!(words.starts_with(reason), "{reason} … {line}");
        assert!(reason.len() == words.len() || reason.len() == 123, "{reason} … {line}");
        // The place is short, so that the client is told as well.
        assert!(reason.starts_with("the guest failed in `connect`: it panicked at std/src/"), "{line}");
        assert!(words.contains(said), "{line}");
    }
}

#[test]
fn what_a_guest_prints_is_in_the_log() {
    const WASI: &str = "service.target = 'wasm32-wasip1'";
    let imports = "use stateroom_sdk_core::print::{dbg, eprint, eprintln, print, println};\n";
    for (imports, target) in [(imports, ""), (imports, WASI), ("", WASI)] {
        let here = Directory::new().with_guest("'alloc', 'std'", &format!("{imports}{PRINTS}"));
        let here = here.with("stateroom.toml", target);
        let mut server = Serving::start(stateroom(&here, &["dev", "--port", "0"]));
        server.post("/ws/lobby");
        for expected in [
            r#"INFO  room "lobby": "2 lines""#,
            r#"INFO  room "lobby": "in \"one\"""#,
            r#"INFO  room "lobby": """#,
            r#"INFO  room "lobby": "to be continued""#,
            r#"WARN  room "lobby": "an error""#,
            r#"WARN  room "lobby": "[src/lib.rs:…] 1 + 1 = 2""#,
            r#"WARN  room "lobby": "[src/lib.rs:…] 'x' = 'x'""#,
            r#"INFO  room "lobby": "2""#,
        ] {
            let line = server.wait_for_line("room \"lobby\"");
            let (begin, end) = expected.split_once('…').unwrap_or((expected, ""));
            assert!(line.starts_with(begin) && line.ends_with(end), "{line}");
            assert!(end.is_empty() == (line == expected), "{line}");
        }
    }
}

#[test]
fn a_guest_that_prints_to_nobody_is_warned_of() {
    const WARNING: &str = "WARN  what `println!`, `eprintln!` or `dbg!` write goes nowhere";
    let imports = "use stateroom_sdk_core::print::{dbg, eprint, eprintln, print, println};\n";
    let build = |source: &str, target| {
        let here = Directory::new().with_guest("'alloc', 'std'", source).with("stateroom.toml", target);
        succeeds(stateroom(&here, &["build"]))
    };
    let text = build(PRINTS, "");
    assert!(text.contains(WARNING), "{text}");
    for (source, target) in
        [(PRINTS, "service.target = 'wasm32-wasip1'"), (STD, ""), (&format!("{imports}{PRINTS}"), "")]
    {
        let text = build(source, target);
        assert!(!text.contains("goes nowhere"), "{text}");
    }
}

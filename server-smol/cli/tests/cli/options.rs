use std::{fs, net::TcpListener, path::Path};

use crate::{
    directory::Directory,
    guests::QUIET,
    running::{Serving, fails, refuses, run, stateroom, succeeds},
};

#[test]
fn help_and_version_are_printed() {
    let nowhere = Directory::new();
    let help = succeeds(stateroom(&nowhere, &["--help"]));
    for word in ["new", "dev", "build", "serve", "rooms", "inspect", "load", "completions", "Examples:"] {
        assert!(help.contains(word), "{help}");
    }
    for (command, option) in [
        ("new", "--template"),
        ("dev", "--portable"),
        ("dev", "--open"),
        ("build", "--portable"),
        ("serve", "--heartbeat-timeout <SECONDS>"),
        ("inspect", "--check"),
        ("load", "broadcast"),
        ("rooms", "export"),
    ] {
        let help = succeeds(stateroom(&nowhere, &[command, "--help"]));
        assert!(help.contains(option), "{help}");
    }
    // What a limit does is on one page, however it is asked for.
    let page = succeeds(stateroom(&nowhere, &["limits"]));
    assert!(page.contains("--max-memory <SIZE> [default: 32MiB]"), "{page}");
    for words in [["help", "limits"], ["limits", "--help"]] {
        assert_eq!(succeeds(stateroom(&nowhere, &words)).trim(), page.trim());
    }
    for (command, lines) in [("dev", 90), ("serve", 137)] {
        let all = succeeds(stateroom(&nowhere, &[command, "--help"]));
        assert!(all.lines().count() <= lines && !all.contains("--max-slice"), "{all}");
        assert!(all.contains("\nClients:\n  -i, --heartbeat-interval <SECONDS>\n"), "{all}");
        assert!(all.contains("Limits: see `stateroom limits`."), "{all}");
        let most_used = succeeds(stateroom(&nowhere, &[command, "-h"]));
        assert!(
            most_used.lines().count() <= 45 && !most_used.contains("--heartbeat-interval"),
            "{most_used}"
        );
        assert!(most_used.contains("--port <PORT>") && most_used.contains("--help"), "{most_used}");
    }
    let version = succeeds(stateroom(&nowhere, &["--version"]));
    // A build that is optimised adds the commit.
    let number = concat!("stateroom ", env!("CARGO_PKG_VERSION"));
    let commit = version.trim().strip_prefix(number).unwrap_or_else(|| panic!("{version}"));
    let is_commit = |text: &str| text.len() >= 7 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = commit.strip_prefix(" (").and_then(|commit| commit.strip_suffix(')'));
    assert!(version.trim() == number || commit.is_some_and(is_commit), "{version}");
}

#[test]
fn the_options_in_configurations_of_the_documents_exist() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages = ["guide", "."].map(|directory| fs::read_dir(docs.join(directory)).expect("it is there"));
    let mut count = 0;
    for page in pages.into_iter().flatten().map(|entry| entry.expect("a disk").path()) {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        for options in text.lines().filter_map(|line| line.strip_prefix("STATEROOM_OPTIONS=\"")) {
            let options: Vec<_> = options.trim_end_matches('"').split(' ').collect();
            let nowhere = Directory::new();
            // There is no module, or no certificate. An option that does not exist would end it with another status.
            let unit = ["serve", "nowhere", "--data", "data", "--admin", "./admin.sock"];
            let (status, text) = run(stateroom(&nowhere, &[&unit, &options[..]].concat()));
            assert_eq!(status, 1, "{text}");
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
}

#[test]
fn shells_complete_commands_and_options() {
    let nowhere = Directory::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeeds(stateroom(&nowhere, &["completions", shell]));
        for word in ["inspect", "heartbeat-timeout", "portable", "no-std"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    refuses(&nowhere, &["completions", "dos"], &["dos", "bash", "fish"]);
}

#[test]
fn each_command_has_a_manual_page() {
    let here = Directory::new();
    succeeds(stateroom(&here, &["man", "share/man1"]));
    let page = |name: &str| fs::read_to_string(here.0.join("share/man1").join(name)).unwrap();
    assert!(page("stateroom.1").contains("stateroom\\-serve(1)"), "it names the others");
    for word in ["\\-\\-heartbeat\\-timeout", ".SH CLIENTS"] {
        assert!(page("stateroom-serve.1").contains(word), "{word}");
    }
    for name in ["stateroom-dev.1", "stateroom-limits.1", "stateroom-load-echo.1", "stateroom-rooms-list.1"] {
        assert!(page(name).starts_with(".ie"), "{name}");
    }
    fails(stateroom(&here.with("file", ""), &["man", "file"]), &["cannot", "`file`"]);
}

#[test]
fn colours_are_for_those_who_want_them() {
    let nowhere = Directory::new();
    let (_, plain) = run(stateroom(&nowhere, &["serve", "gone.wasm"]));
    assert!(plain.starts_with("error: there is no"), "{plain}");
    let (_, colourful) = run(stateroom(&nowhere, &["serve", "gone.wasm", "--color", "always"]));
    assert_eq!(colourful, plain.replacen("error", "\x1b[1;31merror\x1b[0m", 1));
    refuses(&nowhere, &["serve", "gone.wasm", "--color", "red"], &["red", "always", "never"]);
}

#[test]
fn the_port_may_come_from_the_environment() {
    let here = Directory::new().with("quiet.wat", QUIET);
    let with_port = |value: &str, arguments: &[&str]| {
        let mut command = stateroom(&here, &[&["serve", "quiet.wat"], arguments].concat());
        command.env("PORT", value);
        command
    };
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails(with_port(&port, &[]), &[&port, "in use"]);
    // The flag wins.
    Serving::start(with_port(&port, &["--port", "0"]));
    Serving::start(with_port("0", &[]));
    for wrong in ["http", "65536", "-1"] {
        let mend = "is not a whole number from 0 to 65535: give `--port`, or unset it";
        fails(with_port(wrong, &[]), &[&format!("`PORT` in the environment is `{wrong}`"), mend]);
    }
}

#[test]
fn bad_options_are_status_2() {
    let nowhere = Directory::new();
    refuses(&nowhere, &[], &["Usage"]);
    refuses(&nowhere, &["sevre", "x.wasm"], &["sevre", "serve"]);
    refuses(&nowhere, &["serve"], &["MODULE"]);
    for port in ["70000", "abc", "-1"] {
        let parts = [port, "--port", "is not a whole number from 0 to 65535"];
        refuses(&nowhere, &["serve", "x.wasm", "--port", port], &parts);
    }
    let address = "is not an IP address, such as 127.0.0.1 or ::";
    refuses(&nowhere, &["serve", "x.wasm", "--ip", "localhost"], &["localhost", "--ip", address]);
    refuses(&nowhere, &["serve", "x.wasm", "--heartbeat-interval", "-1"], &["heartbeat-interval"]);
    refuses(
        &nowhere,
        &["serve", "x.wasm", "--heartbeat-timeout", "soon"],
        &["soon", "whole number of seconds"],
    );
    refuses(&nowhere, &["serve", "x.wasm", "--hibernate-after", "1.5"], &["1.5", "whole number of seconds"]);
    refuses(&nowhere, &["serve", "x.wasm", "--message-timeout", "-1"], &["-1", "--message-timeout"]);
    refuses(&nowhere, &["serve", "x.wasm", "--outbox-timeout", "31536001"], &["from 0 to 31536000"]);
    refuses(&nowhere, &["serve", "x.wasm", "--max-total-memory", "7MiB"], &["of at least 8MiB"]);
    refuses(&nowhere, &["serve", "x.wasm", "--room-ids", "any"], &["any", "explicit"]);
    refuses(&nowhere, &["serve", "x.wasm", "--shutdown", "after:x"], &["after:x", "after:60"]);
    refuses(
        &nowhere,
        &["serve", "x.wasm", "--client-header", "X-User: ada"],
        &["X-User: ada", "x-forwarded-for"],
    );
    refuses(&nowhere, &["serve", "x.wasm", "--log-format", "xml"], &["xml", "--log-format"]);
    refuses(&nowhere, &["serve", "x.wasm", "--admin-token-file", "token"], &["--admin <ADDRESS>"]);
    refuses(&nowhere, &["serve", "x.wasm", "--admin", "admin.sock"], &["--admin", "./admin.sock"]);
    let port = "a port from 0 to 65535";
    refuses(&nowhere, &["serve", "x.wasm", "--admin", "127.0.0.1:80000"], &["--admin", port]);
    refuses(&nowhere, &["serve", "x.wasm", "--listen", "8080"], &["--listen", "0.0.0.0:8080", "unix:/run"]);
    refuses(&nowhere, &["serve", "x.wasm", "--listen", "unix:/a,mode=9"], &["octal", "660"]);
    refuses(&nowhere, &["serve", "x.wasm", "--listen", "systemd", "--port", "1"], &["--listen", "--port"]);
    refuses(&nowhere, &["serve", "x.wasm", "--tls-cert", "a"], &["--tls-key"]);
    refuses(&nowhere, &["serve", "x.wasm", "--redirect-http", "80"], &["--tls-cert"]);
    let trusted = ["serve", "x.wasm", "--trusted-proxy"];
    refuses(&nowhere, &[&trusted[..], &["10.1.2.3/8"]].concat(), &["--trusted-proxy", "write 10.0.0.0/8"]);
    refuses(&nowhere, &[&trusted[..], &["nginx"]].concat(), &["--trusted-proxy", "`unix`"]);
    refuses(&nowhere, &["serve", "x.wasm", "--proxy-protocol"], &["--trusted-proxy <ADDRESS>"]);
    let per_address = "--max-connections-per-address";
    refuses(&nowhere, &["serve", "x.wasm", per_address, "0"], &[per_address, "from 1 to"]);
    refuses(&nowhere, &["serve", "x.wasm", "--room-rate", "4294967296"], &["--room-rate", "from 0 to"]);
    refuses(&nowhere, &["serve", "x.wasm", "--threads", "0"], &["--threads", "from 1 to 256"]);
    refuses(&nowhere, &["serve", "x.wasm", "--max-memory", "1MB"], &["1MB", "--max-memory", "MiB"]);
    refuses(&nowhere, &["serve", "x.wasm", "--max-slice", "0"], &["--max-slice", "from 1 to 10M"]);
    refuses(&nowhere, &["dev", "--max-effects", "-1"], &["-1", "--max-effects", "from 1 to"]);
    refuses(&nowhere, &["build", "-q", "-v"], &["--quiet"]);
    refuses(&nowhere, &["inspect"], &["MODULE"]);
    refuses(&nowhere, &["inspect", "x.wasm", "--say", "hello"], &["--check"]);
    refuses(&nowhere, &["inspect", "x.wasm", "--with", "query:name=Ada"], &["--check"]);
    for wrong in ["query:name", "name=Ada", "header:X-User=ada", "query:=Ada"] {
        let with = ["inspect", "x.wasm", "--check", "--with", wrong];
        refuses(&nowhere, &with, &[wrong, "KEY=VALUE", "query:NAME", "in lower case"]);
    }
    refuses(&nowhere, &["load"], &["echo", "broadcast", "connect", "idle"]);
    refuses(&nowhere, &["load", "echo"], &["URL"]);
    refuses(&nowhere, &["load", "echo", "http://here"], &["http://here", "ws://127.0.0.1:8080/ws/{room}"]);
    refuses(&nowhere, &["load", "echo", "wss://here"], &["TLS"]);
    refuses(&nowhere, &["load", "echo", "ws://here", "--size", "15"], &["--size", "16 bytes"]);
    for pid in ["", "12 13", "stateroom"] {
        refuses(&nowhere, &["load", "idle", "ws://here", "--pid", pid], &["--pid", "is the server running?"]);
    }
    refuses(&nowhere, &["load", "idle", "ws://here", "--connections", "0"], &["--connections", "from 1 to"]);
    refuses(&nowhere, &["load", "connect", "ws://here", "--duration", "3601"], &["--duration", "3600"]);
}

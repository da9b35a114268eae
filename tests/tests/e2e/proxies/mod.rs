//! The recipes for proxies in `docs/operations.md`, in the proxies themselves, in front of the command.
#![cfg(target_os = "linux")]

mod proxy;

use std::{fmt::Write as _, net::SocketAddr, sync::Arc};

use rustix::process::Signal;
use rustls::{ClientConfig, version::TLS13};
use stateroom_tests::{
    Child, Directory, Frame, Output,
    tls::{Authority, Stream, TlsClient, connect, get},
};

use self::proxy::Proxy;

/// Tells each client its `X-Forwarded-For`, and sends all text back.
const ROOM: &str = r#"(module
    (import "env" "send_message" (func $send (param i32 i32 i32)))
    (import "stateroom" "client_info" (func $info (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (data (i32.const 512) "header:x-forwarded-for")
    (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param $client i32)
        (call $send (local.get $client) (i32.const 600)
            (call $info (local.get $client) (i32.const 512) (i32.const 22) (i32.const 600) (i32.const 100))))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "binary") (param i32 i32 i32))
    (func (export "message") (param $client i32) (param $at i32) (param $len i32)
        (call $send (local.get $client) (local.get $at) (local.get $len))))"#;

#[test]
fn nginx_passes_rooms_on_as_the_recipe_says() {
    passes_rooms_on("nginx", |directory, recipe| {
        let mut config = format!(
            "daemon off; pid {directory}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(config, "{kind}_temp_path {directory}/{kind};");
        }
        ("nginx.conf", config + recipe + "}\n", &["-c"])
    });
}

#[test]
fn caddy_passes_rooms_on_as_the_recipe_says() {
    passes_rooms_on("caddy", |_, recipe| {
        let config = format!("{{\nadmin off\nauto_https off\n}}\n{recipe}");
        ("Caddyfile", config, &["run", "--adapter", "caddyfile", "--config"])
    });
}

#[test]
fn haproxy_passes_rooms_on_as_the_recipe_says() {
    passes_rooms_on("haproxy", |_, recipe| ("haproxy.cfg", recipe.to_owned(), &["-db", "-f"]));
}

/// Runs a proxy with its recipe in front of a server, and checks what the page promises of it.
fn passes_rooms_on(program: &str, configure: proxy::Configure) {
    let authority = Authority::new();
    let directory = Directory::new().with("server.wasm", wat::parse_str(ROOM).expect("a module"));
    authority.issue().write(&directory);
    let mut server = server(&directory);
    let upstream = server.line(Output::Stderr, "serving on ");
    let Some(proxy) = Proxy::start(program, &directory, &upstream, configure) else { return };
    // A proxy may speak HTTP/2, too. A browser uses HTTP/1.1 for a WebSocket then.
    let mut config = authority.client(&[&TLS13]);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);

    // TLS ends in the proxy.
    assert_eq!(get(proxy.address, &config, "/status").text(), "ok");
    // The host passes, so that pages of this host may come in, and no others.
    let open = |headers: &[&str]| TlsClient::upgrade_with(tls(&proxy, &config), "room", headers);
    assert_eq!(open(&["Origin: https://elsewhere.example"]).expect_err("another site").status, 403);
    // Nobody can pretend to come from elsewhere.
    let headers = ["Origin: https://localhost", "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6"];
    let mut client = open(&headers).expect("a page of this host");
    assert_eq!(text(&mut client), "127.0.0.1");
    // Large messages come whole.
    let large = "x".repeat(100_000);
    assert!(client.ask(&large) == large);
    // The connection outlives the proxy's patience, which is 2 s here: pings and pongs come each second.
    for _ in 0..4 {
        let ping = client.receive().expect("a ping").expect("a ping");
        assert_eq!(ping.opcode, Frame::PING);
        client.send(&Frame::new(Frame::PONG, ping.payload));
    }
    assert_eq!(client.ask("still here"), "still here");
    // The code that tells clients what has become of the server.
    server.signal(Signal::TERM);
    let close = loop {
        let frame = client.receive().expect("a frame").expect("a close frame");
        if frame.opcode != Frame::PING {
            break frame;
        }
    };
    assert_eq!((close.opcode, &close.payload[..2]), (Frame::CLOSE, &1001_u16.to_be_bytes()[..]));
    client.send(&Frame::close(1001));
    assert_eq!(server.exit().0, Some(0));
}

fn server(directory: &Directory) -> Child {
    let dist = directory.path().display().to_string();
    // With a trusted proxy, a `Forwarded` that the proxy lets through is an error.
    let trusted = ["--trusted-proxy", "127.0.0.1", "--client-header", "x-forwarded-for"];
    let options = [&["--ip", "127.0.0.1", "--port", "0"][..], &trusted].concat();
    let pings = ["--heartbeat-interval", "1", "--heartbeat-timeout", "60"];
    Child::start("stateroom", &[&["serve", &dist][..], &options, &pings].concat())
}

fn tls(proxy: &Proxy, config: &Arc<ClientConfig>) -> Stream {
    connect(proxy.address, config)
}

fn text(client: &mut TlsClient) -> String {
    let frame = client.receive().expect("a message").expect("a message");
    String::from_utf8(frame.payload).expect("text")
}

/// Returns an address at which nobody listens.
fn free() -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    socket.expect("the system has a port")
}

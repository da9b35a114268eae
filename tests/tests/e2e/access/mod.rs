//! Tests who may enter rooms, before a room learns of them, with the command itself.

mod asked;
mod hook;
mod tokens;
mod waiting;

use std::{
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

use stateroom_server_smol::{Claims, SigningKey};
use stateroom_tests::{Answer, Child, Client, Directory, Guest, Output, PATIENCE, binary, status};

/// A guest that tells each client what is known of it, and sends everything back.
const SOURCE: &str = r#"#![no_std]
use stateroom_sdk_core::*;

/// The room remembers the subject of its last client.
#[stateroom_wasm]
#[derive(Default)]
struct Known {
    last: [u8; 16],
    size: usize,
}

impl StateroomService for Known {
    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        let mut last = [0; 16];
        self.size = ctx.client_info(client, "auth:sub", &mut last).map_or(0, str::len);
        self.last = last;
        for key in ["auth", "auth:sub", "auth:level", "query"] {
            let mut buffer = [0; 5000];
            let value = ctx.client_info(client, key, &mut buffer).unwrap_or("nothing");
            ctx.send_message(client, format_args!("{key} is {value}"));
        }
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        match message {
            MessagePayload::Text("who") => {
                let last = core::str::from_utf8(&self.last[..self.size]).unwrap_or("?");
                ctx.send_message(client, last);
            }
            message => ctx.send_message(client, message),
        }
    }
}
"#;

fn module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| {
        Guest::new("known", "[]", SOURCE).with_settings("[service]\nstack_size = 16384\n").module()
    })
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

/// A server with the guest above, and the files for it.
struct Server {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl Server {
    /// Serves with these options, from a directory with keys.
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        let directory = Directory::new()
            .with("known.wasm", module())
            .with("secret", SECRET)
            .with("public.pem", PUBLIC)
            .with("private.pem", PRIVATE);
        Self::start_in(directory, options)
    }

    #[track_caller]
    fn start_in(directory: Directory, options: &[&str]) -> Self {
        let mut command = Command::new(binary("stateroom"));
        command.args(["serve", "known.wasm", "--ip", "127.0.0.1", "--port", "0", "-vv"]).args(options);
        let child = Child::of(command.current_dir(directory.path()).env("ROOM_KEY", SECRET));
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        Self { child, address, directory }
    }

    /// Returns the status and the words with which the server answers a request for a WebSocket.
    #[track_caller]
    fn refusal(&self, path: &str, headers: &[&str]) -> (u16, String) {
        match Client::connect_with(self.address, path, headers) {
            Ok(_) => (101, String::new()),
            Err(answer) => (answer.status, answer.text().to_owned()),
        }
    }

    /// Connects, and returns what the room knows of the client.
    #[track_caller]
    fn enter(&self, path: &str, headers: &[&str]) -> (Client, [String; 4]) {
        let client = Client::connect_with(self.address, path, headers);
        let mut client = client.unwrap_or_else(|answer| panic!("{}: {}", answer.status, answer.text()));
        let known = [(); 4].map(|()| client.next_text());
        (client, known)
    }

    /// Sends a request without content.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("the server takes connections");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{headers}\r\n")
            .expect("a request can be sent");
        Answer::read(&mut BufReader::new(stream), method)
    }

    fn rooms(&self) -> u64 {
        status(self.address)["room_count"].as_u64().expect("a number")
    }

    /// Ends it, and returns all that it has written.
    fn log(self) -> (String, Directory) {
        let Self { child, directory, .. } = self;
        child.signal(rustix::process::Signal::TERM);
        let lines = child.find_line(Output::Stderr, "a line that never comes").expect_err("there is none");
        (lines.join("\n"), directory)
    }
}

/// Returns the time so many seconds from now.
fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_secs()).expect("it is not that late") + seconds
}

/// Returns a token with these claims alone.
fn signed(key: &str, name: Option<&str>, claims: &str) -> String {
    let key = SigningKey::read(key.as_bytes(), name).expect("a key");
    key.token(&Claims::from_json(&format!("{{{claims}}}")).expect("claims"))
}

/// Returns a token with these claims that is valid for a minute.
fn token_of(key: &str, name: Option<&str>, claims: &str) -> String {
    signed(key, name, &format!(r#""exp":{},{claims}"#, in_seconds(60)))
}

fn token(claims: &str) -> String {
    token_of(SECRET, None, claims)
}

/// Returns the header with which a client that is no browser brings a token.
fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// Runs the command to its end, and returns what it prints.
#[track_caller]
fn run(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(binary("stateroom"));
    let output = command.args(arguments).current_dir(directory).env("ROOM_KEY", SECRET).output();
    let output = output.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8").trim_end().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

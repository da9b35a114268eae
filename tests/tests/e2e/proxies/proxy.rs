use std::{
    env, fs,
    net::{SocketAddr, TcpStream},
    process::Command,
};

use stateroom_tests::{Child, Directory, eventually};

use super::free;

/// Returns the name of the configuration, its content, and the arguments before its path. It is called with the directory and the recipe.
pub(super) type Configure = fn(&str, &str) -> (&'static str, String, &'static [&'static str]);

/// A proxy that runs with the recipe for it.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    _process: Child,
}

impl Proxy {
    /// Starts a proxy, or returns `None` where it is not installed. On CI, it has to be.
    #[track_caller]
    pub(super) fn start(
        program: &str,
        directory: &Directory,
        upstream: &str,
        configure: Configure,
    ) -> Option<Self> {
        if Command::new(program).arg("-v").output().is_err() {
            assert!(env::var_os("CI").is_none(), "{program} is missing: `./test --setup {program}`");
            println!("{program} is not installed: not tested");
            return None;
        }
        let path = directory.path().display().to_string();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("it was written");
        fs::write(directory.path().join("both.pem"), read("cert.pem") + &read("key.pem")).expect("a disk");
        loop {
            let address = free();
            let recipe = recipe(program, &path, upstream, address);
            let (name, config, arguments) = configure(&path, &recipe);
            let config_path = directory.path().join(name);
            fs::write(&config_path, config).expect("a disk");
            let mut command = Command::new(program);
            // Caddy writes to the home of its user.
            command.env("HOME", &path).env("XDG_DATA_HOME", &path).env("XDG_CONFIG_HOME", &path);
            let mut process = Child::of(command.args(arguments).arg(config_path));
            let mut is_listening = false;
            eventually("the proxy listens or ends", || {
                is_listening = TcpStream::connect(address).is_ok();
                is_listening || !process.is_running()
            });
            if is_listening && process.is_running() {
                return Some(Self { address, _process: process });
            }
            // Another process may have taken the port.
            let said = process.find_line(stateroom_tests::Output::Stderr, "in use");
            said.unwrap_or_else(|lines| panic!("{program} does not start: {lines:#?}"));
        }
    }
}

/// Returns the recipe of the page, with addresses, files and the patience of this test.
#[track_caller]
fn recipe(program: &str, directory: &str, upstream: &str, address: SocketAddr) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let page = fs::read_to_string(page).expect("the page is there");
    let (_, rest) = page.split_once(&format!("```{program}\n")).expect("the page has a recipe");
    let mut recipe = rest.split("```").next().unwrap_or_default().to_owned();
    let certificate = format!("tls {directory}/cert.pem {directory}/key.pem");
    for (in_page, here) in [
        ("127.0.0.1:8080", upstream),
        ("60s", "2s"),
        // nginx
        ("listen 443", &format!("listen {address}")),
        ("/etc/ssl/rooms.example/fullchain.pem", &format!("{directory}/cert.pem")),
        ("/etc/ssl/rooms.example/privkey.pem", &format!("{directory}/key.pem")),
        ("server_name rooms.example", "server_name localhost"),
        // Caddy gets certificates itself, but not here.
        ("rooms.example {\n", &format!("https://localhost:{} {{\n{certificate}\n", address.port())),
        // HAProxy
        ("bind :443", &format!("bind {address}")),
        ("/etc/haproxy/rooms.example.pem", &format!("{directory}/both.pem")),
    ] {
        recipe = recipe.replace(in_page, here);
    }
    recipe
}

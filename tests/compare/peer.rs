use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use stateroom_tests::{Cores, binary, broadcast, example};

use crate::row::{Room, Row};

/// A server to compare with.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// Its name and version, as in the table.
    pub(crate) title: String,
    /// True if it has more than one room.
    pub(crate) has_rooms: bool,
    /// The program and what comes before the port and after it, for each kind of room.
    command: fn(&Path, port: u16, room: Room) -> Command,
}

/// The servers that there are, in the order of the table.
pub(crate) const NAMES: [&str; 5] = ["stateroom", "raw", "bun", "node", "stateroom-0.4"];

impl Peer {
    /// Installs one; an error says why that is not possible.
    pub(crate) fn install(name: &'static str, place: &Path) -> Result<Self, String> {
        let version = env!("CARGO_PKG_VERSION");
        let (title, command): (_, fn(&Path, u16, Room) -> Command) = match name {
            "stateroom" => {
                guests(place)?;
                (format!("this, {version}"), ours)
            }
            "raw" => ("bare sockets".to_owned(), raw),
            "bun" => {
                npm(place, "bun")?;
                (format!("Bun {}", said(Command::new(bun(place)?).arg("--version"))?), bun_server)
            }
            "node" => {
                npm(place, "node")?;
                let node = said(Command::new("node").arg("--version"))?;
                (format!("Node.js {}, ws", node.trim_start_matches('v')), node_server)
            }
            "stateroom-0.4" => {
                original(place)?;
                ("Stateroom 0.4.4".to_owned(), original_server)
            }
            other => return Err(format!("there is no server `{other}`")),
        };
        Ok(Self { name, title, has_rooms: name != "stateroom-0.4", command })
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn start(&self, place: &Path, row: &Row, cores: &Cores) -> Result<Running, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        let mut command = (self.command)(place, port, row.room);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = cores
            .server(&mut command, Command::spawn)
            .map_err(|error| format!("it does not start: {error}"))?;
        let mut running = Running { child, port };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Ok(Some(status)) = running.child.try_wait() {
                return Err(format!("it has ended with {status}"));
            }
            if begin.elapsed() > Duration::from_secs(20) {
                return Err("it takes no connections".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Programs with a compiler in them go on starting for a while.
        thread::sleep(Duration::from_millis(300));
        Ok(running)
    }

    /// Returns where its rooms are.
    pub(crate) fn url(&self, port: u16) -> String {
        match self.has_rooms {
            true => format!("ws://127.0.0.1:{port}/ws/{{room}}"),
            false => format!("ws://127.0.0.1:{port}/ws"),
        }
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds this server's guests from source.
fn guests(place: &Path) -> Result<(), String> {
    let echo = fs::read(example("echo").join("server.wasm")).map_err(|error| error.to_string())?;
    let broadcast = broadcast().module();
    for (room, module) in [(Room::Echo, echo), (Room::Broadcast, broadcast)] {
        fs::write(module_of("ours", place, room), module).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn module_of(whose: &str, place: &Path, room: Room) -> PathBuf {
    place.join(format!("{whose}-{}.wasm", room.name()))
}

fn ours(place: &Path, port: u16, room: Room) -> Command {
    let mut command = Command::new(binary("stateroom"));
    command.args([
        "serve",
        "--quiet",
        "--ip",
        "127.0.0.1",
        "--max-connections",
        "20k",
        "--port",
        &port.to_string(),
    ]);
    command.arg(module_of("ours", place, room));
    command
}

fn raw(_: &Path, port: u16, room: Room) -> Command {
    // It was built with this program.
    let beside = env::current_exe().unwrap_or_default().with_file_name("raw");
    let mut command = Command::new(beside);
    command.arg(port.to_string()).arg(room.name());
    command
}

/// Returns the sources of what is compared with.
fn sources(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compare").join("peers").join(name)
}

/// Installs a package of `peers`, in the versions of its lock file, beside which its program is put.
fn npm(place: &Path, name: &str) -> Result<(), String> {
    let to = place.join(name);
    fs::create_dir_all(&to).map_err(|error| error.to_string())?;
    for file in fs::read_dir(sources(name)).map_err(|error| error.to_string())?.flatten() {
        fs::copy(file.path(), to.join(file.file_name())).map_err(|error| error.to_string())?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]);
    said(npm.current_dir(to)).map(drop)
}

/// Bun's program: the one of its packages for this machine that npm has chosen.
fn bun(place: &Path) -> Result<PathBuf, String> {
    let packages = place.join("bun/node_modules/@oven");
    let found = fs::read_dir(packages).map_err(|error| error.to_string())?.flatten();
    let mut found = found.map(|package| package.path().join("bin/bun"));
    found.find(|program| program.exists()).ok_or_else(|| "npm has no Bun for this machine".to_owned())
}

fn bun_server(place: &Path, port: u16, room: Room) -> Command {
    let mut command = Command::new(bun(place).unwrap_or_default());
    command.arg(place.join("bun/server.js")).arg(port.to_string()).arg(room.name());
    command
}

fn node_server(place: &Path, port: u16, room: Room) -> Command {
    let mut command = Command::new("node");
    command.arg(place.join("node/server.mjs")).arg(port.to_string()).arg(room.name());
    command
}

/// Returns the original's command, and guests with its SDK.
fn original(place: &Path) -> Result<(), String> {
    let root = place.join("stateroom-cli");
    if !root.join("bin/stateroom").exists() {
        let mut install = Command::new("cargo");
        install.args(["install", "stateroom-cli", "--version", "0.4.4", "--locked", "--quiet", "--root"]);
        said(install.arg(&root).arg("--target-dir").arg(root.join("build")))?;
    }
    let target = place.join("stateroom-0.4");
    for room in [Room::Echo, Room::Broadcast] {
        let mut build = Command::new("cargo");
        build.args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--target",
            "wasm32-wasip1",
            "--target-dir",
        ]);
        build.arg(&target).current_dir(sources("stateroom-0.4"));
        if room == Room::Broadcast {
            build.args(["--features", "broadcast"]);
        }
        said(&mut build)?;
        let module = target.join("wasm32-wasip1/release/compare_stateroom_0_4.wasm");
        fs::copy(module, module_of("original", place, room)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn original_server(place: &Path, port: u16, room: Room) -> Command {
    let mut command = Command::new(place.join("stateroom-cli/bin/stateroom"));
    command.arg("serve").arg(module_of("original", place, room)).args(["--port", &port.to_string()]);
    command
}

/// Runs a program to its end, and returns what it says; the last line of that, where it fails.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("`{program}` does not start: {error}"))?;
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    match output.status.success() {
        true => Ok(stdout),
        false => Err(format!("`{program}` fails: {}", stderr.lines().last().unwrap_or("it says nothing"))),
    }
}

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use stateroom_tests::{Child, Output};

use crate::Bench;

/// The program that is measured, in a process of its own that ends with this one.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
}

/// The cores that a server runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// One core, away from the load.
    OneCore,
    /// All cores, as the system chooses.
    AnyCore,
}

/// Returns a program that has as many open files as it may, and that ends when the thread ends that has started it,
/// however that comes.
pub(crate) fn confined(program: &Path) -> Command {
    let script = "ulimit -n $(ulimit -Hn) && exec setpriv --pdeathsig KILL \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program);
    command
}

impl Bench {
    /// Starts the server with these flags, and waits until it listens.
    pub(crate) fn serve(&self, module: &Path, affinity: Affinity, flags: &[&str]) -> Server {
        let mut command = confined(&self.server);
        command.args(["serve", "--ip", "127.0.0.1", "--port", "0"]).args(flags).arg(module);
        let child = match affinity {
            Affinity::OneCore => self.cores.server(&mut command, |command| Ok(Child::of(command))),
            Affinity::AnyCore => Ok(Child::of(&mut command)),
        };
        let child = child.expect("it starts there");
        // `setpriv` is a part of util-linux.
        let address = child.line(Output::Stderr, "serving on ");
        Server { child, address }
    }
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns where the rooms are whose names begin like this and end in a number.
    pub(crate) fn url(&self, prefix: &str) -> String {
        format!("ws://{}/ws/{prefix}{{room}}", self.address)
    }

    /// Returns its memory that is not swapped out or never touched, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        self.child.resident() as f64
    }

    /// Returns what of that is in no file, in bytes.
    pub(crate) fn anonymous(&self) -> f64 {
        kilobytes(&format!("/proc/{}/status", self.id()), "RssAnon:") as f64 * 1024.0
    }

    /// Returns how many rooms and clients it has.
    pub(crate) fn counts(&self) -> [u64; 2] {
        let mut line = self.line();
        // From a host of another name, so that it does not list all of them.
        let status = line.request("GET", "/status?verbose");
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        ["room_count", "client_count"].map(|name| status[name].as_u64().expect("a number"))
    }

    /// Makes rooms that nobody is in.
    pub(crate) fn create(&self, rooms: std::ops::Range<usize>) {
        let mut line = self.line();
        for room in rooms {
            line.request("POST", &format!("/ws/made-{room}"));
        }
    }

    /// Returns how long each of its threads of rooms has run.
    pub(crate) fn threads_of_rooms(&self) -> Vec<f64> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let threads = threads.flatten().filter_map(|thread| {
            let name = fs::read_to_string(thread.path().join("comm")).ok()?;
            let ran = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let ran = ran.split(' ').next()?.parse::<f64>().ok()?;
            name.starts_with("rooms-").then_some(ran / 1e9)
        });
        threads.collect()
    }

    /// Returns how many sockets each of its epoll instances watches.
    pub(crate) fn sockets_watched(&self) -> Vec<usize> {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", self.id())).expect("it runs");
        let watched = files.flatten().map(|file| {
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            info.lines().filter(|line| line.starts_with("tfd:")).count()
        });
        watched.filter(|count| *count > 0).collect()
    }

    fn line(&self) -> Line {
        let stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_nodelay(true).expect("an option of every socket");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("not zero");
        Line(BufReader::new(stream))
    }
}

/// A connection for one request after the other.
struct Line(BufReader<TcpStream>);

impl Line {
    /// Makes a request, which has to succeed, and returns the content of the answer.
    fn request(&mut self, method: &str, path: &str) -> String {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).expect("it reads");
        let (mut status, mut len) = (String::new(), 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).expect("it answers");
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(number) = line.strip_prefix("content-length:") {
                len = number.trim().parse().expect("a number");
            }
            if status.is_empty() {
                status = line;
            }
        }
        assert!(status.starts_with("http/1.1 20"), "{method} {path}: {status}");
        let mut content = vec![0; len];
        self.0.read_exact(&mut content).expect("as much as it has announced");
        String::from_utf8(content).expect("text")
    }
}

/// Returns a line of a file of the system's that says how large something is.
pub(crate) fn kilobytes(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("a file of the system's");
    let value = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of it");
    value.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
}

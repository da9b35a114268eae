use std::{
    fs,
    io::{BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    ops::Range,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use stateroom_tests::{Answer, Child, Client, Directory, Output, eventually};

/// The clients that are connected at a time while rooms are made.
const CLIENTS: usize = 64;

/// A program, a module, and the rooms on the disk.
#[derive(Debug)]
pub(crate) struct Place {
    program: PathBuf,
    module: PathBuf,
    directory: Directory,
}

/// A server that keeps its rooms on disk.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// The time from the start of the process until it listened, and the processor time until then.
    pub(crate) listening: Duration,
    pub(crate) cpu_listening: Duration,
}

impl Place {
    pub(crate) fn new(program: PathBuf, module: PathBuf) -> Self {
        Self { program, module, directory: Directory::new() }
    }

    /// Returns the command that serves. Rooms leave memory as soon as they can.
    pub(crate) fn command(&self, flags: &[&str]) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let mut words = vec![path(&self.program), "serve".to_owned(), path(&self.module)];
        words.extend(["--data".to_owned(), path(&self.data())]);
        let fixed = ["--ip", "127.0.0.1", "--port", "0", "--room-rate", "0", "--hibernate-after", "1"];
        words.extend(fixed.iter().chain(flags).map(|word| (*word).to_owned()));
        words
    }

    /// Starts a server.
    pub(crate) fn serve(&self, flags: &[&str]) -> Server {
        Server::start(&self.command(flags))
    }

    /// Starts a server that keeps nothing.
    pub(crate) fn serve_in_memory(&self) -> Server {
        let mut command = self.command(&[]);
        let data = self.data().display().to_string();
        command.retain(|word| *word != "--data" && *word != data);
        Server::start(&command)
    }

    /// Returns the directory that the server keeps rooms in.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Returns another path beside it.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns the bytes that the directory takes on the disk.
    pub(crate) fn bytes_on_disk(&self) -> u64 {
        // A block of `stat` has 512 bytes.
        files(&self.data()).iter().map(|path| fs::metadata(path).map_or(0, |file| file.blocks() * 512)).sum()
    }

    /// Lets the system forget what it has read of the directory, as after a start of the machine.
    pub(crate) fn drop_cache(&self) {
        for path in files(&self.data()) {
            let file = path.display();
            let mut dd = Command::new("dd");
            dd.args([&format!("if={file}"), "iflag=nocache", "count=0", "status=none"]);
            // What the disk does not have yet cannot be forgotten.
            let synced = fs::File::open(&path).and_then(|file| file.sync_all());
            assert!(synced.is_ok() && dd.status().is_ok_and(|status| status.success()), "{file}");
        }
    }
}

/// Returns all files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the server has made it").flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

impl Server {
    fn start(command: &[String]) -> Self {
        let begin = Instant::now();
        let child = Child::of(Command::new(&command[0]).args(&command[1..]));
        Self::of(child, begin)
    }

    /// Waits until a server listens that has been started at `begin`.
    pub(crate) fn of(child: Child, begin: Instant) -> Self {
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        let listening = begin.elapsed();
        let mut server = Self { child, address, listening, cpu_listening: Duration::ZERO };
        server.cpu_listening = server.cpu();
        server
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the memory of the process in bytes, and the most that it was.
    pub(crate) fn resident(&self) -> [u64; 2] {
        [self.child.resident(), self.child.most_resident()]
    }

    /// Returns the processor time of its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs").flatten();
        let ran = threads.map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(ran.sum())
    }

    /// Returns the bytes that the disk has read for it: those that were not in the cache.
    pub(crate) fn read_from_disk(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/io", self.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("read_bytes: "));
        line.and_then(|number| number.parse().ok()).expect("a line of it")
    }

    pub(crate) fn connect(&self, room: &str) -> Client {
        connect(self.address, room)
    }

    /// Lets a client do something in each of the rooms with these numbers, some of them at a time.
    pub(crate) fn fill(&self, rooms: Range<usize>, work: impl Fn(&mut Client) + Sync) {
        let (address, next) = (self.address, AtomicUsize::new(rooms.start));
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let room = next.fetch_add(1, Ordering::Relaxed);
                        if room >= rooms.end {
                            break;
                        }
                        let mut client = connect(address, &format!("room-{room}"));
                        work(&mut client);
                        client.hang_up();
                    }
                });
            }
        });
    }

    /// Waits until all rooms have left memory.
    pub(crate) fn wait_for_idleness(&self) {
        eventually("all rooms leave memory", || {
            thread::sleep(Duration::from_millis(50));
            self.rooms_in_memory() == 0
        });
    }

    fn rooms_in_memory(&self) -> u64 {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        // From a host of another name, so that it does not list all of them.
        let request = "GET /status?verbose HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("it reads");
        let answer = Answer::read(&mut BufReader::new(stream), "GET");
        let status: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        status["room_count"].as_u64().expect("a number")
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(mut self) {
        self.child.signal(Signal::KILL);
        self.child.exit();
    }
}

fn connect(address: SocketAddr, room: &str) -> Client {
    Client::connect(address, &format!("/ws/{room}")).expect("an upgrade")
}

//! Kills the server while it starts, at one system call after the other, and lets its disk fail there.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::process::Signal;
use stateroom_tests::{Output, eventually};

use crate::{
    disk::EXIT_CODE,
    kills::{ROOMS, join, talk},
    seen::Seen,
    server::{Place, address},
};

/// The clients of a server that is killed.
const CLIENTS: usize = 8;

/// The system calls with which a start finds and changes the journal's files. Not every processor has all of them.
const CALLS: [&str; 7] = ["?mkdir,?mkdirat", "openat", "pwrite64", "fdatasync", "fsync", RENAME, UNLINK];
const RENAME: &str = "?rename,?renameat,?renameat2";
const UNLINK: &str = "?unlink,?unlinkat";

/// The calls that can fail in a start, and their errors.
const ERRORS: [(&str, &str); 5] =
    [("fdatasync", "EIO"), ("fsync", "EIO"), ("pwrite64", "ENOSPC"), (RENAME, "EIO"), (UNLINK, "EIO")];

/// More calls of a kind than a start makes.
const MANY: usize = 60;

/// The files that a start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It is the first one.
    Nothing,
    /// A server was killed.
    Complete,
    /// A server was killed while it made a file.
    Unfinished,
}

/// The result of a start that is disturbed.
#[derive(Debug, PartialEq, Eq)]
enum Start {
    /// It has ended before it was of use, with this exit code.
    Ended(Option<i32>),
    /// A client got its answer.
    Serves,
}

/// Kills starts at their first call of a kind, at their second one, and so on.
pub(crate) fn is_killed() {
    for (left, what) in [
        (Left::Nothing, "the first start"),
        (Left::Complete, "the process is killed while it serves 8 clients, and the next start"),
        (Left::Unfinished, "the process is killed while it makes a file, and the next start"),
    ] {
        let mut all = 0;
        let kills = CALLS.map(|call| {
            let mut rooms = Rooms::new();
            let is_through = |rooms: &mut Rooms, number| match rooms.start(call, "signal=SIGKILL", number) {
                Start::Serves => true,
                Start::Ended(code) => {
                    assert_eq!(code, None, "it ends by itself, before `{call}` number {number}");
                    false
                }
            };
            let through = (1..MANY).find(|&number| {
                rooms.leave(left);
                let is_through = is_through(&mut rooms, number);
                rooms.check();
                is_through
            });
            // And now each start finds what the one before has left.
            rooms.leave(left);
            let chain = (1..MANY).find(|&number| is_through(&mut rooms, number));
            rooms.check();
            all += chain.expect("a start gets through") - 1;
            through.expect("a start gets through") - 1
        });
        all += kills.iter().sum::<usize>();
        let name = |call: &'static str| call.trim_start_matches('?').split(',').next().unwrap_or(call);
        let counts: Vec<_> =
            CALLS.iter().zip(kills).map(|(call, kills)| format!("`{}` {kills}", name(call))).collect();
        let counts = counts.join(", ");
        // Nothing has to be removed if all files are complete.
        let least = CALLS.len() - usize::from(left != Left::Unfinished);
        assert!(
            kills.iter().filter(|&&kills| kills > 0).count() >= least,
            "a start has no such call: {counts}"
        );
        println!(
            "| {what} is killed at its nth system call of a kind, for each n ({counts}; and once more, without other starts in \
             between) | {all} | each count that a client had seen; no id twice |"
        );
    }
}

/// Lets the first call of a kind fail in a start, the second one in another start, and so on.
pub(crate) fn fails() {
    let mut tried = 0;
    for (call, error) in ERRORS {
        let mut rooms = Rooms::new();
        let through = (1..MANY).find(|&number| {
            rooms.leave(Left::Unfinished);
            let start = rooms.start(call, &format!("error={error}"), number);
            assert_ne!(start, Start::Ended(None), "it ends with an exit code");
            rooms.check();
            start == Start::Serves
        });
        tried += through.expect("a start gets through") - 1;
    }
    assert!(tried >= ERRORS.len());
    println!(
        "| `fdatasync`, `fsync`, `rename` or `unlink` fails with EIO, or a write with ENOSPC, while the process starts after a kill, at one place after the \
         other | {tried} | the process ends with an error and exit code 1, or 74 once it serves; each count that a client had seen; no id twice |"
    );
}

/// Rooms on disk, and what clients have seen of them.
struct Rooms {
    place: Place,
    seen: [Arc<Seen>; ROOMS],
}

impl Rooms {
    fn new() -> Self {
        Self { place: Place::new(), seen: Default::default() }
    }

    /// Kills a server whose clients write, after each of them has checked what it finds.
    fn check(&mut self) {
        let server = self.place.serve();
        let address = address(&server).expect("it starts");
        let checked = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (room, checked) = (number % ROOMS, Arc::clone(&checked));
                let seen = Arc::clone(&self.seen[room]);
                let before = seen.greatest();
                thread::spawn(move || talk(address, room, &seen, before, &checked))
            })
            .collect();
        eventually("each client checks what it finds, or fails", || {
            checked.load(Ordering::Relaxed) == CLIENTS || clients.iter().any(|client| client.is_finished())
        });
        server.signal(Signal::KILL);
        for client in clients {
            client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        assert_eq!(checked.load(Ordering::Relaxed), CLIENTS, "a client was not answered");
    }

    /// Sees to it that the next start finds this.
    fn leave(&mut self, left: Left) {
        match left {
            Left::Nothing => return *self = Self::new(),
            Left::Complete | Left::Unfinished => self.check(),
        }
        if left == Left::Unfinished {
            // Without spare files, a start makes one, with 256 writes. Nothing else writes so often.
            for file in self.files() {
                if file.to_string_lossy().contains("spare-") {
                    fs::remove_file(file).expect("it is there");
                }
            }
            let mut server = self.place.serve_with("write:signal=SIGKILL:when=100", &[]);
            assert_eq!(server.exit().0, None, "it makes no file");
            assert!(self.journal().join("unfinished").exists(), "it has made the file");
        }
    }

    /// Starts a server that is disturbed in its call with this number.
    fn start(&mut self, call: &str, disturbance: &str, number: usize) -> Start {
        // A start opens many other files.
        let files = if call == "openat" { self.files() } else { Vec::new() };
        let mut server = self.place.serve_with(&format!("{call}:{disturbance}:when={number}"), &files);
        let listening = server.find_line(Output::Stderr, "serving on ");
        if let Ok(address) = &listening
            && let Ok(address) = address.parse()
            && join(address, 0, &self.seen[0], self.seen[0].greatest()).is_ok()
        {
            server.signal(Signal::KILL);
            server.exit();
            return Start::Serves;
        }
        let code = server.exit().0;
        match code {
            None => {}
            Some(EXIT_CODE) => _ = server.line(Output::Stderr, "the journal cannot be written"),
            Some(code) => {
                let said = listening.expect_err("it ends with an error before it listens").join("\n");
                assert!(
                    code == 1 && said.contains("error: cannot keep rooms in `"),
                    "exit code {code}: {said}"
                );
            }
        }
        Start::Ended(code)
    }

    fn journal(&self) -> PathBuf {
        self.place.data().join("journal")
    }

    /// Returns the directories and their files, also some that are not there yet.
    fn files(&self) -> Vec<PathBuf> {
        let (data, journal) = (self.place.data(), self.journal());
        let files = fs::read_dir(&journal).into_iter().flatten().flatten().map(|entry| entry.path());
        files.chain([journal.join("unfinished"), data.join("lock"), data.join("modules"), journal]).collect()
    }
}

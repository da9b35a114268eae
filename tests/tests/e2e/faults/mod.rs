//! Tests what the command does on a machine that lacks something: file descriptors, space for the log, a clock that is right.
#![cfg(target_os = "linux")]

mod clock;
mod descriptors;
mod log;

use std::{collections::BTreeSet, fs, net::SocketAddr, process::Command};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use stateroom_tests::{Child, Client, Directory, Frame, Heard, Output, binary, counter, numbered};

/// A server in a process of its own, with the guest that counts.
struct Running {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

/// Returns a directory with the guest and a page.
fn dist() -> Directory {
    Directory::new().with("dist/server.wasm", counter()).with("dist/static/page.html", "a page")
}

/// Returns the command that serves what is in a directory.
fn serve(directory: &Directory, options: &[&str]) -> Command {
    let mut command = Command::new(binary("stateroom"));
    command.args(["serve", "dist", "--ip", "127.0.0.1", "--port", "0"]).args(options);
    command.current_dir(directory.path());
    command
}

impl Running {
    #[track_caller]
    fn start(options: &[&str]) -> Self {
        Self::start_in(dist(), options)
    }

    #[track_caller]
    fn start_in(directory: Directory, options: &[&str]) -> Self {
        let command = serve(&directory, options);
        Self::of(directory, command)
    }

    /// Starts a command that serves what is in the directory.
    #[track_caller]
    fn of(directory: Directory, mut command: Command) -> Self {
        let child = Child::of(&mut command);
        let said = child.line(Output::Stderr, "serving on ");
        let address = said.split('"').next().and_then(|address| address.parse().ok()).expect("an address");
        Self { child, address, directory }
    }

    /// Ends it, and returns the lines that it has written since the last one that was looked for.
    #[track_caller]
    fn end(self) -> (Vec<String>, Directory) {
        let Self { child, directory, .. } = self;
        child.signal(Signal::TERM);
        let lines = child.find_line(Output::Stderr, "a line that never comes").expect_err("there is none");
        (lines, directory)
    }

    /// Returns the numbers of its files that are open, and the first one behind all but those that it was started with.
    #[track_caller]
    fn files(&self) -> (BTreeSet<u64>, u64) {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs");
        let open: BTreeSet<u64> =
            open.map_while(Result::ok).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        let end = open.iter().find(|number| open.range(*number + 1..*number + 30).next().is_none());
        let end = end.map_or(0, |last| last + 1);
        (open, end)
    }

    /// Lets clients come until no number is free below those that are taken: the limit is one of numbers, and each new file gets the
    /// lowest that is free.
    #[track_caller]
    fn fill<T>(&self, mut come: impl FnMut() -> T) -> Vec<T> {
        let mut clients = Vec::new();
        loop {
            let (open, end) = self.files();
            if (0..end).all(|number| open.contains(&number)) {
                return clients;
            }
            clients.push(come());
        }
    }

    /// Lets it have so many more files open than it has now.
    #[track_caller]
    fn allow_more_files(&self, more: u64) {
        let (current, maximum) = (Some(self.files().1 + more), getrlimit(Resource::Nofile).maximum);
        let pid = Pid::from_raw(self.child.id().cast_signed());
        prlimit(pid, Resource::Nofile, Rlimit { current, maximum }).expect("the process is ours");
    }
}

/// A client of the room that counts.
struct Counting(Client);

impl Counting {
    #[track_caller]
    fn join(address: SocketAddr, room: &str) -> Self {
        let client = Client::connect(address, &format!("/ws/{room}"));
        let mut client = client.unwrap_or_else(|answer| panic!("no upgrade: {answer:?}"));
        assert_eq!(client.next_binary().len(), 4, "its id");
        Self(client)
    }

    /// Sends a message of this size or a little more, and returns the count that it is.
    #[track_caller]
    fn count(&mut self, size: usize) -> u64 {
        let mut frame: Frame = numbered(7);
        frame.payload.resize(frame.payload.len().max(size), 0);
        self.0.frame(&frame);
        let heard = Heard::try_from(Frame::new(Frame::BINARY, self.0.next_binary())).expect("a message");
        let Heard::Count { count, message: 7, .. } = heard else { panic!("{heard:?}") };
        count
    }
}

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{self, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    address::NEWCOMER,
    http::ask,
    launch,
    log::{Log, Reader},
    memory_group::MemoryGroup,
    watch::Watch,
};

const START: Duration = Duration::from_secs(10);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: process::Child,
    pub(crate) address: SocketAddr,
    /// The operator's address.
    pub(crate) operator: SocketAddr,
    pub(crate) log: Log,
    pub(crate) watch: Watch,
}

impl Server {
    /// Starts it and waits until it serves.
    ///
    /// It may have `files` open, if that says how many, and has the memory of the group.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        files: Option<u32>,
        group: Option<&MemoryGroup>,
        reader: Reader,
    ) -> Result<Self, String> {
        let mut command = launch::command(program, files, group);
        command.args(arguments).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|error| error.to_string())?;
        let stderr = process.stderr.take().ok_or("it was asked for")?;
        let watch = Watch::begin(process.id());
        let log = Log::read(stderr, reader);
        let nowhere = ([127, 0, 0, 1], 0).into();
        let mut server = Self { process, address: nowhere, operator: nowhere, log, watch };
        let addresses = server.log.addresses(START);
        let addresses = addresses.map_err(|said| format!("the server does not start: {said}"))?;
        (server.address, server.operator) = (addresses.public, addresses.operator);
        // It has said so before its threads take connections, and those that come earlier are not like others: they
        // have not got the listener's options.
        ask(server.address, NEWCOMER, "GET", "/status", START)
            .map_err(|error| format!("the server does not answer: {error}"))?;
        Ok(server)
    }

    /// Returns how it has ended, if it has.
    pub(crate) fn end(&mut self) -> Option<String> {
        let status = self.process.try_wait().ok()??;
        // `signal: 9 (SIGKILL)` or `exit status: 1`
        Some(status.to_string())
    }

    /// Returns how many files and sockets it has open.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).map(Iterator::count).unwrap_or_default()
    }

    /// Asks it to end, and says how long that took; nothing where it is still there after `patience`.
    pub(crate) fn terminate(&mut self, patience: Duration) -> Option<Duration> {
        let begin = Instant::now();
        // It may have gone.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        while begin.elapsed() < patience {
            if self.end().is_some() {
                return Some(begin.elapsed());
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

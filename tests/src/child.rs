use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};

use crate::{PATIENCE, eventually};

/// Returns the directory that cargo builds into, as it did with the program that runs.
pub(crate) fn target_directory() -> PathBuf {
    let program = env::current_exe().expect("a program has a path");
    // target/debug/deps/program, if it is a test or a benchmark, or else target/debug/program.
    let profile = program.ancestors().skip(1).find(|directory| !directory.ends_with("deps"));
    profile.and_then(Path::parent).expect("cargo's layout").to_owned()
}

/// Returns the root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace")
}

/// Returns one of the workspace's programs, built first.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = target_directory();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--bins"]);
        cargo.args(["-p", "stateroom-smol", "-p", "native-echo", "-p", "embed"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(workspace()).env("CARGO_TARGET_DIR", &target).status();
        assert!(status.expect("cargo runs").success(), "the programs do not build");
    });
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    target.join(profile).join(name).with_extension(env::consts::EXE_EXTENSION)
}

/// A program that runs, and is ended with the test at the latest.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    stdout: Lines,
    stderr: Lines,
}

/// The stream that a program writes lines to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[derive(Debug)]
struct Lines(mpsc::Receiver<String>);

impl Lines {
    /// Reads on for as long as the program runs, so that it never waits for the test.
    fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self(lines)
    }
}

impl Child {
    /// Starts one of the workspace's programs.
    #[track_caller]
    pub fn start(name: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::of(Command::new(binary(name)).args(arguments))
    }

    /// Starts one of the workspace's programs, which may have so many files and sockets open at a time.
    #[cfg(unix)]
    #[track_caller]
    pub fn start_confined(files: u32, name: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        let script = format!("ulimit -n {files} && exec \"$0\" \"$@\"");
        Self::of(Command::new("sh").arg("-c").arg(script).arg(binary(name)).args(arguments))
    }

    /// Starts a program that is not the workspace's own.
    #[track_caller]
    pub fn of(command: &mut Command) -> Self {
        Self::of_stdin(command, Stdio::piped())
    }

    /// Starts a program with this as its standard input.
    #[track_caller]
    pub fn of_stdin(command: &mut Command, stdin: impl Into<Stdio>) -> Self {
        command.env_remove("RUST_LOG");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("it has been built");
        let stdout = Lines::of(process.stdout.take().expect("it was asked for"));
        let stderr = Lines::of(process.stderr.take().expect("it was asked for"));
        Self { process, stdout, stderr }
    }

    /// Waits for a line with `part` in it, and returns what comes behind that.
    #[track_caller]
    pub fn line(&self, output: Output, part: &str) -> String {
        self.find_line(output, part)
            .unwrap_or_else(|seen| panic!("no line with {part:?} on {output:?}, but {seen:#?}"))
    }

    /// Waits for a line with `part` in it, and returns what comes behind that.
    ///
    /// # Errors
    /// There is none: these are the lines that there are.
    pub fn find_line(&self, output: Output, part: &str) -> Result<String, Vec<String>> {
        let lines = self.lines(output);
        let mut seen = Vec::new();
        while let Ok(line) = lines.0.recv_timeout(PATIENCE) {
            if let Some((_, rest)) = line.split_once(part) {
                return Ok(rest.to_owned());
            }
            seen.push(line);
        }
        Err(seen)
    }

    /// Waits for its next line, and returns it.
    #[track_caller]
    pub fn next_line(&self, output: Output) -> String {
        self.lines(output).0.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line on {output:?}"))
    }

    fn lines(&self, output: Output) -> &Lines {
        match output {
            Output::Stdout => &self.stdout,
            Output::Stderr => &self.stderr,
        }
    }

    /// Returns the number that the system knows it by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns whether it has not ended yet.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Writes a line to its standard input.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        let stdin = self.process.stdin.as_mut().expect("it has not been closed");
        writeln!(stdin, "{line}").expect("it reads");
    }

    /// Closes its standard input.
    pub fn end_input(&mut self) {
        self.process.stdin.take();
    }

    /// Sends it a signal.
    #[cfg(unix)]
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal)
            .expect("it is ours, and nobody has waited for it");
    }

    /// Returns how many bytes of memory it has at present that are not swapped out or never touched.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Returns the most of that which it has ever had.
    #[cfg(target_os = "linux")]
    #[track_caller]
    pub fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    #[cfg(target_os = "linux")]
    #[track_caller]
    fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("every process has it");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes");
        kilobytes * 1024
    }

    /// Waits for it to end; returns its exit code, and how long it took.
    #[track_caller]
    pub fn exit(&mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        let mut status = None;
        eventually("the program ends", || {
            status = self.process.try_wait().expect("it is ours");
            status.is_some()
        });
        (status.and_then(|status| status.code()), begin.elapsed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

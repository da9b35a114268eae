//! The way from this program to the server: a process that sets its limits, and becomes the server.

use std::{
    fs, io,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{self, Command},
};

use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use crate::memory_group::MemoryGroup;

/// The first word of a command line that is no user's.
pub(crate) const LAUNCH: &str = "--launch";
/// Stands for no limit.
const NONE: &str = "";

/// Returns the command that becomes a program, which may have so many files open, has the memory of the group, and does
/// not outlive this process. The program's arguments are to be added.
pub(crate) fn command(program: &Path, files: Option<u32>, group: Option<&MemoryGroup>) -> Command {
    // This very program, even where another one has been built in its place.
    let mut command = Command::new("/proc/self/exe");
    command.arg(LAUNCH).arg(files.map_or_else(|| NONE.to_owned(), |files| files.to_string()));
    command.arg(group.map(MemoryGroup::processes).unwrap_or_default()).arg(program);
    command
}

/// Becomes what the words behind [`LAUNCH`] say; returns only why that is not possible.
pub(crate) fn launch(words: impl Iterator<Item = String>) -> String {
    match become_it(words) {
        Ok(error) => format!("the server does not start: {error}"),
        Err(error) => format!("the server cannot be limited: {error}"),
    }
}

fn become_it(mut words: impl Iterator<Item = String>) -> io::Result<io::Error> {
    let mut next = || words.next().ok_or(io::ErrorKind::InvalidInput);
    let (files, group, program) = (next()?, next()?, next()?);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if files != NONE {
        let files = Some(files.parse().map_err(io::Error::other)?);
        setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files })?;
    }
    if group != NONE {
        fs::write(group, process::id().to_string())?;
    }
    Ok(Command::new(program).args(words).exec())
}

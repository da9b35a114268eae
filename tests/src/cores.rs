use std::{io, process::Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A core for the server and another one for the load, so that neither takes the other's time.
#[derive(Debug)]
pub struct Cores {
    all: CpuSet,
    /// Their numbers; nothing where there is one alone.
    two: Option<[usize; 2]>,
}

impl Cores {
    /// Looks which cores this process may use.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn find() -> io::Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut numbers = (0..CpuSet::MAX_CPU).filter(|&core| all.is_set(core));
        let two = numbers.next().zip(numbers.next()).map(|(server, load)| [server, load]);
        Ok(Self { all, two })
    }

    /// Returns where things run, in words.
    #[must_use]
    pub fn described(&self) -> &'static str {
        match self.two {
            Some(_) => "the server on one core and the load on another one",
            None => "server and load share the only core",
        }
    }

    /// Starts a server on its core.
    ///
    /// # Errors
    /// It does not start, or not there.
    pub fn server<T>(
        &self,
        command: &mut Command,
        start: fn(&mut Command) -> io::Result<T>,
    ) -> io::Result<T> {
        self.on(self.two.map(|[server, _]| server), command, start)
    }

    /// Starts the load on its core.
    ///
    /// # Errors
    /// It does not start, or not there.
    pub fn load<T>(&self, command: &mut Command, start: fn(&mut Command) -> io::Result<T>) -> io::Result<T> {
        self.on(self.two.map(|[_, load]| load), command, start)
    }

    /// Runs `start` on this core. What it starts stays on this core, too.
    fn on<T>(
        &self,
        core: Option<usize>,
        command: &mut Command,
        start: fn(&mut Command) -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(core) = core else { return start(command) };
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one)?;
        let started = start(command);
        sched_setaffinity(None, &self.all)?;
        started
    }
}

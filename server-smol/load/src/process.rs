use std::{fs, time::Duration};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};

/// The server's process, with the data that the system shows about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(u32);

impl Process {
    /// Returns the process with this id, if there is one.
    pub(crate) fn find(id: u32) -> Result<Self> {
        let process = Self(id);
        process.cpu()?;
        process.resident()?;
        Ok(process)
    }

    /// Returns the processor time of its threads, in user mode and in the kernel.
    ///
    /// It is exact to the nanosecond. `stat` has only hundredths of a second.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0))
            .with_context(|| format!("there is no process {} to measure; is the server running?", self.0))?;
        let mut sum = 0;
        for thread in threads.flatten() {
            // A thread that has ended has no file any more.
            let Ok(line) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            sum += line.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Returns its resident memory, in bytes.
    pub(crate) fn resident(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))
            .with_context(|| format!("cannot read the memory of process {}", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("process {} has ended", self.0))? * 1024)
    }
}

/// Returns the processor time of this process.
pub(crate) fn own_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

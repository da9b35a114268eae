use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The time between two looks. There is nothing to see of a process that has been killed.
const INTERVAL: Duration = Duration::from_millis(10);

/// The resources that a process has used.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Taken {
    /// The most memory that it has had, in bytes (`VmHWM`).
    pub(crate) memory: u64,
    /// The CPU time of its threads, in the system as in the program.
    pub(crate) cpu: Duration,
}

/// Looks at a process until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    last: Arc<Mutex<Taken>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn begin(process: u32) -> Self {
        let (last, is_over) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&last), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            let (last, is_over) = shared;
            while !is_over.load(Ordering::Relaxed) {
                if let Some(taken) = look(process) {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) = taken;
                }
                thread::sleep(INTERVAL);
            }
        });
        Self { last, is_over, thread: Some(thread) }
    }

    /// Returns what it has taken so far, or until it ended.
    pub(crate) fn taken(&self) -> Taken {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(process: u32) -> Option<Taken> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    // One that has ended and is not waited for yet has no memory.
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten() {
        // A thread that has ended meanwhile has no file any more.
        let Ok(line) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        nanoseconds += line.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).unwrap_or_default();
    }
    Some(Taken { memory: kilobytes * 1024, cpu: Duration::from_nanos(nanoseconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_run() {
        let taken = look(std::process::id()).unwrap();
        assert!(taken.memory > 100_000 && taken.cpu > Duration::ZERO, "{taken:?}");
    }
}

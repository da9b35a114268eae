use std::{path::PathBuf, process::Child};

use rustix::process::{Pid, Signal, kill_process};

use crate::output::printed;

/// A command that runs until it is stopped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) output: PathBuf,
}

impl Serving {
    /// Ends it as systemd does.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the server ends with {status}\n{}", printed(&self.output));
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(target_os = "linux")]
use std::io;

#[cfg(target_os = "linux")]
use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};

/// The terminal that stdin is. On Linux it passes each key on at once while this exists, and shows none.
#[derive(Debug)]
pub(crate) struct Terminal {
    #[cfg(target_os = "linux")]
    before: Termios,
}

#[cfg(target_os = "linux")]
impl Terminal {
    /// Returns `None` if stdin is no terminal, or if this process is in its background.
    pub(crate) fn open() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        // The system stops a process that reads from there.
        if tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground != getpgrp()) {
            return None;
        }
        let mut keys = before.clone();
        // Ctrl-C stays a signal.
        keys.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Now, &keys).ok()?;
        Some(Self { before })
    }

    /// Returns what has to be known of how keys are typed.
    pub(crate) fn how(&self) -> &'static str {
        ""
    }
}

#[cfg(target_os = "linux")]
impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(not(target_os = "linux"))]
impl Terminal {
    /// Returns `None` if stdin is no terminal.
    pub(crate) fn open() -> Option<Self> {
        std::io::IsTerminal::is_terminal(&std::io::stdin()).then_some(Self {})
    }

    /// Returns what has to be known of how keys are typed.
    pub(crate) fn how(&self) -> &'static str {
        " (with Enter)"
    }
}

use std::io::{self, Write as _};

use anyhow::Result;
use clap::CommandFactory as _;

use super::args::{Args, CompletionsArgs};

/// `stateroom completions`: prints a script for a shell.
pub(crate) fn run(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "stateroom", &mut script);
    // The reader of the output may be gone. That must not cause a panic.
    let _ = io::stdout().write_all(&script);
    Ok(())
}

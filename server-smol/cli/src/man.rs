use std::fs;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use super::args::{Args, ManArgs};

/// `stateroom man`: writes a manual page for each command.
pub(crate) fn run(args: &ManArgs) -> Result<()> {
    let directory = &args.directory;
    let shown = directory.display();
    fs::create_dir_all(directory).with_context(|| format!("cannot create `{shown}`"))?;
    clap_mangen::generate_to(Args::command(), directory)
        .with_context(|| format!("cannot write manual pages to `{shown}`"))
}

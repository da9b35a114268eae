use std::path::PathBuf;

use stateroom_server_smol::Upgrade;

use super::{ROOMS, ServerArgs};

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[cfg_attr(
        feature = "dev",
        doc = "A module (`.wasm`, or `.wat` for the text format), or a `dist` directory"
    )]
    #[cfg_attr(not(feature = "dev"), doc = "A module (`.wasm`), or a `dist` directory")]
    pub(crate) module: PathBuf,

    /// Serve the playground at the operator's address, below `/_/`: a page that shows what happens
    /// in a room, and that takes part in it
    #[cfg(feature = "dev")]
    #[arg(long, requires = "admin", verbatim_doc_comment)]
    pub(crate) playground: bool,

    /// Keep or reset a room when the module is loaded again (SIGHUP, or `POST /reload` at the
    /// operator's address) and its guest cannot take its state along:
    /// keep     it stays on its module; new rooms run the new one
    /// reset    it starts afresh, with the clients that are in it
    #[arg(long, value_name = "HOW", default_value = "keep", verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true, hide_possible_values = true)]
    pub(crate) upgrade: UpgradeArg,

    /// Record the events of the room with this id in a file, from its beginning on; may be repeated.
    /// `stateroom replay` runs them again. The file contains what clients have sent
    #[cfg(feature = "dev")]
    #[arg(long, value_name = "ROOM", verbatim_doc_comment, help_heading = ROOMS, hide_long_help = true)]
    pub(crate) record: Vec<String>,

    /// The directory for `--record`
    #[cfg(feature = "dev")]
    #[arg(long, value_name = "DIR", default_value = "recordings", requires = "record")]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    pub(crate) record_to: PathBuf,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// A value of `--upgrade`.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum UpgradeArg {
    Keep,
    Reset,
}

impl From<UpgradeArg> for Upgrade {
    fn from(upgrade: UpgradeArg) -> Self {
        match upgrade {
            UpgradeArg::Keep => Self::Keep,
            UpgradeArg::Reset => Self::Reset,
        }
    }
}

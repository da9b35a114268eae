use std::path::PathBuf;

use hyper::Uri;

#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// A recording: a file that `dev` has written when a room failed, or that `serve --record` has
    /// written. If there is no such file: the id of a room that `dev` serves
    #[arg(verbatim_doc_comment)]
    pub(crate) recording: PathBuf,

    /// The number of the last event to run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) until: Option<u64>,

    /// Run the events in another module, too: stop at the first event that has other effects there
    #[arg(long, value_name = "MODULE", verbatim_doc_comment)]
    pub(crate) with: Option<PathBuf>,

    /// Wait for the Enter key after each event
    #[arg(long)]
    pub(crate) step: bool,

    /// The address of the playground, or of the operator, for the id of a room
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080/_")]
    pub(crate) server: Uri,
}

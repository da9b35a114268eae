use std::path::PathBuf;

use clap::Subcommand;
use stateroom_server_smol::AdminAddress;

use crate::limits::LimitArgs;

use super::serve::size as journal_size;

/// What follows the options of `stateroom rooms --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  stateroom rooms list --data DIR                            no server uses this directory now
  stateroom rooms show lobby --admin ./admin.sock            a server runs (`serve --admin`)
  stateroom rooms export lobby --data DIR -o lobby.room
  stateroom rooms export --all --admin ./admin.sock -o backup
  stateroom rooms import backup/*.room --data OTHER
  stateroom rooms import lobby.room --data OTHER --as hall   the room gets another id
  stateroom rooms delete lobby --admin 127.0.0.1:9000
  stateroom rooms show --data DIR -- -x                      an id that begins with `-`

`stateroom rooms <COMMAND> --help` explains each option.";

#[derive(Debug, clap::Args)]
pub(crate) struct RoomsArgs {
    #[command(subcommand)]
    pub(crate) action: RoomsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoomsAction {
    /// List rooms: module, size on the disk, clients, timer, id
    List {
        #[command(flatten)]
        place: Place,
    },

    /// Show all that is known of a room
    Show {
        /// The id of the room
        room: String,

        #[command(flatten)]
        place: Place,
    },

    /// Write a room to a file, which another server can import. `stateroom replay` runs it, too
    #[command(verbatim_doc_comment)]
    Export {
        /// The id of the room
        #[arg(required_unless_present = "all")]
        room: Option<String>,

        /// Export all rooms, each to a file in the directory `--output`, which is new or empty
        #[arg(long, conflicts_with = "room", requires = "output")]
        all: bool,

        /// The file to write. Default: standard output
        #[arg(short, long, value_name = "PATH")]
        output: Option<PathBuf>,

        #[command(flatten)]
        place: Place,
    },

    /// Make rooms of files that `export` has written
    ///
    /// A room has the limits in its file, or those of the server if they are lower. With `--data`,
    /// give the options for limits that the server has (`stateroom limits`).
    #[command(verbatim_doc_comment)]
    Import {
        /// The files; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,

        /// The id of the room, for one file. Default: the one in the file
        #[arg(long = "as", value_name = "ROOM")]
        id: Option<String>,

        /// With `--data`: the `--journal-size` of the server that will use the directory. A room for which it has
        /// no space is not imported
        #[arg(long, value_name = "SIZE", default_value = "1GiB", conflicts_with = "admin", value_parser = journal_size)]
        #[arg(verbatim_doc_comment)]
        journal_size: u64,

        #[command(flatten)]
        limits: LimitArgs,

        #[command(flatten)]
        place: Place,
    },

    /// End a room and delete it from the disk
    Delete {
        /// The id of the room
        room: String,

        #[command(flatten)]
        place: Place,
    },
}

/// The place of the rooms.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The directory of rooms that no server uses at the moment
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// The operator's address of a server that runs: see `serve --admin`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<AdminAddress>,
}

//! The arguments of the command.

#[cfg(feature = "auth")]
mod access;
#[cfg(feature = "dev")]
mod inspect;
#[cfg(feature = "dev")]
mod project;
#[cfg(feature = "dev")]
mod replay;
#[cfg(feature = "rooms")]
mod rooms;
mod serve;
mod server;
#[cfg(feature = "auth")]
mod token;

use clap::{ArgAction, Parser, Subcommand};
use log::LevelFilter;

#[cfg(feature = "dev")]
use super::color::Color;
use super::limits::Page;

#[cfg(feature = "dev")]
use self::project::{COMPLETIONS, MAN, PROJECT};
#[cfg(feature = "rooms")]
pub(crate) use self::rooms::{Place, RoomsAction, RoomsArgs};
#[cfg(feature = "auth")]
pub(crate) use self::{access::read_key, token::TokenArgs};
#[cfg(feature = "dev")]
pub(crate) use self::{
    inspect::InspectArgs,
    project::{BuildArgs, CompletionsArgs, DevArgs, ManArgs, NewArgs, ProjectArgs, project_help},
    replay::ReplayArgs,
};
pub(crate) use self::{
    serve::{DurabilityArg, ServeArgs},
    server::ServerArgs,
};

#[cfg(feature = "dev")]
const EXAMPLES: &str = "\
Examples:
  stateroom new lobby                 create a guest package
  stateroom dev                       build the package in this directory and serve it
  stateroom build examples/chat       write examples/chat/dist, ready to be copied to a server
  stateroom serve dist --port 80      serve what `build` has written
  stateroom serve echo.wat            serve a module in the text format
  stateroom inspect --check room.wasm check a module
  stateroom load echo ws://HOST/ws    measure a server

`stateroom <COMMAND> --help` explains each option.";
#[cfg(not(feature = "dev"))]
const EXAMPLES: &str = "\
Examples:
  stateroom serve dist --port 80      serve what `stateroom build` has written
  stateroom serve echo.wasm           serve a module

`stateroom serve --help` explains each option.";

/// The version, with the commit if the build knows it.
const VERSION: &str = match option_env!("STATEROOM_VERSION") {
    Some(with_commit) => with_commit,
    None => env!("CARGO_PKG_VERSION"),
};

/// Stateful WebSocket rooms whose logic is a small WebAssembly module.
#[derive(Debug, Parser)]
#[command(name = "stateroom", version = VERSION, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Log only warnings and errors; if given twice, only errors
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "verbose", display_order = 100)]
    quiet: u8,

    /// Log more; if given twice, everything
    #[arg(short, long, action = ArgAction::Count, global = true, display_order = 100)]
    verbose: u8,

    /// Print in colours: `always`, `never`, or `auto` (on a terminal, unless there is `NO_COLOR`)
    #[cfg(feature = "dev")]
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true, display_order = 100)]
    #[arg(hide_possible_values = true)]
    pub(crate) color: Color,
}

impl Args {
    pub(crate) fn log_level(&self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (0, 0) => LevelFilter::Info,
            (0, 1) => LevelFilter::Debug,
            (0, _) => LevelFilter::Trace,
            (1, _) => LevelFilter::Warn,
            _ => LevelFilter::Error,
        }
    }
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub(crate) enum Command {
    /// Create a guest package from a template
    #[cfg(feature = "dev")]
    New(NewArgs),

    /// Build a package as a guest and serve it; repeat this when a source file changes
    #[cfg(feature = "dev")]
    #[command(next_line_help = true, disable_help_flag = true, after_help = format!("{LIMITS} {PROJECT}"))]
    Dev(DevArgs),

    /// Build a package as a guest, into its `dist` directory
    #[cfg(feature = "dev")]
    #[command(after_help = project_help())]
    Build(BuildArgs),

    /// Serve a module
    #[command(next_line_help = true, disable_help_flag = true, after_help = LIMITS)]
    Serve(ServeArgs),

    /// List, show, export, import or delete rooms that are kept on disk (`serve --data`)
    #[cfg(feature = "rooms")]
    #[command(after_help = rooms::EXAMPLES)]
    Rooms(RoomsArgs),

    /// List the limits of `serve`, with their defaults and what they protect
    #[command(long_about = Page.to_string(), help_template = "{about}")]
    Limits,

    /// Describe a module, or check that it is a valid guest
    #[cfg(feature = "dev")]
    Inspect(InspectArgs),

    /// Run the events of a recorded room again, one after the other
    #[cfg(feature = "dev")]
    Replay(ReplayArgs),

    /// Make a token with which a client can enter a room, for tests (`serve --auth-key`)
    #[cfg(feature = "auth")]
    #[command(after_help = token::EXAMPLES)]
    Token(TokenArgs),

    /// Print a script with which a shell completes the command
    #[cfg(feature = "dev")]
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),

    /// Write manual pages of all commands
    #[cfg(feature = "dev")]
    #[command(after_help = MAN)]
    Man(ManArgs),

    /// Measure a WebSocket server: this one or any other
    #[cfg(all(feature = "load", target_os = "linux"))]
    Load(stateroom_load::LoadArgs),

    /// Measure a WebSocket server; only on Linux
    #[cfg(all(feature = "load", not(target_os = "linux")))]
    Load(NoArgs),
}

/// The arguments of a command that does not exist on this system.
#[cfg(all(feature = "load", not(target_os = "linux")))]
#[derive(Debug, clap::Args)]
pub(crate) struct NoArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    ignored: Vec<String>,
}

const LIMITS: &str = "Limits: see `stateroom limits`.";

/// The headings of the options of a server.
const CLIENTS: &str = "Clients";
const ROOMS: &str = "Rooms";
const SERVER: &str = "Server";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }
}

use std::{env, net::IpAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use anyhow::{Result, anyhow};
use clap::{ArgAction, Parser, Subcommand};
#[cfg(feature = "dev")]
use clap_complete::Shell;
#[cfg(feature = "dev")]
use hyper::Uri;
use hyper::header::HeaderName;
use log::LevelFilter;
use stateroom_server_smol::{AdminAddress, RoomIds, Settings, ShutdownPolicy, Upgrade};

use super::limits::{LimitArgs, Page};
#[cfg(feature = "dev")]
use super::{
    color::Color,
    linker::{FOR_PANICS, Memory},
    new::Template,
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

    /// List the limits of `serve`, with their defaults and what they protect
    #[command(long_about = Page.to_string(), help_template = "{about}")]
    Limits,

    /// Describe a module, or check that it is a valid guest
    #[cfg(feature = "dev")]
    Inspect(InspectArgs),

    /// Run the events of a recorded room again, one after the other
    #[cfg(feature = "dev")]
    Replay(ReplayArgs),

    /// Print a script with which a shell completes the command
    #[cfg(feature = "dev")]
    #[command(after_help = COMPLETIONS)]
    Completions(CompletionsArgs),

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

#[cfg(feature = "dev")]
const PROJECT: &str = "The optional file `stateroom.toml`: see `stateroom build --help`.";

/// The headings of the options of a server.
const CLIENTS: &str = "Clients";
const ROOMS: &str = "Rooms";
const SERVER: &str = "Server";

#[cfg(feature = "dev")]
const COMPLETIONS: &str = "\
For bash, write this into ~/.bashrc:
  source <(stateroom completions bash)
For fish:
  stateroom completions fish > ~/.config/fish/completions/stateroom.fish
For zsh, write the script to a file `_stateroom` in a directory of `$fpath`.";

#[cfg(feature = "dev")]
pub(crate) fn project_help() -> String {
    let [none, heap, std] = [Memory::Static, Memory::Heap, Memory::Std].map(Memory::stack_size);
    format!(
        "\
Without `--portable`, guests without the standard library are built with pages of one byte, so that a
room takes only the memory that it uses. This server runs such guests. Engines without the
custom-page-sizes proposal do not. A portable module uses only WebAssembly 1.0 and bulk memory.

A `stateroom.toml` beside `Cargo.toml` is optional. It may contain:
  static_files = \"web\"                a directory to serve at `/`, without its hidden files
                                      except `.well-known`
  [service]
  package = \"chat\"                    which package of the workspace; default: the one at PATH
  target = \"wasm32-wasip1\"            default: wasm32-unknown-unknown
  stack_size = 4096                   bytes of stack; default: {none} without an allocator,
                                      {heap} with one, {std} with the standard library;
                                      `dev` adds {FOR_PANICS}, for panic messages
  [limits]
  memory = \"64MiB\"                    the same as `--max-memory 64MiB`; all limits can be set
                                      here (`stateroom limits`); a flag replaces the value"
    )
}

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The name of the package and of its directory. A path before the name sets the parent directory
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,

    /// The room to begin with
    #[arg(long, default_value = "counter")]
    pub(crate) template: Template,

    /// Build without the standard library: a room then takes about 12 KB of memory instead of 78 KB
    #[arg(long)]
    pub(crate) no_std: bool,
}

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that completes
    pub(crate) shell: Shell,
}

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Open the page in the browser when it is served
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[cfg(feature = "dev")]
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ProjectArgs {
    /// The directory of the guest's `Cargo.toml`
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Build for any WebAssembly engine, with memory pages of 64 KiB
    #[arg(long)]
    pub(crate) portable: bool,
}

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

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayArgs {
    /// A recording: a file that `dev` has written when a room failed, or that `serve --record` has
    /// written. If there is no such file: the id of a room that `dev` serves
    #[arg(verbatim_doc_comment)]
    pub(crate) recording: PathBuf,

    /// The number of the last event to run
    #[arg(long, value_name = "N")]
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

#[cfg(feature = "dev")]
#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// A module (`.wasm`, or `.wat` for the text format), or a `dist` directory
    ///
    /// If a `dist` directory has a `stateroom.toml`, the limits in it are used.
    #[arg(verbatim_doc_comment)]
    pub(crate) module: PathBuf,

    /// Run rooms of the module as a server does, and list all problems with their fixes
    ///
    /// Clients connect, send messages of many sizes, and disconnect. None of this may end the
    /// room. The room's memory must not grow without end during ten thousand messages. The
    /// exit status is 0 if nothing is wrong, and 1 otherwise.
    #[arg(long, verbatim_doc_comment)]
    pub(crate) check: bool,

    /// A text that the clients also send, for example one that the service expects; may be repeated
    #[arg(long, value_name = "TEXT", requires = "check")]
    pub(crate) say: Vec<String>,

    /// Information about each client, such as query:name=Ada; may be repeated
    ///
    /// A KEY is one that rooms can ask for: `query`, `query:NAME`, `header:NAME` with the name
    /// in lower case, or `address`.
    #[arg(long, value_name = "KEY=VALUE", requires = "check", value_parser = client_info, verbatim_doc_comment)]
    pub(crate) with: Vec<(String, String)>,
}

#[cfg(feature = "dev")]
fn client_info(text: &str) -> Result<(String, String), String> {
    let known = |key: &str| match key.split_once(':') {
        Some(("query", name)) => !name.is_empty(),
        Some(("header", name)) => header_name(name).is_ok_and(|lower| lower == name),
        _ => ["query", "address"].contains(&key),
    };
    match text.split_once('=').filter(|(key, _)| known(key)) {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => {
            Err("is not a KEY=VALUE with query, query:NAME, header:NAME in lower case, or address".to_owned())
        }
    }
}

/// The options of `serve` and `dev`.
///
/// With `--help` they are listed in clap's short form, because the long form has empty lines between options. So the long form
/// is free for `-h`, which lists only those options that are used most.
#[derive(Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The port to listen on; 0 lets the system choose. Default: `PORT` in the environment, or 8080
    #[arg(short, long, value_parser = port as Number, allow_negative_numbers = true, verbatim_doc_comment)]
    port: Option<usize>,

    /// The address to listen on. 0.0.0.0 is every interface of this machine, and :: adds IPv6.
    #[cfg_attr(
        feature = "dev",
        doc = "127.0.0.1 accepts only local connections. Default: 0.0.0.0, and for `stateroom dev` 127.0.0.1"
    )]
    #[cfg_attr(
        not(feature = "dev"),
        doc = "127.0.0.1 accepts only local connections; use it behind a proxy. Default: 0.0.0.0"
    )]
    #[arg(long, value_parser = ip, verbatim_doc_comment)]
    ip: Option<IpAddr>,

    /// List the options that are used most
    #[arg(short = 'h', action = ArgAction::HelpLong, display_order = 101)]
    help_short: Option<bool>,

    /// List all options
    #[arg(long = "help", action = ArgAction::HelpShort, display_order = 101)]
    help_all: Option<bool>,

    /// Time between two pings to each client: many proxies close silent connections. 0: no pings
    #[arg(short = 'i', long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    heartbeat_interval: Duration,

    /// Time after which a client that sends nothing is disconnected; 0 means never. It should be
    /// longer than the interval: a client that only listens sends only answers to pings
    #[arg(short = 't', long, value_name = "SECONDS", default_value = "120", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    heartbeat_timeout: Duration,

    /// Time for a client to finish a message, or up to twice this time. 0 means no limit
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    message_timeout: Duration,

    /// Time for a client to read some of its waiting data, or up to twice this time. 0 means no limit
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    outbox_timeout: Duration,

    /// Time for which the session of a client waits for a new connection if the old one is lost. Only
    /// clients that ask for it have such sessions: the client library does. 0: sessions do not wait
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    resume: Duration,

    /// The way in which clients create rooms. The operator (`--admin`) can always create them:
    /// implicit    connecting to a room that does not exist creates it; `POST /ws/{room}` too
    /// explicit    only `POST /ws/{room}` creates a room
    /// generated   only `POST /new_room` creates a room, with an id of ten characters that nobody
    ///             can guess; with generated:uuid it is a UUID
    #[arg(long, value_name = "MODE", default_value = "implicit", verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    room_ids: RoomIds,

    /// The time at which empty rooms end:
    /// never       when the server ends; until then they keep their state
    /// immediate   when their last client leaves
    /// after:60    when they have been empty for a minute
    /// A room created with `POST` waits at least a minute for a client, if `--max-rooms` permits
    #[arg(long, value_name = "WHEN", default_value = "never", verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    shutdown: ShutdownPolicy,

    /// Time without events, or up to twice this time, after which a room hibernates: it keeps its
    /// clients, and only the memory that its guest has changed. The next event wakes it. 0: never
    #[arg(long, alias = "fold-after", value_name = "SECONDS", default_value = "10", verbatim_doc_comment)]
    #[arg(value_parser = seconds, allow_negative_numbers = true, help_heading = ROOMS, hide_long_help = true)]
    hibernate_after: Duration,

    /// A header of requests that rooms may see, as they see `origin`, `user-agent` and
    /// `accept-language`; may be repeated. Choose headers that a proxy sets or replaces, such as
    /// `x-forwarded-for`: the client can write anything into all other headers
    #[arg(long = "client-header", value_name = "NAME", value_parser = header_name, verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    client_headers: Vec<String>,

    /// Number of threads that run rooms; more threads help if one is busy and cores are idle
    #[arg(long, default_value_t = 1, value_parser = threads as Number, verbatim_doc_comment)]
    #[arg(help_heading = SERVER, hide_long_help = true)]
    threads: usize,

    /// Address where the operator sees counts, lists all rooms, and creates and ends rooms: the
    /// path of a Unix socket, with a `/` in it, or a loopback address with a port, such as
    /// 127.0.0.1:9000. By default `stateroom serve` has none, and `stateroom dev` uses a free port
    #[arg(long, value_name = "ADDRESS", verbatim_doc_comment, help_heading = SERVER, hide_long_help = true)]
    admin: Option<AdminAddress>,

    /// Measure each pass of the event loop, for the operator's status
    #[arg(long, hide = true)]
    measure_passes: bool,

    /// Time that a pass of the event loop may spend on work, in milliseconds: for tools that make the server
    /// slow
    #[arg(long, hide = true, value_name = "MS")]
    pass_time: Option<u64>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

impl ServerArgs {
    /// Returns the settings from these options, without static files and limits. They keep the address of
    /// [`Settings::default`] if there is no `--ip`.
    ///
    /// # Errors
    /// There is no `--port`, and the environment's `PORT` is not a port.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let (interval, timeout) = (self.heartbeat_interval, self.heartbeat_timeout);
        if !timeout.is_zero() && (interval.is_zero() || timeout <= interval) {
            log::warn!(
                "clients that only listen are disconnected after {} s, because no ping is sent to them before that (heartbeat interval: {} s)",
                timeout.as_secs(),
                interval.as_secs(),
            );
        }
        let mut settings = Settings::default();
        settings.port = self.port_or_environment()?.unwrap_or(settings.port);
        settings.ip = self.ip.unwrap_or(settings.ip);
        settings.heartbeat_interval = self.heartbeat_interval;
        settings.heartbeat_timeout = self.heartbeat_timeout;
        settings.message_timeout = self.message_timeout;
        settings.outbox_timeout = self.outbox_timeout;
        settings.resume = self.resume;
        settings.room_ids = self.room_ids;
        settings.shutdown = self.shutdown;
        settings.hibernate_after = self.hibernate_after;
        settings.threads = self.threads;
        settings.admin = self.admin.clone();
        settings.measure_passes = self.measure_passes;
        if let Some(ms) = self.pass_time {
            settings.pass_time = Duration::from_millis(ms);
        }
        for name in &self.client_headers {
            if !settings.client_headers.contains(name) {
                settings.client_headers.push(name.clone());
            }
        }
        Ok(settings)
    }

    /// Returns the port of the flag, or of the environment, where platforms that run servers put it.
    fn port_or_environment(&self) -> Result<Option<u16>> {
        let given = match (self.port, env::var_os("PORT")) {
            (Some(number), _) => Some(number),
            (None, Some(text)) if !text.is_empty() => {
                let text = text.to_string_lossy();
                let number = port(&text).map_err(|problem| {
                    anyhow!(
                        "`PORT` in the environment is `{text}`, which {problem}: give `--port`, or unset it"
                    )
                })?;
                Some(number)
            }
            (None, _) => None,
        };
        Ok(given.map(|number| number as u16))
    }

    /// Returns the address to listen on, if it was given.
    #[cfg(feature = "dev")]
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        self.ip
    }
}

/// A function that reads a number. As clap sees one type of functions, its code for them is there once.
type Number = fn(&str) -> Result<usize, String>;

fn port(text: &str) -> Result<usize, String> {
    whole(text, "a whole number", 0..=u16::MAX.into()).map(|number| number as usize)
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "is not an IP address, such as 127.0.0.1 or ::".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    whole(text, "a whole number of seconds", Settings::SECONDS).map(Duration::from_secs)
}

fn threads(text: &str) -> Result<usize, String> {
    // The range fits into `usize` on every processor.
    whole(text, "a whole number", Settings::THREADS).map(|number| number as usize)
}

fn whole(text: &str, what: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("is not {what} from {} to {}", range.start(), range.end())),
    }
}

fn header_name(text: &str) -> Result<String, String> {
    match HeaderName::try_from(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err("is not the name of a header, such as x-forwarded-for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn headers_have_names() {
        assert_eq!(header_name("X-Forwarded-For").as_deref(), Ok("x-forwarded-for"));
        for bad in ["", "x-user:", "x user", "größe", "x-user\n"] {
            assert!(header_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for bad in ["", "-1", "1.5", "soon", "31536001", "99999999999999999999"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[cfg(feature = "dev")]
    #[test]
    fn the_documentation_and_the_help_have_the_sizes_of_stacks() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        let [none, heap, std] = [Memory::Static, Memory::Heap, Memory::Std].map(Memory::stack_size);
        for (text, place) in [(page, "configuration.md"), (project_help(), "args.rs")] {
            let words: Vec<_> = text.split_whitespace().filter(|word| *word != "#").collect();
            let words = words.join(" ").to_lowercase();
            for said in [
                format!(
                    "default: {none} without an allocator, {heap} with one, {std} with the standard library"
                ),
                format!("`dev` adds {FOR_PANICS}"),
            ] {
                assert!(words.contains(&said), "`{said}` is not in {place}");
            }
        }
    }
}

use std::{path::PathBuf, time::Duration};

#[cfg(feature = "proxy")]
use stateroom_server_smol::TrustedProxy;
use stateroom_server_smol::{Durability, ListenAddress, Settings, Upgrade};

use crate::limits::Unit;
#[cfg(feature = "log-json")]
use crate::logging::Format;

#[cfg(feature = "tls")]
use super::server::{Number, port};
use super::{
    ROOMS, SERVER, ServerArgs,
    server::{Text, Time, checked, milliseconds, read, whole},
};

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    #[cfg_attr(
        feature = "dev",
        doc = "A module (`.wasm`, or `.wat` for the text format), or a `dist` directory"
    )]
    #[cfg_attr(not(feature = "dev"), doc = "A module (`.wasm`), or a `dist` directory")]
    pub(crate) module: PathBuf,

    /// An address to listen on, in place of `--ip` and `--port`; may be repeated: 0.0.0.0:8080, a Unix
    /// socket (unix:/run/rooms.sock, and for all users unix:/run/rooms.sock,mode=666), or `systemd`
    /// for the sockets that systemd passes, which stay open for the next process
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["ip", "port"], verbatim_doc_comment)]
    #[arg(value_parser = checked::<ListenAddress> as Text, help_heading = SERVER, hide_long_help = true)]
    listen: Vec<String>,

    /// Let another process listen on the same ports, and take over when this one ends
    #[arg(long, help_heading = SERVER, hide_long_help = true)]
    pub(crate) reuse_port: bool,

    /// Time in which the server ends (SIGTERM, SIGINT). Before the last two seconds, it closes clients in
    /// batches, so that they do not all connect to another server at once. With `--data` it does not wait
    #[arg(long, value_name = "SECONDS", default_value = "2", verbatim_doc_comment)]
    #[arg(value_parser = drain as Time, help_heading = SERVER, hide_long_help = true)]
    pub(crate) drain: Duration,

    /// Speak TLS (https, wss) with this certificate, a PEM file. SIGHUP reads it again
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = SERVER, hide_long_help = true)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key for `--tls-cert`, a PEM file
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = SERVER, hide_long_help = true)]
    pub(crate) tls_key: Option<PathBuf>,

    /// Lead clients from this port to TLS. Files below `/.well-known/acme-challenge/` are served here
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "PORT", requires = "tls_cert", value_parser = port as Number)]
    #[arg(help_heading = SERVER, hide_long_help = true)]
    pub(crate) redirect_http: Option<usize>,

    /// The file with the token that requests to the operator's address need, or env:NAME for a variable
    /// of the environment: at least 16 characters. With it, `--admin` may be any address. It has no TLS
    #[cfg(feature = "rooms")]
    #[arg(long, value_name = "FILE", requires = "admin", verbatim_doc_comment)]
    #[arg(help_heading = SERVER, hide_long_help = true)]
    pub(crate) admin_token_file: Option<String>,

    /// A proxy whose `Forwarded` or `X-Forwarded-For` names the client: an address, a network such as
    /// 10.0.0.0/8, or `unix` for programs that connect to a Unix socket; may be repeated
    #[cfg(feature = "proxy")]
    #[arg(long = "trusted-proxy", value_name = "ADDRESS", verbatim_doc_comment)]
    #[arg(help_heading = SERVER, hide_long_help = true)]
    pub(crate) trusted_proxies: Vec<TrustedProxy>,

    /// Expect the PROXY protocol, version 2, in each connection from a `--trusted-proxy`
    #[cfg(feature = "proxy")]
    #[arg(long, requires = "trusted_proxies", help_heading = SERVER, hide_long_help = true)]
    pub(crate) proxy_protocol: bool,

    /// Serve the playground at the operator's address, below `/_/`: a page that shows what happens
    /// in a room, and that takes part in it
    #[cfg(feature = "dev")]
    #[arg(long, requires = "admin", verbatim_doc_comment)]
    pub(crate) playground: bool,

    /// The form of the log's lines: `text`, or `json` with an object on each line, which has the time,
    /// the level, the message, and as far as they are known the room, client, address and connection
    #[cfg(feature = "log-json")]
    #[arg(long, value_name = "FORMAT", default_value = "text", verbatim_doc_comment)]
    #[arg(help_heading = SERVER, hide_long_help = true, hide_possible_values = true)]
    pub(crate) log_format: Format,

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

    /// Keep rooms in this directory: they continue from there after the end of the process, however
    /// it ended. What an event has caused is sent only after the event is on the disk
    // The systemd unit has one, and the operator another.
    #[arg(long, value_name = "DIR", verbatim_doc_comment, help_heading = ROOMS, overrides_with = "data")]
    pub(crate) data: Option<PathBuf>,

    /// How safely rooms are kept. Default: as the module's `stateroom.toml` says, or `on`
    /// on       clients wait until an event is on the disk
    /// lazy     clients do not wait; the events of `--sync-delay` are lost if the machine loses power
    /// off      rooms are in memory only
    #[arg(long, value_name = "HOW", requires = "data", verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true, hide_possible_values = true)]
    pub(crate) durability: Option<DurabilityArg>,

    /// The time after which events are on the disk at the latest, with `--durability lazy`
    #[arg(long, value_name = "MS", default_value = "1000", requires = "data", value_parser = milliseconds as Time)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    pub(crate) sync_delay: Duration,

    /// The maximum size of the journal in the directory of `--data`. If rooms need more, they wait
    #[arg(long, value_name = "SIZE", default_value = "1GiB", requires = "data", value_parser = size)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    pub(crate) journal_size: u64,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

impl ServeArgs {
    /// Returns the addresses to listen on.
    pub(crate) fn listen(&self) -> Vec<ListenAddress> {
        read(&self.listen).collect()
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    whole(text, "a whole number of seconds", Settings::DRAIN).map(Duration::from_secs)
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = Unit::Bytes.read(text).filter(|size| Settings::JOURNAL_SIZE.contains(size));
    size.ok_or_else(|| format!("is not a size of at least 128 MiB, such as {}", Unit::Bytes.examples()))
}

/// A value of `--durability`, and of `durability` in `stateroom.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DurabilityArg {
    On,
    Lazy,
    Off,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::On => Self::On,
            DurabilityArg::Lazy => Self::Lazy,
            DurabilityArg::Off => Self::Off,
        }
    }
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

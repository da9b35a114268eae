use std::time::Duration;

use clap::{Subcommand, builder::RangedU64ValueParser, value_parser};

use crate::{mark::Mark, quantity, target::Target};

const HELP: &str = "\
Examples:
  stateroom load echo ws://127.0.0.1:8080/ws/{room} --connections 200 --rooms 10
  stateroom load broadcast ws://127.0.0.1:8080/ws/{room} --clients 100 --rate 50
  stateroom load connect ws://127.0.0.1:8080/ws
  stateroom load idle ws://127.0.0.1:8080/ws --connections 10k --pid $(pidof -s stateroom)

Each message is checked. If one is not delivered exactly once and in order, the exit status is 1.";

/// The options of `stateroom load`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct LoadArgs {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

impl LoadArgs {
    /// Returns how many connections there are at a time.
    #[must_use]
    pub fn connections(&self) -> usize {
        match &self.mode {
            Mode::Echo(args) => args.connections,
            Mode::Broadcast(args) => args.rooms.saturating_mul(args.clients),
            Mode::Connect(args) => args.concurrency,
            Mode::Idle(args) => args.connections,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Clients send messages and receive them back
    Echo(EchoArgs),
    /// Clients send messages that all clients in the room receive
    Broadcast(BroadcastArgs),
    /// Connections are opened and closed again and again
    Connect(ConnectArgs),
    /// Connections are opened, and no messages are sent
    Idle(IdleArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct EchoArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Number of connections
    #[arg(short, long, value_name = "NUMBER", default_value = "50", value_parser = connections)]
    pub(crate) connections: usize,

    /// Number of rooms for the connections
    #[arg(short, long, value_name = "NUMBER", default_value = "1", value_parser = connections)]
    pub(crate) rooms: usize,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BroadcastArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Number of rooms
    #[arg(short, long, value_name = "NUMBER", default_value = "1", value_parser = connections)]
    pub(crate) rooms: usize,

    /// Number of clients in each room
    #[arg(short, long, value_name = "NUMBER", default_value = "20", value_parser = connections)]
    pub(crate) clients: usize,

    /// Number of clients in each room that send
    #[arg(short, long, value_name = "NUMBER", default_value = "1", value_parser = connections)]
    pub(crate) senders: usize,

    /// A sender does not get its own messages
    #[arg(long)]
    pub(crate) except_sender: bool,

    #[command(flatten)]
    pub(crate) messages: MessageArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Number of connections at a time
    #[arg(short, long, value_name = "NUMBER", default_value = "16", value_parser = connections)]
    pub(crate) concurrency: usize,

    /// Number of rooms for the connections
    #[arg(short, long, value_name = "NUMBER", default_value = "1", value_parser = connections)]
    pub(crate) rooms: usize,

    #[command(flatten)]
    pub(crate) times: TimeArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    pub(crate) common: CommonArgs,

    /// Number of connections
    #[arg(short, long, value_name = "NUMBER", default_value = "1000", value_parser = connections)]
    pub(crate) connections: usize,

    /// Number of rooms for the connections
    #[arg(short, long, value_name = "NUMBER", default_value = "1", value_parser = connections)]
    pub(crate) rooms: usize,

    /// Time for which the connections are held
    #[arg(long, alias = "duration", value_name = "SECONDS", default_value = "5", value_parser = time)]
    pub(crate) hold: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CommonArgs {
    /// Address of the rooms: ws://127.0.0.1:8080/ws/{room}
    ///
    /// {room} is replaced by the number of a room, beginning with 0.
    #[arg(value_name = "URL", value_parser = target)]
    pub(crate) target: Target,

    /// The id of the server's process, if it runs on this machine. The report then has its processor time and
    /// memory
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,

    /// Report in JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Timeout for a server that does not answer, and for messages that have not arrived at the end
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = time)]
    pub(crate) patience: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MessageArgs {
    /// Maximum number of messages of one sender that are not delivered yet [default: 1, and 1000 with --rate]
    #[arg(short, long, value_name = "NUMBER", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub(crate) window: Option<usize>,

    /// Size of a message: at least 16 bytes, for its sender and its number
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = size)]
    pub(crate) size: usize,

    /// Number of messages a second, of all senders together [default: as many as the window allows]
    ///
    /// The latency then counts from the time at which a message should have been sent. So it is
    /// also correct for a server that is too slow for this rate.
    #[arg(long, value_name = "NUMBER", verbatim_doc_comment, value_parser = value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: Option<u64>,

    /// Send binary messages instead of text
    #[arg(long)]
    pub(crate) binary: bool,

    #[command(flatten)]
    pub(crate) times: TimeArgs,
}

impl MessageArgs {
    pub(crate) fn window(&self) -> usize {
        self.window.unwrap_or(if self.rate.is_some() { 1000 } else { 1 })
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct TimeArgs {
    /// Time of the measurement
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = time)]
    pub(crate) duration: Duration,

    /// Time that the load runs before the measurement
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time)]
    pub(crate) warmup: Duration,
}

/// More than anybody needs. So a run with a wrong number also ends.
const MOST_SECONDS: f64 = 3600.0;
const MOST_CONNECTIONS: u64 = 1_000_000;
const LEAST_SIZE: u64 = Mark::SIZE as u64;
const MOST_SIZE: u64 = 16 << 20;

fn target(text: &str) -> Result<Target, String> {
    Target::read(text).map_err(|error| error.to_string())
}

fn connections(text: &str) -> Result<usize, String> {
    match quantity::number(text) {
        Some(number @ 1..=MOST_CONNECTIONS) => Ok(number as usize),
        _ => Err(format!("is not a number from 1 to {MOST_CONNECTIONS}, such as 20000, 20_000 or 20k")),
    }
}

fn size(text: &str) -> Result<usize, String> {
    match quantity::bytes(text) {
        Some(size @ LEAST_SIZE..=MOST_SIZE) => Ok(size as usize),
        Some(0..LEAST_SIZE) => {
            Err(format!("a message takes {LEAST_SIZE} bytes, for its sender and its number"))
        }
        _ => Err("is not a size of up to 16MiB, such as 64 or 4KiB".to_owned()),
    }
}

fn pid(text: &str) -> Result<u32, String> {
    let words =
        "is not the id of a process; is the server running? (`pidof -s stateroom` prints the id of one)";
    text.parse().ok().filter(|id| *id > 0).ok_or_else(|| words.to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0.0..=MOST_SECONDS) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("is not a number of seconds from 0 to {MOST_SECONDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_bounded() {
        assert_eq!(connections("60k"), Ok(60_000));
        assert_eq!(size("4KiB"), Ok(4096));
        assert_eq!(time("0.25"), Ok(Duration::from_millis(250)));
        assert!(size("15").unwrap_err().contains("16 bytes"));
        for bad in ["", "0", "-1", "1000001", "many"] {
            assert!(connections(bad).is_err(), "{bad}");
        }
        for bad in ["", "-1", "3601", "NaN", "inf", "soon"] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(size("17MiB").is_err());
    }

    #[test]
    fn an_id_that_is_missing_or_several_say_what_is_expected() {
        assert_eq!(pid("12"), Ok(12));
        for bad in ["", "0", "-1", "12 13", "stateroom"] {
            assert!(pid(bad).unwrap_err().contains("is the server running?"), "{bad}");
        }
    }
}

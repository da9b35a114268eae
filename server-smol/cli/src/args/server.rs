use std::{env, net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use anyhow::{Result, anyhow};
use clap::ArgAction;
use hyper::header::HeaderName;
use stateroom_server_smol::{AdminAddress, AllowedOrigin, RoomIds, Settings, ShutdownPolicy, Subprotocol};

use crate::limits::LimitArgs;
#[cfg(feature = "compression")]
use crate::limits::Unit;

#[cfg(feature = "auth")]
use super::access::AccessArgs;
use super::{CLIENTS, ROOMS, SERVER};

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
    #[arg(long, value_parser = ip as Text, verbatim_doc_comment)]
    ip: Option<String>,

    /// List the options that are used most
    #[arg(short = 'h', action = ArgAction::HelpLong, display_order = 101)]
    help_short: Option<bool>,

    /// List all options
    #[arg(long = "help", action = ArgAction::HelpShort, display_order = 101)]
    help_all: Option<bool>,

    /// Time between two pings to each client: many proxies close silent connections. 0: no pings
    #[arg(short = 'i', long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    heartbeat_interval: Duration,

    /// Time, longer than the interval, after which a client that sends nothing is disconnected. 0: never
    #[arg(short = 't', long, value_name = "SECONDS", default_value = "120", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    heartbeat_timeout: Duration,

    /// Time for a client to finish a message, or up to twice this time. 0 means no limit
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    message_timeout: Duration,

    /// Time for a client to read some of its waiting data, or up to twice this time. 0 means no limit
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    outbox_timeout: Duration,

    /// Time for a client to reconnect and resume its session, if it has asked for that. 0: none
    #[arg(long, value_name = "SECONDS", default_value = "30", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = CLIENTS, hide_long_help = true)]
    resume: Duration,

    /// A subprotocol for clients that offer it, the preferred one first; may be repeated. Others get a 400
    #[arg(long = "subprotocol", value_name = "NAME", verbatim_doc_comment, help_heading = CLIENTS, hide_long_help = true)]
    #[arg(value_parser = checked::<Subprotocol> as Text)]
    subprotocols: Vec<String>,

    /// Compress messages of at least SIZE (512 if none is given) for clients that take permessage-deflate
    #[cfg(feature = "compression")]
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true, default_missing_value = "512")]
    #[arg(value_parser = size as Number, verbatim_doc_comment, help_heading = CLIENTS, hide_long_help = true)]
    compress: Option<usize>,

    /// The way in which clients create rooms. The operator (`--admin`) can always create them:
    /// implicit    connecting to a room that does not exist creates it; `POST /ws/{room}` too
    /// explicit    only `POST /ws/{room}` creates a room
    /// generated   only `POST /new_room` creates a room, with an id of ten characters that nobody
    ///             can guess; with generated:uuid it is a UUID
    #[arg(long, value_name = "MODE", default_value = "implicit", verbatim_doc_comment)]
    #[arg(value_parser = checked::<RoomIds> as Text, help_heading = ROOMS, hide_long_help = true)]
    room_ids: String,

    /// The time at which empty rooms end:
    /// never       when the server ends (with `--data`, not even then)
    /// immediate   when their last client leaves
    /// after:60    when they have been empty for a minute
    /// A room created with `POST` waits at least a minute for a client, if `--max-rooms` permits
    #[arg(long, value_name = "WHEN", default_value = "never", verbatim_doc_comment)]
    #[arg(value_parser = checked::<ShutdownPolicy> as Text, help_heading = ROOMS, hide_long_help = true)]
    shutdown: String,

    /// Time without events, or up to twice this time, after which a room hibernates. 0: never
    #[arg(long, alias = "fold-after", value_name = "SECONDS", default_value = "10", verbatim_doc_comment)]
    #[arg(value_parser = seconds as Time, allow_negative_numbers = true, help_heading = ROOMS, hide_long_help = true)]
    hibernate_after: Duration,

    /// An origin whose pages may use the rooms; may be repeated. https://*.example.org is for all of its
    /// subdomains, `self` for the host that the request is for, and `*` for all pages. Programs that
    /// send no `Origin` are always allowed. Default: `self`, and for `stateroom dev` `*`
    #[arg(long = "allow-origin", value_name = "ORIGIN", verbatim_doc_comment)]
    #[arg(value_parser = checked::<AllowedOrigin> as Text, help_heading = CLIENTS, hide_long_help = true)]
    allowed_origins: Vec<String>,

    /// A header that rooms may see; may be repeated. A client can write anything into one that no proxy sets or replaces
    #[arg(long = "client-header", value_name = "NAME", value_parser = header_name as Text, verbatim_doc_comment)]
    #[arg(help_heading = ROOMS, hide_long_help = true)]
    client_headers: Vec<String>,

    /// Answer paths of pages that do not exist, such as `/users/7`, with the page `index.html`
    #[arg(long = "spa", help_heading = SERVER, hide_long_help = true)]
    single_page: bool,

    /// Number of threads that run rooms; more threads help if one is busy and cores are idle
    #[arg(long, default_value_t = 1, value_parser = threads as Number, verbatim_doc_comment)]
    #[arg(help_heading = SERVER, hide_long_help = true)]
    threads: usize,

    /// The operator's address: the path of a Unix socket, with a `/`, or such as 127.0.0.1:9000. `dev` uses a free port
    // The systemd unit has one, and the operator another.
    #[arg(long, value_name = "ADDRESS", verbatim_doc_comment, help_heading = SERVER, hide_long_help = true)]
    #[arg(value_parser = checked::<AdminAddress> as Text, overrides_with = "admin")]
    admin: Option<String>,

    /// Measure each pass of the event loop, for the operator's status
    #[arg(long, hide = true)]
    measure_passes: bool,

    /// Time that a pass of the event loop may spend on work, in milliseconds: for tools that make the server
    /// slow
    #[arg(long, hide = true, value_name = "MS", value_parser = milliseconds as Time)]
    pass_time: Option<Duration>,

    #[cfg(feature = "auth")]
    #[command(flatten)]
    pub(crate) access: AccessArgs,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

impl ServerArgs {
    /// Returns the settings from these options, without static files and limits. They keep the address of
    /// [`Settings::default`] if there is no `--ip`.
    ///
    /// # Errors
    /// There is no `--port`, and the environment's `PORT` is not a port; or a key cannot be read.
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
        settings.ip = read(&self.ip).next().unwrap_or(settings.ip);
        settings.heartbeat_interval = self.heartbeat_interval;
        settings.heartbeat_timeout = self.heartbeat_timeout;
        settings.message_timeout = self.message_timeout;
        settings.outbox_timeout = self.outbox_timeout;
        settings.resume = self.resume;
        settings.room_ids = self.room_ids.parse().unwrap_or(settings.room_ids);
        settings.shutdown = self.shutdown.parse().unwrap_or(settings.shutdown);
        settings.hibernate_after = self.hibernate_after;
        settings.threads = self.threads;
        settings.single_page = self.single_page;
        settings.admin = read(&self.admin).next();
        settings.subprotocols = read(&self.subprotocols).collect();
        #[cfg(feature = "compression")]
        {
            settings.compress_from = self.compress;
        }
        if !self.allowed_origins.is_empty() {
            settings.allowed_origins = read(&self.allowed_origins).collect();
        }
        #[cfg(feature = "auth")]
        {
            settings.access = self.access.access()?;
        }
        settings.measure_passes = self.measure_passes;
        if let Some(time) = self.pass_time {
            settings.pass_time = time;
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

    /// Returns whether the pages that may use the rooms were chosen.
    #[cfg(feature = "dev")]
    pub(crate) fn chooses_origins(&self) -> bool {
        !self.allowed_origins.is_empty()
    }

    /// Returns the address to listen on, if it was given.
    #[cfg(feature = "dev")]
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        read(&self.ip).next()
    }
}

/// A function that checks a text. What clap reads stays a text where it can: each type takes some KB in the binary.
pub(super) type Text = fn(&str) -> Result<String, String>;

/// Checks that a text is a `T`.
pub(super) fn checked<T: FromStr<Err = String>>(text: &str) -> Result<String, String> {
    text.parse().map(|_: T| text.to_owned())
}

/// Returns what the texts say, which have been checked.
pub(super) fn read<'a, T: FromStr>(texts: impl IntoIterator<Item = &'a String>) -> impl Iterator<Item = T> {
    texts.into_iter().filter_map(|text| text.parse().ok())
}

/// A function that reads a number. As clap sees one type of functions, its code for them is there once.
pub(super) type Number = fn(&str) -> Result<usize, String>;

/// The same for a time.
pub(super) type Time = fn(&str) -> Result<Duration, String>;

pub(super) fn port(text: &str) -> Result<usize, String> {
    whole(text, "a whole number", 0..=u16::MAX.into()).map(|number| number as usize)
}

fn ip(text: &str) -> Result<String, String> {
    text.parse()
        .map(|_: IpAddr| text.to_owned())
        .map_err(|_| "is not an IP address, such as 127.0.0.1 or ::".to_owned())
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    whole(text, "a whole number of seconds", Settings::SECONDS).map(Duration::from_secs)
}

pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    whole(text, "a whole number of milliseconds", 1..=60_000).map(Duration::from_millis)
}

#[cfg(feature = "compression")]
fn size(text: &str) -> Result<usize, String> {
    let size = Unit::Bytes.read(text).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| format!("is not a size, such as {}", Unit::Bytes.examples()))
}

fn threads(text: &str) -> Result<usize, String> {
    // The range fits into `usize` on every processor.
    whole(text, "a whole number", Settings::THREADS).map(|number| number as usize)
}

pub(super) fn whole(text: &str, what: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("is not {what} from {} to {}", range.start(), range.end())),
    }
}

pub(super) fn header_name(text: &str) -> Result<String, String> {
    match HeaderName::try_from(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => Err("is not the name of a header, such as x-forwarded-for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

use std::{ops::RangeInclusive, time::Duration};

use stateroom_core::settings::{SettingProblem, SettingsError};

#[cfg(feature = "auth")]
use super::AllowedOrigin;
use super::Settings;
#[cfg(feature = "tls")]
use crate::listen::ListenAddress;

/// The ranges of the values, in bytes if they are sizes.
impl Settings {
    /// The range of the timeouts, intervals and delays, in seconds. The maximum is a year. This is more than
    /// anybody needs, and adding it to a point in time does not overflow.
    pub const SECONDS: RangeInclusive<u64> = 0..=365 * 24 * 60 * 60;
    /// The range of [`drain`](Self::drain), in seconds: from 2 seconds to a year.
    pub const DRAIN: RangeInclusive<u64> = Self::CLOSING.as_secs()..=365 * 24 * 60 * 60;
    /// At least 0, with which rooms hibernate as soon as they are idle.
    pub const AWAKE_MEMORY: RangeInclusive<u64> = 0..=u64::MAX;
    /// At least 8 MiB.
    pub const TOTAL_MEMORY: RangeInclusive<u64> = 8 << 20..=u64::MAX;
    /// From 1 to 4,294,967,295.
    pub const MAX_CONNECTIONS: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 1 to 4,294,967,295.
    pub const MAX_CONNECTIONS_PER_ADDRESS: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 1 to 4,294,967,295.
    pub const MAX_DOWNLOADS: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 1 to 4,294,967,295.
    pub const MAX_ROOMS: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 0 (no limit) to 4,294,967,295.
    pub const ROOM_RATE: RangeInclusive<u64> = 0..=COUNTABLE;
    /// From 0 (no limit) to 4,294,967,295.
    pub const JOIN_RATE: RangeInclusive<u64> = 0..=COUNTABLE;
    /// From 1 to 4,294,967,295.
    pub const MAX_CLIENTS_PER_ROOM: RangeInclusive<u64> = 1..=COUNTABLE;
    /// From 0 (no limit) to 4,294,967,295.
    pub const MESSAGE_RATE: RangeInclusive<u64> = 0..=COUNTABLE;
    /// From 0 (no limit) to 4,294,967,295 bytes.
    pub const BYTE_RATE: RangeInclusive<u64> = 0..=COUNTABLE;
    /// From 1 byte to 4 GiB.
    pub const MESSAGE_SIZE: RangeInclusive<u64> = 1..=LARGEST;
    /// From 1 KiB to 4 GiB.
    pub const OUTBOX_SIZE: RangeInclusive<u64> = 1 << 10..=LARGEST;
    /// From 0 to 4 GiB.
    pub const SESSION_BUFFER: RangeInclusive<u64> = 0..=LARGEST;
    /// At least 128 MiB.
    pub const JOURNAL_SIZE: RangeInclusive<u64> = 128 << 20..=u64::MAX;
    /// From 1 to 256.
    pub const THREADS: RangeInclusive<u64> = 1..=256;
}

/// The largest size that a guest can address.
const LARGEST: u64 = 4 << 30;

/// More connections, rooms or files than any machine can have.
const COUNTABLE: u64 = u32::MAX as u64;

impl Settings {
    /// Checks these settings. Each must be in its range, and none may exceed a limit that another one sets. A
    /// [`Server`](crate::Server) does this before it starts.
    ///
    /// # Errors
    /// The error lists everything that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.settled().map(drop)
    }

    /// Returns a copy of these settings. Those that are not set are adjusted to those that are set.
    pub(crate) fn settled(&self) -> Result<Self, SettingsError> {
        let mut settled = self.clone();
        let defaults = Self::default();
        let is_set = |name: &str| self.is_set(name, &defaults);
        settled.give_way(&is_set);
        let problems = settled.problems(&is_set);
        #[cfg(feature = "auth")]
        let problems = problems.into_iter().chain([settled.opens_cookies()]);
        #[cfg(feature = "tls")]
        let problems = problems.into_iter().chain([settled.redirects_tls()]);
        SettingsError::check(problems)?;
        Ok(settled)
    }

    /// Returns all problems of these settings.
    pub(super) fn problems(&self, is_set: &dyn Fn(&str) -> bool) -> Vec<Option<SettingProblem>> {
        // A fraction of a second is rounded up.
        let seconds_in = |name, value: Duration, range| {
            let above = u64::from(value.subsec_nanos() > 0);
            SettingProblem::out_of_range(name, value.as_secs().saturating_add(above), &range)
        };
        let seconds = |name, value| seconds_in(name, value, Self::SECONDS);
        let number = |name, value: usize, range| SettingProblem::out_of_range(name, value as u64, &range);
        let mut problems = vec![
            seconds("heartbeat_interval", self.heartbeat_interval),
            seconds("heartbeat_timeout", self.heartbeat_timeout),
            seconds_in("drain", self.drain, Self::DRAIN),
            seconds("hibernate_after", self.hibernate_after),
            seconds("message_timeout", self.message_timeout),
            seconds("outbox_timeout", self.outbox_timeout),
            seconds("resume", self.resume),
            seconds("sync_delay", self.sync_delay),
            SettingProblem::out_of_range("journal_size", self.journal_size, &Self::JOURNAL_SIZE),
            number("awake_memory", self.awake_memory, Self::AWAKE_MEMORY),
            number("total_memory", self.total_memory, Self::TOTAL_MEMORY),
            number("max_connections", self.max_connections, Self::MAX_CONNECTIONS),
            number("max_downloads", self.max_downloads, Self::MAX_DOWNLOADS),
            number("max_rooms", self.max_rooms, Self::MAX_ROOMS),
            number("message_size", self.message_size, Self::MESSAGE_SIZE),
            number("outbox_size", self.outbox_size, Self::OUTBOX_SIZE),
            number("session_buffer", self.session_buffer, Self::SESSION_BUFFER),
            number("threads", self.threads, Self::THREADS),
        ];
        if let Some(most) = self.max_connections_per_address {
            let (name, all) = ("max_connections_per_address", "max_connections");
            problems.push(number(name, most, Self::MAX_CONNECTIONS_PER_ADDRESS));
            if is_set(all) {
                let all = (all, self.max_connections as u64);
                let why = "it would have no effect";
                problems.push(SettingProblem::exceeds((name, most as u64), 1, all, why));
            }
        }
        if let Some(most) = self.max_clients_per_room {
            problems.push(number("max_clients_per_room", most, Self::MAX_CLIENTS_PER_ROOM));
        }
        #[cfg(feature = "proxy")]
        problems.push((self.proxy_protocol && self.trusted_proxies.is_empty()).then_some(
            SettingProblem::Contradicts {
                name: "proxy_protocol",
                other: "trusted_proxies",
                why: "nobody may send such a header; name the addresses of the proxies",
            },
        ));
        if is_set("awake_memory") {
            let (awake, total) = (self.awake_memory as u64, self.total_memory as u64);
            let why = "rooms that are awake are a part of it";
            problems.push(SettingProblem::exceeds(("awake_memory", awake), 1, ("total_memory", total), why));
        }
        if is_set("session_buffer") {
            let (buffer, outbox) = (self.session_buffer as u64, self.outbox_size as u64);
            let why = "a client that comes back gets all of it at once";
            problems.push(SettingProblem::exceeds(
                ("session_buffer", buffer),
                1,
                ("outbox_size", outbox),
                why,
            ));
        }
        let shared = [("outbox_size", self.outbox_size), ("message_size", self.message_size)];
        problems.extend(
            shared
                .into_iter()
                .filter(|(name, _)| is_set(name))
                .map(|(name, value)| self.exceeds_share(name, value, 1)),
        );
        problems
    }

    /// Returns a problem if pages of everybody could use the cookies of their visitors.
    #[cfg(feature = "auth")]
    fn opens_cookies(&self) -> Option<SettingProblem> {
        let has_cookie = self.access.as_ref().is_some_and(|access| access.cookie().is_some());
        (has_cookie && self.allowed_origins.contains(&AllowedOrigin::ANY)).then_some(
            SettingProblem::Contradicts {
                name: "access",
                other: "allowed_origins",
                why: "any page could enter with the cookie of its visitor; name the origins of your pages in place of `*`",
            },
        )
    }

    /// The time in which the last clients answer their close frames, and the threads end.
    pub(crate) const CLOSING: Duration = Duration::from_secs(2);

    /// Returns the time over which clients are closed when the server ends.
    pub(crate) fn draining(&self) -> Duration {
        self.drain.saturating_sub(Self::CLOSING)
    }

    /// Returns a problem if the port that leads to TLS is the one with TLS. Two sockets can share a port.
    #[cfg(feature = "tls")]
    fn redirects_tls(&self) -> Option<SettingProblem> {
        let port = self.redirect_http.filter(|port| *port != 0)?;
        let mut ports = self.listen.iter().filter_map(|address| match address {
            ListenAddress::Tcp(address) => Some(address.port()),
            _ => None,
        });
        let is_same =
            if self.listen.is_empty() { self.port == port } else { ports.any(|other| other == port) };
        is_same.then_some(SettingProblem::Contradicts {
            name: "redirect_http",
            other: "port",
            why: "one port cannot be both, with TLS and without; give them two, such as 80 and 443",
        })
    }

    /// Returns the memory of each thread.
    pub(super) fn share(&self) -> usize {
        self.total_memory / self.threads.max(1)
    }

    /// Returns a problem if `value`, multiplied by `times`, exceeds the memory of a thread.
    pub(super) fn exceeds_share(
        &self,
        name: &'static str,
        value: usize,
        times: u64,
    ) -> Option<SettingProblem> {
        let threads = self.threads.max(1) as u64;
        let why = match threads {
            1 => "there would be no memory for it",
            _ => "each thread has its share of the memory, and that would not be enough for it",
        };
        SettingProblem::exceeds(
            (name, value as u64),
            threads * times,
            ("total_memory", self.total_memory as u64),
            why,
        )
    }

    /// Returns true if a setting differs from its default, for the settings whose default gives way to others.
    /// Returns true for all other settings.
    pub(super) fn is_set(&self, name: &str, defaults: &Self) -> bool {
        match name {
            "awake_memory" => self.awake_memory != defaults.awake_memory,
            "outbox_size" => self.outbox_size != defaults.outbox_size,
            "message_size" => self.message_size != defaults.message_size,
            "session_buffer" => self.session_buffer != defaults.session_buffer,
            "max_connections" => self.max_connections != defaults.max_connections,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Settings)) -> Result<(), String> {
        let mut settings = Settings { total_memory: 1 << 30, ..Settings::default() };
        change(&mut settings);
        settings.check().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_sound_on_every_machine() {
        assert_eq!(Settings::default().check(), Ok(()));
        for threads in [1, 256] {
            let least =
                |settings: &mut Settings| (settings.total_memory, settings.threads) = (8 << 20, threads);
            assert_eq!(check(least), Ok(()));
        }
    }

    #[test]
    fn what_is_out_of_its_range_is_named() {
        let threads = "`threads` is 0, and has to be from 1 to 256".to_owned();
        assert_eq!(check(|settings| settings.threads = 0), Err(threads));
        let year = Duration::from_secs(365 * 24 * 60 * 60);
        assert_eq!(check(|settings| settings.outbox_timeout = year), Ok(()));
        let more = |settings: &mut Settings| settings.outbox_timeout = year + Duration::from_nanos(1);
        assert!(check(more).unwrap_err().contains("`outbox_timeout` is 31536001"));
        assert!(check(|settings| settings.hibernate_after = Duration::MAX).is_err());
        let all = check(|settings| {
            (settings.max_rooms, settings.outbox_size, settings.total_memory) = (0, 1023, 1 << 20);
            (settings.max_connections_per_address, settings.max_downloads) = (Some(0), 0);
            settings.message_size = 0;
        });
        assert_eq!(all.unwrap_err().lines().count(), 6);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn the_port_that_leads_to_tls_is_another_one() {
        let of = |listen: &[&str], port, redirect| {
            check(|settings| {
                settings.listen = listen.iter().map(|address| address.parse().unwrap()).collect();
                (settings.port, settings.redirect_http) = (port, Some(redirect));
            })
        };
        for (listen, port, redirect) in
            [(&[][..], 443, 80), (&[], 0, 0), (&["127.0.0.1:443"], 80, 80), (&["127.0.0.1:0"], 80, 0)]
        {
            assert_eq!(of(listen, port, redirect), Ok(()));
        }
        for (listen, port) in [(&[][..], 443), (&["[::1]:80", "127.0.0.1:443"], 80)] {
            assert!(of(listen, port, 443).unwrap_err().contains("two, such as 80 and 443"));
        }
    }

    #[test]
    fn an_address_cannot_have_more_connections_than_all_together() {
        let of = |all, address| {
            check(|settings| {
                (settings.max_connections, settings.max_connections_per_address) = (all, Some(address));
            })
        };
        assert_eq!(of(10, 10), Ok(()));
        let message = of(10, 20).unwrap_err();
        assert!(
            message
                .starts_with("`max_connections_per_address` is 20, more than `max_connections`, which is 10")
        );
        assert_eq!(of(Settings::default().max_connections, 20_000), Ok(()), "only one of them is set");
    }

    #[test]
    fn what_is_set_to_more_than_all_memory_is_named() {
        let message = "`awake_memory` is 1073741825, more than `total_memory`, which is 1073741824: rooms that are awake are a \
                       part of it; lower the one or raise the other";
        assert_eq!(check(|settings| settings.awake_memory = (1 << 30) + 1), Err(message.into()));
        let outbox = check(|settings| (settings.outbox_size, settings.threads) = ((1 << 28) + 1, 4));
        let said = "`outbox_size` is 268435457, more than 1/4 of `total_memory`, which is 1073741824: each thread has its share";
        assert!(outbox.unwrap_err().starts_with(said));
    }
}

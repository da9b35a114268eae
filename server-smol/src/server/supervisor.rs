//! systemd, or another program that supervises the process: it passes the address of a socket in `NOTIFY_SOCKET`, and is told there
//! what the process does (`sd_notify(3)`).

#[cfg(target_os = "linux")]
pub(super) use linux::Supervisor;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Supervisor;

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        env,
        ffi::OsStr,
        fmt, io,
        os::{
            linux::net::SocketAddrExt as _,
            unix::{
                ffi::OsStrExt as _,
                net::{SocketAddr, UnixDatagram},
            },
        },
        process,
        time::Duration,
    };

    use crate::{
        reactor::Timer,
        worker::{Ending, Phase, Workers},
    };

    /// The time between two reports of what there is, if the supervisor does not watch the process.
    const REPORT: Duration = Duration::from_secs(10);

    /// The time that a message may wait for a supervisor that does not read.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// The other end, if the process is supervised.
    #[derive(Debug)]
    pub(in crate::server) struct Supervisor {
        socket: Option<UnixDatagram>,
        /// The time after which the supervisor ends a process of which it has heard nothing.
        watchdog: Option<Duration>,
    }

    impl Supervisor {
        /// Finds the supervisor in the environment.
        pub(in crate::server) fn find() -> Self {
            let connected = env::var_os("NOTIFY_SOCKET").map(|address| connect(&address));
            let socket = connected.and_then(|connected| {
                let warn =
                    |error| log::warn!("cannot tell the supervisor anything (`NOTIFY_SOCKET`): {error}");
                connected.map_err(warn).ok()
            });
            let number = |name| env::var(name).ok()?.parse::<u64>().ok();
            // It may be for another process, which has passed its environment on.
            let is_own = number("WATCHDOG_PID").is_none_or(|id| id == u64::from(process::id()));
            let watchdog = number("WATCHDOG_USEC").filter(|time| is_own && *time > 0);
            Self { socket, watchdog: watchdog.map(Duration::from_micros) }
        }

        pub(in crate::server) fn note_starting(&self) {
            self.tell(format_args!("STATUS=reading the rooms on disk"));
        }

        pub(in crate::server) fn note_ready(&self) {
            self.tell(format_args!("READY=1\nSTATUS=ready"));
        }

        #[cfg(feature = "wasm")]
        pub(in crate::server) fn note_reloading(&self) {
            use rustix::time::{ClockId, clock_gettime};

            let now = Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default();
            self.tell(format_args!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", now.as_micros()));
        }

        pub(in crate::server) fn note_stopping(&self) {
            self.tell(format_args!("STOPPING=1\nSTATUS=closing clients"));
        }

        /// Reports for as long as this runs that all threads of rooms answer, and how much there is.
        pub(in crate::server) async fn watch(&self, workers: &Workers) {
            if self.socket.is_none() {
                return std::future::pending().await;
            }
            let period = self.watchdog.map_or(REPORT, |time| time / 3);
            loop {
                Timer::after(period).await;
                // The threads of rooms may wait for the disk. A restart would not make space there.
                if workers.phase() == Phase::Stalled {
                    self.tell(format_args!("WATCHDOG=1\nSTATUS=all rooms wait for space on the disk"));
                    continue;
                }
                // A thread that is stuck does not answer, and nothing is reported.
                match workers.counts().await {
                    Ok(counts) => self.tell(format_args!(
                        "WATCHDOG=1\nSTATUS={} rooms, {} clients",
                        counts.rooms, counts.clients
                    )),
                    // That is for two seconds.
                    Err(Ending) => self.tell(format_args!("WATCHDOG=1")),
                }
            }
        }

        fn tell(&self, state: fmt::Arguments<'_>) {
            if let Some(socket) = &self.socket
                && let Err(error) = socket.send(state.to_string().as_bytes())
            {
                log::warn!("cannot tell the supervisor what the server does: {error}");
            }
        }
    }

    /// Connects to a path, or to an abstract address, which begins with an `@`.
    fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        match address.as_bytes() {
            [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
            _ => socket.connect(address)?,
        }
        Ok(socket)
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::future::pending;

    use crate::worker::Workers;

    /// Nobody: this is for systemd.
    #[derive(Debug)]
    pub(in crate::server) struct Supervisor;

    impl Supervisor {
        pub(in crate::server) fn find() -> Self {
            Self
        }

        pub(in crate::server) fn note_starting(&self) {}

        pub(in crate::server) fn note_ready(&self) {}

        #[cfg(feature = "wasm")]
        pub(in crate::server) fn note_reloading(&self) {}

        pub(in crate::server) fn note_stopping(&self) {}

        pub(in crate::server) async fn watch(&self, _: &Workers) {
            pending().await
        }
    }
}

use std::{
    fmt, io,
    net::TcpStream,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};

/// Waits for sockets and for a time. It uses epoll, and a timer that is exact to a few microseconds. The
/// timeout of epoll counts only milliseconds.
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    armed: Option<Instant>,
    events: Vec<Event>,
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("epoll", &self.epoll)
            .field("armed", &self.armed)
            .finish_non_exhaustive()
    }
}

/// The readiness that a socket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    Both,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// The timer's, and no socket's.
const TIMER: u64 = u64::MAX;
/// The maximum number of events that are taken at a time.
const EVENTS: usize = 1024;
const NANOSECONDS: u128 = 1_000_000_000;

/// Returns true if a socket must be tried again, either when the poller reports it or at once.
pub(crate) fn is_not_ready(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Once for each time that it is set, so that it need not be read.
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, armed: None, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches a socket, which is called `token`.
    pub(crate) fn add(&self, socket: &TcpStream, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(token as u64), interest.flags())?)
    }

    /// Changes the events for which a socket is watched.
    pub(crate) fn change(&self, socket: &TcpStream, token: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket.as_fd(), EventData::new_u64(token as u64), interest.flags())?)
    }

    /// Stops watching a socket.
    pub(crate) fn remove(&self, socket: &TcpStream) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket.as_fd())?)
    }

    /// Waits until sockets are ready or `deadline` is over, and records which are ready.
    pub(crate) fn wait(&mut self, deadline: Instant, ready: &mut Vec<usize>) -> io::Result<()> {
        let now = Instant::now();
        let timeout = if deadline <= now {
            Some(&Timespec { tv_sec: 0, tv_nsec: 0 })
        } else {
            // In the past it is set no more.
            if self.armed != Some(deadline) {
                let nanoseconds = (deadline - now).as_nanos();
                let it_value = Timespec {
                    tv_sec: i64::try_from(nanoseconds / NANOSECONDS).unwrap_or(i64::MAX),
                    tv_nsec: (nanoseconds % NANOSECONDS) as i64,
                };
                let once = Itimerspec { it_interval: Timespec::default(), it_value };
                timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
                self.armed = Some(deadline);
            }
            None
        };
        ready.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            match { event.data }.u64() {
                TIMER => self.armed = None,
                token => ready.push(token as usize),
            }
        }
        Ok(())
    }
}

use std::{
    cell::Cell,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Ends a thread's wait for its sockets when a timer is due.
///
/// A wait with a timeout needs a read of the clock and a timer in the kernel each time. Nearly all waits end
/// with a message, and then the next timer is still the same.
#[derive(Debug)]
pub(super) struct Alarm {
    /// The timer. It is never read. Epoll watches it edge-triggered, and reports each time that it is due.
    timer: OwnedFd,
    /// The time that it is set to.
    at: Cell<Option<Instant>>,
}

impl Alarm {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { timer: timerfd_create(TimerfdClockId::Monotonic, flags)?, at: Cell::new(None) })
    }

    /// Makes sure that it fires at `next` or before.
    pub(super) fn set(&self, next: Option<Instant>) {
        let Some(next) = next else { return };
        if self.at.get().is_some_and(|at| at <= next) {
            return;
        }
        self.at.set(Some(next));
        // Zero would turn it off. A time that is too far away for the system never comes.
        let delay = next.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(delay).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let once = Itimerspec { it_interval: Timespec::default(), it_value };
        if let Err(error) = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once) {
            // It cannot fail with these arguments.
            log::error!("cannot wait for a timer: {error}");
        }
    }

    pub(super) fn note_rung(&self) {
        self.at.set(None);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

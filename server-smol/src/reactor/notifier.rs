use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Wake,
};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes the future of a thread. If the thread waits for its sockets, it wakes the thread too.
#[derive(Debug)]
pub(super) struct Notifier {
    /// True if the future must be polled.
    woken: AtomicBool,
    /// True if the thread waits, or is about to.
    waiting: AtomicBool,
    /// Other threads write to it. It is never read. Epoll watches it edge-triggered, and reports each write.
    event: OwnedFd,
}

impl Notifier {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self { woken: AtomicBool::new(true), waiting: AtomicBool::new(false), event }))
    }

    /// Returns true if the future was woken since the last call.
    pub(super) fn take_woken(&self) -> bool {
        self.is_woken() && self.woken.swap(false, Ordering::SeqCst)
    }

    pub(super) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }

    /// Announces a wait. Returns true if the thread should wait. Both sides set their own flag before they
    /// read the other one. So either this call sees the wake-up, or the waking thread sees the wait.
    pub(super) fn begin_wait(&self) -> bool {
        self.waiting.store(true, Ordering::SeqCst);
        !self.woken.load(Ordering::SeqCst)
    }

    pub(super) fn end_wait(&self) {
        self.waiting.store(false, Ordering::SeqCst);
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) && self.waiting.swap(false, Ordering::SeqCst) {
            // It fails only after 2^64 writes.
            let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
        }
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

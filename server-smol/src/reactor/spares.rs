use std::{
    cell::{Cell, RefCell},
    os::fd::OwnedFd,
    rc::Rc,
};

use rustix::io::fcntl_dupfd_cloexec;

use super::epoll::Sockets;

/// The number of file descriptors that each listener keeps. So many clients are told at a time that there are no others.
pub(crate) const SPARES: usize = 4;

/// File descriptors for the time when the process may have no others. Each is a copy of the one of epoll, until it is lent.
#[derive(Debug)]
pub(super) struct Spares {
    held: RefCell<Vec<OwnedFd>>,
    lent: Cell<usize>,
    sockets: Rc<Sockets>,
}

/// A file descriptor that may be taken in place of a spare one. When this is dropped, it must be free again.
#[derive(Debug)]
pub(crate) struct Spare(Rc<Spares>);

impl Spares {
    pub(super) fn new(sockets: Rc<Sockets>) -> Rc<Self> {
        let spares = Self { held: RefCell::default(), lent: Cell::new(0), sockets };
        spares.refill();
        Rc::new(spares)
    }

    /// Gives a spare one up, so that another file can have it. Nothing if there is none.
    pub(super) fn lend(self: &Rc<Self>) -> Option<Spare> {
        self.refill();
        let spare = self.held.borrow_mut().pop()?;
        drop(spare);
        self.lent.update(|lent| lent + 1);
        Some(Spare(Rc::clone(self)))
    }

    /// Takes those back that have been taken by others, as far as they are free again.
    fn refill(&self) {
        let mut held = self.held.borrow_mut();
        while held.len() + self.lent.get() < SPARES
            && let Ok(spare) = fcntl_dupfd_cloexec(self.sockets.epoll(), 0)
        {
            held.push(spare);
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.0.lent.update(|lent| lent - 1);
        self.0.refill();
    }
}

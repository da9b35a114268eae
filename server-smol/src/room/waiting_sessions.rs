use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
};

use crate::{admission::Subnet, close::CloseReason, settings::Settings, wire::Outbox};

/// The sessions of a thread that have lost their connection, and wait for another one.
///
/// As many may wait as there may be connections. If there are too many, the session ends that has waited longest. If the address of
/// the new one has more than its share, it is one of this address.
#[derive(Debug)]
pub(crate) struct WaitingSessions {
    /// The outboxes of the sessions, in the order in which they began to wait.
    all: RefCell<BTreeMap<u64, (Subnet, Weak<Outbox>)>>,
    /// The numbers of the sessions of each address, in the same order.
    by_subnet: RefCell<BTreeMap<Subnet, Vec<u64>>>,
    last: Cell<u64>,
    limit: usize,
    limit_per_subnet: usize,
}

/// Removes a session from the waiting ones when it is dropped.
#[derive(Debug)]
pub(crate) struct WaitingSession {
    sessions: Rc<WaitingSessions>,
    number: u64,
}

/// If all places are taken, an address that has more than this part of them makes space itself.
const SHARE: usize = 8;

impl WaitingSessions {
    pub(super) fn new(settings: &Settings) -> Rc<Self> {
        let limit = (settings.max_connections / settings.threads.max(1)).max(1);
        Rc::new(Self {
            all: RefCell::default(),
            by_subnet: RefCell::default(),
            last: Cell::new(0),
            limit,
            limit_per_subnet: settings.max_connections_per_address.unwrap_or(limit),
        })
    }

    /// Adds a session until the [`WaitingSession`] is dropped.
    pub(super) fn add(self: &Rc<Self>, subnet: Subnet, outbox: &Rc<Outbox>) -> WaitingSession {
        let of_subnet = self.by_subnet.borrow().get(&subnet).map(|numbers| (numbers.len(), numbers[0]));
        let (count, oldest_of_subnet) = of_subnet.unwrap_or_default();
        let oldest = self.all.borrow().keys().next().copied();
        let is_full = self.all.borrow().len() >= self.limit;
        if count >= self.limit_per_subnet || is_full && count > self.limit / SHARE {
            self.end(oldest_of_subnet);
        } else if is_full {
            oldest.into_iter().for_each(|oldest| self.end(oldest));
        }
        let number = self.last.get() + 1;
        self.last.set(number);
        self.all.borrow_mut().insert(number, (subnet, Rc::downgrade(outbox)));
        self.by_subnet.borrow_mut().entry(subnet).or_default().push(number);
        WaitingSession { sessions: Rc::clone(self), number }
    }

    fn end(&self, number: u64) {
        if let Some(outbox) = self.remove(number).and_then(|outbox| outbox.upgrade()) {
            outbox.close(CloseReason::SessionEnded);
        }
    }

    fn remove(&self, number: u64) -> Option<Weak<Outbox>> {
        let (subnet, outbox) = self.all.borrow_mut().remove(&number)?;
        let mut by_subnet = self.by_subnet.borrow_mut();
        if let Some(numbers) = by_subnet.get_mut(&subnet) {
            if let Ok(index) = numbers.binary_search(&number) {
                numbers.remove(index);
            }
            if numbers.is_empty() {
                by_subnet.remove(&subnet);
            }
        }
        Some(outbox)
    }
}

impl Drop for WaitingSession {
    fn drop(&mut self) {
        self.sessions.remove(self.number);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::{
        memory::Ledger,
        reactor::{Stream, block_on},
        wire::Buffers,
    };

    /// Lets sessions of these addresses wait, one after the other. Returns which of them are left.
    fn left(limit: usize, per_address: Option<usize>, addresses: &[u8]) -> Vec<usize> {
        let settings = Settings {
            max_connections: limit,
            max_connections_per_address: per_address,
            ..Settings::default()
        };
        let sessions = WaitingSessions::new(&settings);
        block_on(async {
            let buffers = Rc::new(Buffers::new(Ledger::new(1 << 20)));
            let outboxes: Vec<_> = addresses
                .iter()
                .map(|address| {
                    let (stream, _) = UnixStream::pair().unwrap();
                    stream.set_nonblocking(true).unwrap();
                    let stream = Stream::new(Box::new(stream)).unwrap();
                    let outbox = Outbox::new(stream, Rc::clone(&buffers), 1_000);
                    let waiting = sessions.add(Subnet::of([10, 0, 0, *address].into()), &outbox);
                    (outbox, waiting)
                })
                .collect();
            let left = outboxes.iter().enumerate().filter(|(_, (outbox, _))| outbox.closing().is_none());
            let left: Vec<_> = left.map(|(number, _)| number).collect();
            assert_eq!(sessions.all.borrow().len(), left.len());
            drop(outboxes);
            assert!(sessions.all.borrow().is_empty() && sessions.by_subnet.borrow().is_empty());
            left
        })
    }

    #[test]
    fn the_session_that_has_waited_longest_ends_if_there_are_too_many() {
        assert_eq!(left(3, None, &[1, 2, 3, 4, 5]), [2, 3, 4]);
        assert_eq!(left(3, None, &[1, 1, 1]), [0, 1, 2]);
    }

    #[test]
    fn an_address_with_more_than_its_share_makes_space_itself() {
        // A share is two.
        assert_eq!(left(16, None, &[[7; 1], [8; 1]].concat()), [0, 1]);
        let crowd = [vec![1; 1], vec![2; 15], vec![2; 20]].concat();
        let first_and_last: Vec<_> = [0].into_iter().chain(21..36).collect();
        assert_eq!(left(16, None, &crowd), first_and_last);
    }

    #[test]
    fn no_more_sessions_of_an_address_wait_than_it_may_have_connections() {
        assert_eq!(left(100, Some(2), &[1, 2, 1, 1, 2, 1]), [1, 3, 4, 5]);
    }
}

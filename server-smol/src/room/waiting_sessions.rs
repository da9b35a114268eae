use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use crate::{close::CloseReason, settings::Settings, subnet::Subnet, wire::Outbox};

/// The sessions of a thread that have lost their connection, and wait for another one.
///
/// As many may wait as there may be connections. If there are too many, the session ends that has waited longest. If the address of
/// the new one has more than its share, it is one of this address.
#[derive(Debug)]
pub(crate) struct WaitingSessions {
    /// The sessions in the order in which they began to wait.
    sessions: RefCell<Vec<Waiting>>,
    last: Cell<u64>,
    limit: usize,
    limit_per_subnet: usize,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    subnet: Subnet,
    outbox: Weak<Outbox>,
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
            sessions: RefCell::default(),
            last: Cell::new(0),
            limit,
            limit_per_subnet: settings.max_connections_per_address.unwrap_or(limit),
        })
    }

    /// Adds a session until the [`WaitingSession`] is dropped.
    pub(super) fn add(self: &Rc<Self>, subnet: Subnet, outbox: &Rc<Outbox>) -> WaitingSession {
        if let Some(index) = self.in_excess(subnet) {
            let ended = self.sessions.borrow_mut().remove(index);
            ended.outbox.upgrade().iter().for_each(|outbox| outbox.close(CloseReason::SessionEnded));
        }
        let number = self.last.get() + 1;
        self.last.set(number);
        self.sessions.borrow_mut().push(Waiting { number, subnet, outbox: Rc::downgrade(outbox) });
        WaitingSession { sessions: Rc::clone(self), number }
    }

    /// Returns the session that ends so that one of this address can wait, if there is no place for it.
    fn in_excess(&self, subnet: Subnet) -> Option<usize> {
        let sessions = self.sessions.borrow();
        let is_full = sessions.len() >= self.limit;
        // Nearly always there are places, and to count would take a while.
        if !is_full && sessions.len() < self.limit_per_subnet {
            return None;
        }
        let is_of_subnet = |waiting: &Waiting| waiting.subnet == subnet;
        let count = sessions.iter().filter(|waiting| is_of_subnet(waiting)).count();
        if count >= self.limit_per_subnet || is_full && count > self.limit / SHARE {
            return sessions.iter().position(is_of_subnet);
        }
        is_full.then_some(0)
    }
}

impl Drop for WaitingSession {
    fn drop(&mut self) {
        let mut sessions = self.sessions.sessions.borrow_mut();
        if let Ok(index) = sessions.binary_search_by_key(&self.number, |waiting| waiting.number) {
            sessions.remove(index);
        }
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
            assert_eq!(sessions.sessions.borrow().len(), left.len());
            drop(outboxes);
            assert!(sessions.sessions.borrow().is_empty());
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

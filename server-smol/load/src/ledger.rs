use std::collections::{BTreeSet, VecDeque};

use super::mark::Mark;

/// The groups of clients that receive each other's messages. Connections are numbered group by group; the
/// first ones of each group send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) groups: usize,
    /// The number of clients of a group.
    pub(crate) clients: usize,
    /// The number of clients of a group that send.
    pub(crate) senders: usize,
    /// True if senders do not receive their own messages.
    pub(crate) except_sender: bool,
}

impl Shape {
    pub(crate) fn connections(&self) -> usize {
        self.groups * self.clients
    }

    pub(crate) fn senders(&self) -> usize {
        self.groups * self.senders
    }

    /// Returns the connection of a sender.
    pub(crate) fn connection(&self, sender: usize) -> usize {
        sender / self.senders * self.clients + sender % self.senders
    }

    /// Returns the number of clients that receive each message.
    pub(crate) fn hearers(&self) -> usize {
        self.clients - usize::from(self.except_sender)
    }

    /// Returns the sender with this number, if a connection may receive its messages, and its index in the
    /// group.
    fn sender(&self, hearer: usize, connection: usize) -> Option<(usize, usize)> {
        let (group, place) = (connection / self.clients, connection % self.clients);
        let heard = group == hearer / self.clients && !(self.except_sender && hearer == connection);
        (heard && place < self.senders).then_some((group * self.senders + place, place))
    }
}

/// The messages that have been sent, and those that have arrived. Each must arrive once and in order at every
/// client that receives messages of its sender.
#[derive(Debug)]
pub(crate) struct Ledger {
    shape: Shape,
    senders: Vec<Sender>,
    /// The next expected number, for each connection and each sender of its group.
    next: Vec<u32>,
    /// The receiver, sender and number of messages that were overtaken by later ones.
    overtaken: BTreeSet<(usize, usize, u32)>,
    /// The number of messages that have neither arrived everywhere nor been overtaken.
    open: u64,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Sender {
    count: u32,
    /// The latest messages, with the one before `count` as the last.
    open: VecDeque<Open>,
}

#[derive(Debug)]
struct Open {
    /// The time at which it was sent, or should have been sent.
    at: u64,
    /// The number of clients at which it has not arrived yet.
    left: usize,
}

/// The mistakes of a server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Deliveries that are missing.
    pub(crate) missing: u64,
    /// Deliveries that arrived more than once.
    pub(crate) duplicate: u64,
    /// Deliveries that arrived after later ones of the same sender.
    pub(crate) reordered: u64,
    /// Deliveries that were not sent, or not with this content, or not to this room.
    pub(crate) altered: u64,
}

impl Faults {
    pub(crate) fn count(&self) -> u64 {
        self.missing + self.duplicate + self.reordered + self.altered
    }
}

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The time at which the message was sent, unless it was late or wrong.
    pub(crate) at: Option<u64>,
    /// The sender that may send another message, because this one has arrived everywhere.
    pub(crate) freed: Option<usize>,
}

impl Ledger {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut senders = Vec::new();
        senders.resize_with(shape.senders(), Sender::default);
        let next = vec![0; shape.connections() * shape.senders];
        Self { shape, senders, next, overtaken: BTreeSet::new(), open: 0, faults: Faults::default() }
    }

    /// Returns the number of messages of a sender that are not delivered yet.
    pub(crate) fn outstanding(&self, sender: usize) -> usize {
        self.senders[sender].open.len()
    }

    /// Returns how many messages a sender has sent.
    pub(crate) fn sent(&self, sender: usize) -> u32 {
        self.senders[sender].count
    }

    /// Records that a message is sent. Returns its mark.
    pub(crate) fn send(&mut self, sender: usize, at: u64) -> Mark {
        let mark = Mark { sender: self.shape.connection(sender) as u32, number: self.senders[sender].count };
        self.senders[sender].count += 1;
        self.senders[sender].open.push_back(Open { at, left: self.shape.hearers() });
        self.open += 1;
        mark
    }

    /// Records that a message with this mark has arrived.
    pub(crate) fn arrive(&mut self, hearer: usize, mark: Mark) -> Arrival {
        const WRONG: Arrival = Arrival { at: None, freed: None };
        let Some((sender, place)) = self.shape.sender(hearer, mark.sender as usize) else {
            self.faults.altered += 1;
            return WRONG;
        };
        let Sender { count, open } = &mut self.senders[sender];
        if mark.number >= *count {
            self.faults.altered += 1;
            return WRONG;
        }
        let next = &mut self.next[hearer * self.shape.senders + place];
        if mark.number < *next {
            if self.overtaken.remove(&(hearer, sender, mark.number)) {
                self.faults.reordered += 1;
            } else {
                self.faults.duplicate += 1;
            }
            return WRONG;
        }
        self.overtaken.extend((*next..mark.number).map(|number| (hearer, sender, number)));
        let first = *count - open.len() as u32;
        let mut at = None;
        // The sender does not wait for overtaken messages.
        for number in *next..=mark.number {
            // All messages that this client has not received are open.
            let message = &mut open[(number - first) as usize];
            message.left -= 1;
            at = Some(message.at);
        }
        *next = mark.number + 1;
        let before = open.len();
        while open.front().is_some_and(|message| message.left == 0) {
            open.pop_front();
        }
        let closed = before - open.len();
        self.open -= closed as u64;
        Arrival { at, freed: (closed > 0).then_some(sender) }
    }

    /// Records that a message has arrived with wrong content.
    pub(crate) fn altered(&mut self) {
        self.faults.altered += 1;
    }

    /// Returns true if all messages have arrived.
    pub(crate) fn is_settled(&self) -> bool {
        self.open == 0 && self.overtaken.is_empty()
    }

    /// Returns true if messages have been sent, and nothing of them has come to anybody.
    pub(crate) fn is_silent(&self) -> bool {
        self.open > 0 && self.faults == Faults::default() && self.next.iter().all(|next| *next == 0)
    }

    /// Returns true if there are so many faults that continuing is useless.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.overtaken.len() as u64 + self.faults.count() > 10_000
    }

    /// Returns the faults, if no more messages arrive.
    pub(crate) fn faults(&self) -> Faults {
        let left = self.senders.iter().flat_map(|sender| &sender.open).map(|message| message.left as u64);
        Faults { missing: left.sum::<u64>() + self.overtaken.len() as u64, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(groups: usize, clients: usize, senders: usize) -> Ledger {
        Ledger::new(Shape { groups, clients, senders, except_sender: false })
    }

    fn mark(sender: u32, number: u32) -> Mark {
        Mark { sender, number }
    }

    #[test]
    fn what_arrives_once_and_in_order_is_well() {
        let mut ledger = ledger(2, 3, 2);
        assert_eq!(ledger.send(3, 10), mark(4, 0));
        assert_eq!(ledger.send(3, 20), mark(4, 1));
        assert_eq!(ledger.outstanding(3), 2);
        for (hearer, freed) in [(3, None), (4, None), (5, Some(3))] {
            assert_eq!(ledger.arrive(hearer, mark(4, 0)), Arrival { at: Some(10), freed });
        }
        assert!(!ledger.is_settled());
        for (hearer, freed) in [(3, None), (4, None), (5, Some(3))] {
            assert_eq!(ledger.arrive(hearer, mark(4, 1)), Arrival { at: Some(20), freed });
        }
        assert!(ledger.is_settled());
        assert_eq!(ledger.faults(), Faults::default());
    }

    #[test]
    fn what_does_not_come_is_missing() {
        let mut ledger = ledger(1, 2, 1);
        for _ in 0..3 {
            ledger.send(0, 0);
        }
        assert!(ledger.is_silent());
        ledger.arrive(0, mark(0, 0));
        assert!(!ledger.is_silent());
        // Of what is overtaken nobody waits for more.
        ledger.arrive(0, mark(0, 2));
        assert_eq!(ledger.arrive(1, mark(0, 2)).freed, Some(0));
        assert_eq!(ledger.outstanding(0), 0);
        assert!(!ledger.is_settled());
        assert_eq!(ledger.faults(), Faults { missing: 3, ..Faults::default() });
    }

    #[test]
    fn what_comes_late_is_reordered_and_not_missing() {
        let mut ledger = ledger(1, 1, 1);
        ledger.send(0, 0);
        ledger.send(0, 0);
        ledger.arrive(0, mark(0, 1));
        ledger.arrive(0, mark(0, 0));
        assert!(ledger.is_settled());
        assert_eq!(ledger.faults(), Faults { reordered: 1, ..Faults::default() });
    }

    #[test]
    fn what_comes_twice_is_a_duplicate() {
        let mut ledger = ledger(1, 1, 1);
        ledger.send(0, 0);
        for _ in 0..3 {
            ledger.arrive(0, mark(0, 0));
        }
        assert_eq!(ledger.faults(), Faults { duplicate: 2, ..Faults::default() });
    }

    #[test]
    fn what_nobody_has_sent_here_is_altered() {
        let mut ledger = Ledger::new(Shape { groups: 2, clients: 2, senders: 1, except_sender: true });
        ledger.send(0, 0);
        ledger.send(1, 0);
        // From another room, by one who does not send, to the sender itself, not sent yet, and by nobody.
        for (hearer, mark) in
            [(1, mark(2, 0)), (1, mark(1, 0)), (0, mark(0, 0)), (1, mark(0, 1)), (0, mark(9, 0))]
        {
            assert_eq!(ledger.arrive(hearer, mark), Arrival { at: None, freed: None });
        }
        ledger.altered();
        assert_eq!(ledger.faults(), Faults { altered: 6, missing: 2, ..Faults::default() });
    }
}

use std::sync::Mutex;

/// The facts that the clients of a room know: what they have seen, and what they have sent.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Facts>);

#[derive(Debug, Default)]
struct Facts {
    /// The greatest count.
    count: u64,
    /// The greatest id.
    id: u32,
    /// The number of messages that were sent, whether or not they arrived.
    sent: u64,
}

impl Seen {
    pub(crate) fn note_sent(&self) {
        self.0.lock().expect("nobody panics with it").sent += 1;
    }

    pub(crate) fn note_count(&self, count: u64) {
        let mut facts = self.0.lock().expect("nobody panics with it");
        facts.count = facts.count.max(count);
        assert!(count <= facts.sent, "the count is {count} after {} messages", facts.sent);
    }

    /// Notes the id of a client. It must not have had one of these before.
    pub(crate) fn note_id(&self, id: u32, ids_before: u32) {
        let mut facts = self.0.lock().expect("nobody panics with it");
        assert!(
            id > ids_before,
            "id {id} was given to another client in a process before (up to {ids_before})"
        );
        facts.id = facts.id.max(id);
    }

    /// Returns the greatest count and the greatest id.
    pub(crate) fn greatest(&self) -> (u64, u32) {
        let facts = self.0.lock().expect("nobody panics with it");
        (facts.count, facts.id)
    }
}

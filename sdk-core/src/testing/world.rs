use alloc::{string::String, vec::Vec};
use core::cell::{Cell, OnceCell, RefCell};

use crate::{ClientId, LogLevel, MessageRecipient, StateroomContext, ToPayload, abi, engine::EngineContext};

use super::{Closed, LogLine, Message};

/// The time at which a room's clock starts: the first moment of the year 2000, in milliseconds since the Unix epoch.
pub const START_MS: u64 = 946_684_800_000;

/// The world as the room's service sees it.
#[derive(Debug)]
pub(super) struct World {
    /// Set before the first event.
    pub(super) room_id: OnceCell<String>,
    /// All clients that ever came. The first has the id 1.
    clients: RefCell<Vec<Client>>,
    log: RefCell<Vec<LogLine>>,
    /// The clients that the service has closed, and whose `disconnect` has not come.
    leaving: RefCell<Vec<ClientId>>,
    /// The client whose `connect` runs, and what it has brought.
    newcomer: RefCell<Option<Newcomer>>,
    pub(super) now_ms: Cell<u64>,
    /// The time at which the timer is due.
    pub(super) due_ms: Cell<Option<u64>>,
    /// The state of the generator.
    pub(super) random: Cell<u64>,
}

#[derive(Debug)]
struct Newcomer {
    client: ClientId,
    /// Keys and values.
    info: Vec<(String, String)>,
}

#[derive(Debug)]
struct Client {
    is_here: bool,
    closed: Option<Closed>,
    /// The messages that it has been sent and that nobody has looked at.
    inbox: Vec<Message>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            room_id: OnceCell::new(),
            clients: RefCell::default(),
            log: RefCell::default(),
            leaving: RefCell::default(),
            newcomer: RefCell::default(),
            now_ms: Cell::new(START_MS),
            due_ms: Cell::new(None),
            random: Cell::new(0),
        }
    }

    /// Adds a client, and returns its id.
    pub(super) fn enter(&self) -> ClientId {
        let mut clients = self.clients.borrow_mut();
        clients.push(Client { is_here: true, closed: None, inbox: Vec::new() });
        ClientId(u32::try_from(clients.len()).expect("a test has fewer than 2^32 clients"))
    }

    pub(super) fn leave(&self, client: ClientId) {
        self.clients.borrow_mut()[index(client)].is_here = false;
    }

    pub(super) fn is_here(&self, client: ClientId) -> bool {
        self.clients.borrow()[index(client)].is_here
    }

    /// Returns the code and the reason with which the service has closed the client, if it has.
    pub(super) fn closed(&self, client: ClientId) -> Option<Closed> {
        self.clients.borrow()[index(client)].closed.clone()
    }

    /// Takes one of those whose `disconnect` has yet to come.
    pub(super) fn take_leaving(&self) -> Option<ClientId> {
        let mut leaving = self.leaving.borrow_mut();
        (!leaving.is_empty()).then(|| leaving.remove(0))
    }

    /// Sets the client whose `connect` runs next, and what it has brought with it.
    pub(super) fn set_newcomer(&self, newcomer: Option<(ClientId, &[(&str, &str)])>) {
        let owned = |(key, value): &(&str, &str)| (String::from(*key), String::from(*value));
        let newcomer =
            newcomer.map(|(client, info)| Newcomer { client, info: info.iter().map(owned).collect() });
        self.newcomer.replace(newcomer);
    }

    pub(super) fn take_inbox(&self, client: ClientId) -> Vec<Message> {
        core::mem::take(&mut self.clients.borrow_mut()[index(client)].inbox)
    }

    pub(super) fn take_log(&self) -> Vec<LogLine> {
        self.log.take()
    }
}

fn index(client: ClientId) -> usize {
    client.0 as usize - 1
}

impl StateroomContext for World {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let recipient = recipient.into();
        message.with_payload(|payload| {
            for (id, client) in (1..).zip(&mut *self.clients.borrow_mut()) {
                if client.is_here && recipient.includes(ClientId(id)) {
                    client.inbox.push(payload.into());
                }
            }
        });
    }

    fn room_id(&self) -> &str {
        self.room_id.get().map_or("", |id| id)
    }

    fn set_timer(&self, ms_delay: u32) {
        // After the end of time nothing is due.
        let due = self.now_ms.get().checked_add(ms_delay.into());
        self.due_ms.set(due.filter(|_| ms_delay > 0));
    }

    fn log(&self, level: LogLevel, message: &str) {
        self.log.borrow_mut().push(LogLine { level, text: message.into() });
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Closes connections. A mistake is shown at the line where the service makes it.
    #[track_caller]
    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        assert!(
            abi::is_close_code(code.into()),
            "an application closes with 1000, or 3000 to 4999, and not with {code}"
        );
        let most = abi::CLOSE_REASON_SIZE;
        assert!(
            reason.len() <= most,
            "a reason has at most {most} bytes, and not {}: {reason:?}",
            reason.len()
        );
        let recipient = recipient.into();
        for (id, client) in (1..).map(ClientId).zip(&mut *self.clients.borrow_mut()) {
            if client.is_here && recipient.includes(id) {
                client.is_here = false;
                client.closed = Some(Closed { code, reason: reason.into() });
                self.leaving.borrow_mut().push(id);
            }
        }
    }

    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let newcomer = self.newcomer.borrow();
        let newcomer = newcomer.as_ref().filter(|newcomer| newcomer.client == client)?;
        let (_, value) = newcomer.info.iter().find(|(name, _)| name == key)?;
        let buffer = buffer.get_mut(..value.len())?;
        buffer.copy_from_slice(value.as_bytes());
        core::str::from_utf8(buffer).ok()
    }

    /// SplitMix64: short, and every seed is a good one.
    fn random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(size_of::<u64>()) {
            let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

impl EngineContext for World {
    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        let newcomer = self.newcomer.borrow();
        if let Some(newcomer) = newcomer.as_ref().filter(|newcomer| newcomer.client == client) {
            newcomer.info.iter().for_each(|(key, value)| each(key, value));
        }
    }
}

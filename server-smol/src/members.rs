use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use stateroom_sdk_core::{
    ClientId, LogLevel, MessagePayload, MessageRecipient, StateroomContext, ToPayload,
    abi::{CLOSE_REASON_SIZE, is_close_code},
};

use crate::{
    client_info::ClientInfo,
    io::Io,
    log_budget::{Admitted, BYTES_A_SECOND, Cut, LINES_A_SECOND, LogBudget},
    outbox::{Frame, Outbox},
    room_id::RoomId,
    websocket::{Close, Opcode},
};

/// How many messages, or closes, are delivered at a stretch, in about 0.1 ms. One to all clients is not divided.
const DELIVERIES: usize = 1_000;

/// How many bytes take as long to deliver as another message: they are copied, and what comes together is written.
const LIKE_ANOTHER: usize = 1 << 10;

/// The clients of a room, and through them the world as the room's service sees it.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) id: RoomId,
    /// In the order of their ids, which is the order in which they came.
    pub(crate) list: RefCell<Vec<(ClientId, Rc<Outbox>)>>,
    /// Those whose `connect` is still to come.
    pub(crate) arriving: RefCell<Vec<Rc<Outbox>>>,
    /// The client whose `connect` runs, and what it has brought with it.
    pub(crate) newcomer: RefCell<Option<(ClientId, Box<ClientInfo>)>>,
    /// The timer that the event that runs has asked for.
    pub(crate) timer: Cell<Option<u32>>,
    /// How many messages and closes have been delivered since others could go on.
    pub(crate) deliveries: Cell<usize>,
    log: LogBudget,
    /// Where the time is from.
    io: Rc<Io>,
}

impl Members {
    pub(crate) fn new(id: RoomId, io: Rc<Io>) -> Self {
        Self {
            id,
            io,
            list: RefCell::default(),
            arriving: RefCell::default(),
            newcomer: RefCell::default(),
            timer: Cell::new(None),
            deliveries: Cell::new(0),
            log: LogBudget::default(),
        }
    }

    pub(crate) fn add(&self, client: ClientId, outbox: Rc<Outbox>) {
        let mut list = self.list.borrow_mut();
        let index = list.partition_point(|(other, _)| *other < client);
        list.insert(index, (client, outbox));
        self.io.clients.set(self.io.clients.get() + 1);
    }

    pub(crate) fn remove(&self, client: ClientId) {
        let mut list = self.list.borrow_mut();
        if let Ok(index) = list.binary_search_by_key(&client, |(other, _)| *other) {
            list.remove(index);
            self.io.clients.set(self.io.clients.get() - 1);
        }
    }

    /// Takes out all clients.
    pub(crate) fn clear(&self) -> Vec<(ClientId, Rc<Outbox>)> {
        let list = self.list.take();
        self.io.clients.set(self.io.clients.get() - list.len());
        list
    }

    /// Writes that the room has failed.
    pub(crate) fn log_failure(&self, reason: &str) {
        self.io.log_failure(|| format!("room {} failed: {}", self.id, Cut::new(reason)));
    }

    /// Reports the lines that were dropped and are not reported yet, as the room ends.
    pub(crate) fn log_end(&self) {
        self.warn_of_dropped(self.log.settle());
    }

    fn warn_of_dropped(&self, dropped: Option<u32>) {
        if let Some(dropped) = dropped {
            log::warn!(
                "room {}: {dropped} log lines were dropped: {LINES_A_SECOND} a second are written, and {} KiB",
                self.id,
                BYTES_A_SECOND / 1024,
            );
        }
    }

    /// Counts the delivery of so many bytes to so many clients.
    fn count(&self, clients: usize, size: usize) {
        self.deliveries.set(self.deliveries.get() + clients * (1 + size / LIKE_ANOTHER));
    }
}

/// The outboxes of those who are meant by `recipient`.
fn among(list: &[(ClientId, Rc<Outbox>)], recipient: MessageRecipient) -> impl Iterator<Item = &Rc<Outbox>> {
    let (among, except) = match recipient {
        MessageRecipient::Client(client) => (only(list, client), None),
        MessageRecipient::Broadcast => (list, None),
        MessageRecipient::EveryoneExcept(client) => (list, Some(client)),
    };
    among.iter().filter(move |(client, _)| Some(*client) != except).map(|(_, outbox)| outbox)
}

/// The client of this id, if it is there.
fn only(list: &[(ClientId, Rc<Outbox>)], client: ClientId) -> &[(ClientId, Rc<Outbox>)] {
    list.binary_search_by_key(&client, |(other, _)| *other).map_or(&[], |index| &list[index..=index])
}

impl StateroomContext for Members {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let (list, recipient) = (self.list.borrow(), recipient.into());
        message.with_payload(|payload| {
            let (opcode, payload) = match payload {
                MessagePayload::Text(text) => (Opcode::Text, text.as_bytes()),
                MessagePayload::Bytes(bytes) => (Opcode::Binary, bytes),
            };
            match recipient {
                MessageRecipient::Client(_) => {
                    self.count(1, payload.len());
                    let frame = Frame::new(opcode, payload);
                    among(&list, recipient).for_each(|outbox| outbox.push(&frame));
                }
                MessageRecipient::Broadcast | MessageRecipient::EveryoneExcept(_) => {
                    self.count(list.len(), payload.len());
                    let mut buffer = self.io.buffer();
                    let frame = Frame::for_several(opcode, payload, &mut buffer);
                    among(&list, recipient).for_each(|outbox| outbox.push(&frame));
                    self.io.give_back(buffer);
                }
            }
        });
    }

    fn set_timer(&self, ms_delay: u32) {
        self.timer.set(Some(ms_delay));
    }

    /// What is wrong with a close ends a native service as it ends a guest.
    #[track_caller]
    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        assert!(
            is_close_code(code.into()),
            "a connection was closed with the code {code}; 1000 and 3000 to 4999 are for applications"
        );
        assert!(
            reason.len() <= CLOSE_REASON_SIZE,
            "a connection was closed with a reason of {} bytes; {CLOSE_REASON_SIZE} fit",
            reason.len()
        );
        let (list, recipient) = (self.list.borrow(), recipient.into());
        let clients = match recipient {
            MessageRecipient::Client(_) => 1,
            MessageRecipient::Broadcast | MessageRecipient::EveryoneExcept(_) => list.len(),
        };
        self.count(clients, reason.len());
        let close = Close::new(code, reason.to_owned());
        among(&list, recipient).for_each(|outbox| outbox.dismiss(close.clone()));
    }

    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let newcomer = self.newcomer.borrow();
        let (_, info) = newcomer.as_ref().filter(|(newcomer, _)| *newcomer == client)?;
        let value = info.get(key)?;
        let buffer = buffer.get_mut(..value.len())?;
        buffer.copy_from_slice(value.as_bytes());
        str::from_utf8(buffer).ok()
    }

    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        if let Some((newcomer, info)) = &*self.newcomer.borrow()
            && *newcomer == client
        {
            info.each(each);
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        };
        if !log::log_enabled!(target: "stateroom::guest", level) {
            return;
        }
        let line = || format!("room {}: {:?}", self.id, Cut::new(message));
        let Some(Admitted { line, dropped }) = self.log.admit(Instant::now(), line) else { return };
        self.warn_of_dropped(dropped);
        log::log!(target: "stateroom::guest", level, "{line}");
    }

    fn wants_pause(&self) -> bool {
        self.deliveries.get() >= DELIVERIES
    }

    fn now_ms(&self) -> u64 {
        self.io.now_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        // Fails only where the system has no random source at all, as on no system that runs this.
        getrandom::fill(bytes).expect("the system has a random source");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_messages_many_bytes_and_many_closes_want_a_pause() {
        #[track_caller]
        fn many(most: usize, deliver: impl Fn(&Members)) {
            let members = Members::new(RoomId::default_room(), Rc::default());
            for _ in 0..most {
                assert!(!members.wants_pause());
                deliver(&members);
            }
            assert!(members.wants_pause());
        }
        let large = "x".repeat(49 * LIKE_ANOTHER);
        many(DELIVERIES, |members| members.send_message(ClientId(1), "hello"));
        many(DELIVERIES / 50, |members| members.send_message(ClientId(1), large.as_str()));
        many(DELIVERIES, |members| members.close(ClientId(1), 1000, "goodbye"));
    }
}

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use stateroom_core::{
    ClientId, LogLevel, MessagePayload, MessageRecipient, StateroomContext, ToPayload,
    abi::{CLOSE_REASON_SIZE, is_close_code},
    engine::EngineContext,
};

use crate::{
    close::CloseReason,
    log_line::About,
    thread::{Cut, RoomLog, Thread},
    websocket::Opcode,
};

use super::{
    client_info::{ClientInfo, KeptInfo},
    deliveries::Deliveries,
    id::RoomId,
    roster::Roster,
    trace::Trace,
};

/// The world as a room's service sees it: the clients of the room, its timer, and the log.
#[derive(Debug)]
pub(crate) struct RoomContext {
    pub(super) id: RoomId,
    pub(super) thread: Rc<Thread>,
    pub(super) roster: Roster,
    pub(super) deliveries: Deliveries,
    /// The client whose `connect` runs, and what it has brought with it.
    pub(super) newcomer: RefCell<Option<(ClientId, Box<ClientInfo>)>>,
    pub(super) kept_info: KeptInfo,
    /// The timer that the event that runs has asked for.
    pub(super) timer: Cell<Option<u32>>,
    pub(super) log: RoomLog,
    pub(super) trace: Trace,
}

impl RoomContext {
    pub(super) fn new(id: RoomId, thread: Rc<Thread>) -> Self {
        let log = RoomLog::new(Rc::clone(&thread.log));
        Self {
            id,
            roster: Roster::new(Rc::clone(&thread)),
            deliveries: Deliveries::new(Rc::clone(&thread)),
            newcomer: RefCell::default(),
            kept_info: KeptInfo::new(thread.settings.may_reset_rooms()),
            thread,
            timer: Cell::new(None),
            log,
            trace: Trace::default(),
        }
    }

    /// Records a change of the room's state.
    pub(super) fn trace_state(&self, state: &str, reason: Option<&str>) {
        if self.trace.is_on() {
            self.trace.state(self.thread.clock.unix_ms(), state, reason);
        }
    }

    /// Returns whether a `connect` runs, or has just ended.
    pub(super) fn has_newcomer(&self) -> bool {
        self.newcomer.borrow().is_some()
    }
}

impl StateroomContext for RoomContext {
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload) {
        let recipient = recipient.into();
        message.with_payload(|payload| {
            self.trace.send(recipient, payload);
            let (opcode, payload) = match payload {
                MessagePayload::Text(text) => (Opcode::Text, text.as_bytes()),
                MessagePayload::Bytes(bytes) => (Opcode::Binary, bytes),
            };
            self.deliveries.send(&self.roster, recipient, opcode, payload);
        });
    }

    fn room_id(&self) -> &str {
        self.id.as_str()
    }

    fn set_timer(&self, ms_delay: u32) {
        self.trace.timer(ms_delay);
        self.timer.set(Some(ms_delay));
    }

    /// Closes connections. A mistake in a close ends a native service as it ends a guest.
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
        let recipient = recipient.into();
        self.trace.close(recipient, code, reason);
        let reason = CloseReason::ByRoom { code, reason: reason.into() };
        self.deliveries.close(&self.roster, recipient, reason);
    }

    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let newcomer = self.newcomer.borrow();
        let (_, info) = newcomer.as_ref().filter(|(newcomer, _)| *newcomer == client)?;
        let value = info.get(key)?;
        let buffer = buffer.get_mut(..value.len())?;
        buffer.copy_from_slice(value.as_bytes());
        str::from_utf8(buffer).ok()
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Error => log::Level::Error,
            LogLevel::Warn => log::Level::Warn,
            LogLevel::Info => log::Level::Info,
            LogLevel::Debug => log::Level::Debug,
            LogLevel::Trace => log::Level::Trace,
        };
        self.trace.log(level, message);
        self.log.line(self.id.as_str(), level, || format!("room {}: {:?}", self.id, Cut::new(message)));
    }

    fn now_ms(&self) -> u64 {
        self.thread.clock.unix_ms()
    }

    fn random(&self, bytes: &mut [u8]) {
        // Fails only where the system has no random source at all, as on no system that runs this.
        getrandom::fill(bytes).expect("the system has a random source");
    }
}

impl EngineContext for RoomContext {
    fn each_client_info(&self, client: ClientId, each: &mut dyn FnMut(&str, &str)) {
        if let Some((newcomer, info)) = &*self.newcomer.borrow()
            && *newcomer == client
        {
            info.each(each);
        }
    }

    fn warn(&self, words: &dyn fmt::Display) {
        let about = About::room(self.id.as_str());
        self.thread.log.event(log::Level::Warn, about, || format!("room {}: {words}", self.id));
    }

    fn wants_pause(&self) -> bool {
        self.deliveries.is_enough() || self.deliveries.is_pending()
    }
}

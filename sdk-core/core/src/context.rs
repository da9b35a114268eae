use crate::{ClientId, MessagePayload, MessageRecipient, ToPayload};

/// The level of a line in the host's log. The numbers are those of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LogLevel {
    /// Something is broken.
    Error = 1,
    /// Something looks wrong.
    Warn = 2,
    /// Something worth knowing happened.
    Info = 3,
    /// For debugging.
    Debug = 4,
    /// Every detail.
    Trace = 5,
}

impl LogLevel {
    /// Returns the level of a number from the ABI; numbers above the last mean [`Trace`](Self::Trace), 0 means
    /// [`Error`](Self::Error).
    #[must_use]
    pub const fn from_u32(level: u32) -> Self {
        match level {
            0 | 1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }
}

/// The actions of a service: it sends messages to the clients of its room, closes their connections, and asks to be
/// called later.
///
/// Hosts and guests both implement it; hosts add an [`EngineContext`](crate::engine::EngineContext). The actions of
/// one event take effect in order, after the event.
pub trait StateroomContext {
    /// Sends a message to one client, to everyone in the room, or to everyone but one.
    ///
    /// A [`ClientId`] is a recipient, too. Sending to a client that has left does nothing.
    #[track_caller]
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload);

    /// Sends bytes: the name that services of the 0.2 line use for
    /// [`send_message`](Self::send_message) with bytes.
    fn send_binary(&self, recipient: impl Into<MessageRecipient>, message: &[u8]) {
        self.send_message(recipient, MessagePayload::Bytes(message));
    }

    /// Returns the id of the room. It is the same in all events, from [`init`](crate::StateroomService::init) on, and for as
    /// long as the room exists. The text is borrowed from the context: copy it to keep it for longer than the event.
    ///
    /// An id has 1 to 512 bytes from the server of this project. Contexts without rooms return an empty text. So does a
    /// guest if its host gave it none, or one of more than 512 bytes.
    ///
    /// In a guest this is no import. A guest that calls it has 516 bytes of memory for it.
    ///
    /// ```
    /// # use stateroom_sdk_core::*;
    /// #[derive(Default)]
    /// struct Quiz {
    ///     is_trial: bool,
    /// }
    ///
    /// impl StateroomService for Quiz {
    ///     fn init(&mut self, ctx: &impl StateroomContext) {
    ///         self.is_trial = ctx.room_id().starts_with("trial-");
    ///     }
    /// }
    /// ```
    fn room_id(&self) -> &str {
        ""
    }

    /// Asks for [`timer`](crate::StateroomService::timer) to be called in `ms_delay` milliseconds.
    ///
    /// A room has one timer: a new request replaces the old one, and 0 cancels it. The delay counts from the
    /// begin of this event: so a timer that is set to 50 in each of its own events fires every 50 ms, however
    /// long the events take. If an event takes longer than that, the timer fires once, as soon as others have
    /// had their turn. Events that were missed are not made up for.
    fn set_timer(&self, ms_delay: u32);

    /// Writes a line to the host's log. Contexts without a log drop it.
    ///
    /// In a guest this is an import that other Stateroom hosts do not have: a guest that calls it runs on
    /// hosts of this project only.
    fn log(&self, level: LogLevel, message: &str) {
        let _ = (level, message);
    }

    /// Returns the time in milliseconds since the Unix epoch. For a guest it stands still during one event. Contexts
    /// without a clock return 0.
    ///
    /// In a guest this is an import, as [`log`](Self::log) is.
    fn now_ms(&self) -> u64 {
        0
    }

    /// Fills `bytes` with random numbers fit for secrets. Contexts without a generator fill in zeros.
    ///
    /// In a guest this is an import, as [`log`](Self::log) is.
    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    /// Closes the connection of one client, of everyone in the room, or of everyone but one, with a WebSocket
    /// close code and a reason. Contexts without connections do nothing.
    ///
    /// Earlier messages to the client arrive before the close, if the client reads. Later ones are dropped, and so is
    /// everything that the client sends. [`disconnect`](crate::StateroomService::disconnect) comes later, as for
    /// every client. Closing a client that has left does nothing.
    ///
    /// The code is 1000 or one from 3000 to 4999, the reason has at most 123 bytes. Everything else is a mistake
    /// that ends the room, as a panic does.
    ///
    /// In a guest this is an import, as [`log`](Self::log) is.
    ///
    /// ```
    /// # use stateroom_sdk_core::*;
    /// # struct Quiz { running: bool }
    /// impl StateroomService for Quiz {
    ///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
    ///         if self.running {
    ///             ctx.close(client, 4001, "the quiz has begun");
    ///         }
    ///     }
    /// }
    /// ```
    fn close(&self, recipient: impl Into<MessageRecipient>, code: u16, reason: &str) {
        let _ = (recipient.into(), code, reason);
    }

    /// Returns the value that the connection of `client` has brought with it under `key`. It is there only while
    /// [`connect`](crate::StateroomService::connect) of that client runs. Returns nothing at any other time, if there
    /// is no such value, or if it does not fit into `buffer`. Contexts without connections have no values.
    ///
    /// | key | value |
    /// | --- | --- |
    /// | `query` | what follows `?` in the address, as it is |
    /// | `query:NAME` | the parameter `NAME` in it, decoded; the first, where there are several |
    /// | `header:NAME` | a header of the request, its name in lower case: `origin`, `user-agent` and `accept-language`, and what else the server's operator has chosen |
    /// | `subprotocol` | the subprotocol that the server has chosen among those that the client offers |
    /// | `address` | the IP address that the connection comes from, which may be a proxy's |
    /// | `auth:NAME` | what is known of a client that the server has let in for a token, for example its name, `auth:sub` |
    /// | `auth` | all of that, as a JSON object |
    ///
    /// A client can say what it likes in all but the address and `auth`. In a guest this is an import, as [`log`](Self::log)
    /// is.
    ///
    /// ```
    /// # use stateroom_sdk_core::*;
    /// # struct Club;
    /// impl StateroomService for Club {
    ///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
    ///         let mut buffer = [0; 32];
    ///         match ctx.client_info(client, "query:name", &mut buffer) {
    ///             Some(name) => ctx.send_message(MessageRecipient::Broadcast, format_args!("{name} is here")),
    ///             None => ctx.close(client, 4000, "say who you are: /ws/club?name=…"),
    ///         }
    ///     }
    /// }
    /// ```
    fn client_info<'b>(&self, client: ClientId, key: &str, buffer: &'b mut [u8]) -> Option<&'b str> {
        let _ = (client, key, buffer);
        None
    }
}

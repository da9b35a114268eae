use crate::{MessagePayload, MessageRecipient, ToPayload};

/// How important a line in the host's log is. The numbers are those of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum LogLevel {
    /// Something is broken.
    Error = 1,
    /// Something looks wrong.
    Warn = 2,
    /// Something worth knowing happened.
    Info = 3,
    /// For whoever looks for a fault.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl LogLevel {
    /// The level of a number from the ABI; numbers above the last mean [`Trace`](Self::Trace), 0 means
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

/// What a service can do to the world: send messages to the clients of its room, and ask to be called later.
///
/// Hosts and guests both implement it. What a service does during one event takes effect in order, after the
/// event.
pub trait StateroomContext {
    /// Sends a message to one client, to everyone in the room, or to everyone but one.
    ///
    /// A [`ClientId`](crate::ClientId) is a recipient, too. Sending to a client that has left does nothing.
    fn send_message(&self, recipient: impl Into<MessageRecipient>, message: impl ToPayload);

    /// Sends bytes: the name that services of the 0.2 line use for
    /// [`send_message`](Self::send_message) with bytes.
    fn send_binary(&self, recipient: impl Into<MessageRecipient>, message: &[u8]) {
        self.send_message(recipient, MessagePayload::Bytes(message));
    }

    /// Asks for [`timer`](crate::StateroomService::timer) to be called in `ms_delay` milliseconds.
    ///
    /// A room has one timer: a new request replaces the old one, and 0 cancels it.
    fn set_timer(&self, ms_delay: u32);

    /// Writes a line to the host's log. Contexts without a log drop it.
    ///
    /// In a guest this is an import that other Stateroom hosts do not have: a guest that calls it runs on
    /// hosts of this project only.
    fn log(&self, level: LogLevel, message: &str) {
        let _ = (level, message);
    }

    /// The time in milliseconds since the Unix epoch. For a guest it stands still during
    /// one event. Contexts without a clock answer 0.
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
}

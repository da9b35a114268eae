/// Why a connection ends: the one place that knows the code and the words of a close frame (RFC 6455, section 7.4).
///
/// It is also why a connection that asks for a room gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The room has closed it, with a code and a reason of its own.
    ByRoom {
        /// 1000, or one from 3000 to 4999.
        code: u16,
        /// At most 123 bytes.
        reason: Box<str>,
    },
    /// The client has said that it goes, perhaps with a code, and is answered with the same.
    ByClient(Option<u16>),
    ServerShutdown,
    RoomEnded,
    ClientSilent,
    ProtocolError,
    NotUtf8,
    NoSuchRoom,
    MessageTooLarge,
    MessageRefused,
    MessageUnfinished,
    RoomFailed,
    ClientTooSlow,
    OutOfClientIds,
    TooManyRooms,
    TooManyNewRooms,
    OutOfMemory,
}

impl CloseReason {
    /// Returns the code of the close frame; nothing for a frame without one.
    pub(crate) fn code(&self) -> Option<u16> {
        Some(match self {
            Self::ByRoom { code, .. } => *code,
            Self::ByClient(code) => return *code,
            Self::ServerShutdown | Self::RoomEnded | Self::ClientSilent => 1001,
            Self::ProtocolError => 1002,
            Self::NotUtf8 => 1007,
            Self::NoSuchRoom | Self::MessageUnfinished => 1008,
            Self::MessageTooLarge | Self::MessageRefused => 1009,
            Self::RoomFailed => 1011,
            Self::ClientTooSlow | Self::OutOfClientIds | Self::OutOfMemory => 1013,
            Self::TooManyRooms | Self::TooManyNewRooms => 1013,
        })
    }

    /// Returns the words of the close frame.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::ByRoom { reason, .. } => reason,
            Self::ByClient(_) => "",
            Self::ServerShutdown => "the server goes away",
            Self::RoomEnded => "the room has ended",
            Self::ClientSilent => "nothing was heard from the client for too long",
            Self::ProtocolError => "the client broke the protocol",
            Self::NotUtf8 => "the text is not UTF-8",
            Self::NoSuchRoom => "the room does not exist",
            Self::MessageUnfinished => "the rest of a message did not come in time",
            Self::MessageTooLarge => "the message is too large",
            Self::MessageRefused => "the room has no space for this message",
            Self::RoomFailed => "the room failed",
            Self::ClientTooSlow => "the client does not read fast enough",
            Self::OutOfClientIds => "the room has run out of client ids",
            Self::TooManyRooms => "the server has no space for another room",
            Self::TooManyNewRooms => "rooms are created too fast from your address; come again later",
            Self::OutOfMemory => "the server is out of memory; come again later",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_fit_into_a_close_frame() {
        use CloseReason::*;
        for reason in [
            ServerShutdown,
            RoomEnded,
            ClientSilent,
            ProtocolError,
            NotUtf8,
            NoSuchRoom,
            MessageTooLarge,
            MessageRefused,
            MessageUnfinished,
            RoomFailed,
            ClientTooSlow,
            OutOfClientIds,
            TooManyRooms,
            TooManyNewRooms,
            OutOfMemory,
        ] {
            assert!((1..=123).contains(&reason.words().len()), "{reason:?}");
            assert!(reason.code().is_some());
        }
    }
}

/// The reason why a connection ends. Only this module knows the codes and the texts of close frames (RFC 6455,
/// section 7.4).
///
/// It is also why a connection that asks for a room gets none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The room has closed it, with a code and a reason of its own.
    ByRoom {
        /// 1000, or one from 3000 to 4999.
        code: u16,
        /// The reason, of at most 123 bytes.
        reason: Box<str>,
    },
    /// The client has said that it goes, perhaps with a code, and is answered with the same.
    ByClient(Option<u16>),
    ServerShutdown,
    /// The server ends, and another is about to take its place.
    ServiceRestart,
    RoomEnded,
    ClientSilent,
    ProtocolError,
    NotUtf8,
    #[cfg(feature = "compression")]
    NotDeflate,
    NoSuchRoom,
    /// The client has resumed its session on another connection.
    Resumed,
    /// The session that the client wants to resume has ended meanwhile.
    SessionEnded,
    /// The words name the limit, if clients are to see it: see [`Settings::show_failures`].
    ///
    /// [`Settings::show_failures`]: crate::Settings::show_failures
    MessageTooLarge(Option<Box<str>>),
    MessageRefused,
    MessageUnfinished,
    /// The words are those of the failure, if clients are to see them: see [`Settings::show_failures`].
    ///
    /// [`Settings::show_failures`]: crate::Settings::show_failures
    RoomFailed(Option<Box<str>>),
    ClientTooSlow,
    TooManyMessages,
    TooManyBytes,
    OutOfClientIds,
    RoomFull,
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
            #[cfg(feature = "compression")]
            Self::NotDeflate => 1007,
            Self::NoSuchRoom | Self::Resumed | Self::MessageUnfinished => 1008,
            Self::TooManyMessages | Self::TooManyBytes => 1008,
            Self::MessageTooLarge(_) | Self::MessageRefused => 1009,
            Self::RoomFailed(_) => 1011,
            Self::ServiceRestart | Self::SessionEnded => 1012,
            Self::ClientTooSlow | Self::OutOfClientIds | Self::OutOfMemory => 1013,
            Self::RoomFull | Self::TooManyRooms | Self::TooManyNewRooms => 1013,
        })
    }

    /// Returns the limit for which the client is refused or closed, with its option; `None` if that is not why.
    pub(crate) fn limit(&self) -> Option<&'static str> {
        Some(match self {
            Self::ClientTooSlow => {
                "they did not read what they were sent (`--max-outbox-size`, `--outbox-timeout`)"
            }
            Self::TooManyMessages => "they sent messages too fast (`--message-rate`)",
            Self::TooManyBytes => "they sent data too fast (`--byte-rate`)",
            Self::RoomFull => "a room had as many clients as it may have (`--max-clients-per-room`)",
            Self::TooManyRooms => {
                "there is no space for more rooms (`--max-rooms`; on disk, `--journal-size`)"
            }
            Self::TooManyNewRooms => "rooms were created too fast from one address (`--room-rate`)",
            Self::OutOfMemory => "memory is full (`--max-total-memory`)",
            _ => return None,
        })
    }

    /// Returns the label of the reason in the operator's metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::ByRoom { .. } => "by_room",
            Self::ByClient(_) => "by_client",
            Self::ServerShutdown => "server_shutdown",
            Self::ServiceRestart => "service_restart",
            Self::RoomEnded => "room_ended",
            Self::ClientSilent => "client_silent",
            Self::ProtocolError => "protocol_error",
            Self::NotUtf8 => "not_utf8",
            #[cfg(feature = "compression")]
            Self::NotDeflate => "not_deflate",
            Self::NoSuchRoom => "no_such_room",
            Self::Resumed => "resumed",
            Self::SessionEnded => "session_ended",
            Self::MessageTooLarge(_) => "message_too_large",
            Self::MessageRefused => "message_refused",
            Self::MessageUnfinished => "message_unfinished",
            Self::RoomFailed(_) => "room_failed",
            Self::ClientTooSlow => "client_too_slow",
            Self::TooManyMessages => "too_many_messages",
            Self::TooManyBytes => "too_many_bytes",
            Self::OutOfClientIds => "out_of_client_ids",
            Self::RoomFull => "room_full",
            Self::TooManyRooms => "too_many_rooms",
            Self::TooManyNewRooms => "too_many_new_rooms",
            Self::OutOfMemory => "out_of_memory",
        }
    }

    /// Returns the words of the close frame.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::ByRoom { reason, .. } => reason,
            Self::ByClient(_) => "",
            Self::ServerShutdown => "the server goes away",
            Self::ServiceRestart => "the server restarts; connect again",
            Self::RoomEnded => "the room has ended",
            Self::ClientSilent => "nothing was heard from the client for too long",
            Self::ProtocolError => "the client broke the protocol",
            Self::NotUtf8 => "the text is not UTF-8",
            #[cfg(feature = "compression")]
            Self::NotDeflate => "the message cannot be inflated",
            Self::NoSuchRoom => "the room does not exist",
            Self::MessageUnfinished => "the rest of a message did not come in time",
            Self::SessionEnded => "the session has ended; connect again",
            Self::Resumed => "the session continues on another connection",
            Self::MessageTooLarge(words) => words.as_deref().unwrap_or("the message is too large"),
            Self::MessageRefused => "the room has no space for this message",
            Self::RoomFailed(words) => words.as_deref().unwrap_or("the room failed"),
            Self::ClientTooSlow => "the client does not read fast enough",
            Self::TooManyMessages => "the client sends messages too fast",
            Self::TooManyBytes => "the client sends data too fast",
            Self::OutOfClientIds => "the room has run out of client ids",
            Self::RoomFull => "the room is full; come again later",
            Self::TooManyRooms => "the server has no space for another room",
            Self::TooManyNewRooms => "rooms are created too fast from your address; come again later",
            Self::OutOfMemory => "the server is out of memory; come again later",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CloseReason::*, *};

    const ALL: &[CloseReason] = &[
        ServerShutdown,
        ServiceRestart,
        RoomEnded,
        ClientSilent,
        ProtocolError,
        NotUtf8,
        #[cfg(feature = "compression")]
        NotDeflate,
        NoSuchRoom,
        Resumed,
        SessionEnded,
        MessageTooLarge(None),
        MessageRefused,
        MessageUnfinished,
        RoomFailed(None),
        ClientTooSlow,
        TooManyMessages,
        TooManyBytes,
        OutOfClientIds,
        RoomFull,
        TooManyRooms,
        TooManyNewRooms,
        OutOfMemory,
    ];

    #[test]
    fn all_words_fit_into_a_close_frame() {
        for reason in ALL {
            assert!((1..=123).contains(&reason.words().len()), "{reason:?}");
            assert!(reason.code().is_some());
        }
    }

    /// Returns what the documents say of it, in the row of its code.
    fn documented(reason: &CloseReason) -> &'static str {
        match reason {
            ByRoom { .. } => "the room has closed the connection",
            ByClient(_) => "",
            ServerShutdown => "the server goes away",
            ServiceRestart => "the server restarts",
            RoomEnded => "the room has ended",
            ClientSilent => "the client was silent for too long",
            ProtocolError => "the client broke the WebSocket protocol",
            NotUtf8 => "sent text that is not UTF-8",
            #[cfg(feature = "compression")]
            NotDeflate => "sent a compressed message that cannot be inflated",
            NoSuchRoom => "the room does not exist",
            SessionEnded => "the session has ended",
            Resumed => "the client has resumed its session on another connection",
            MessageUnfinished => "the rest of a message did not come in time",
            MessageTooLarge(_) | MessageRefused => "a message was larger than the server or the room takes",
            RoomFailed(_) => "the room failed",
            ClientTooSlow => "the client did not read what it was sent",
            TooManyMessages | TooManyBytes => "the client sent messages or data too fast",
            OutOfClientIds => "the room has run out of client ids",
            RoomFull => "the room is full",
            TooManyRooms => "there are as many rooms as there may be",
            TooManyNewRooms => "rooms are created too fast from the client's address",
            OutOfMemory => "the server is out of memory",
        }
    }

    #[test]
    fn the_documents_list_all_close_codes_with_their_reasons() {
        let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
        for path in ["src/lib.rs", "../docs/reference/http.md"] {
            let text = read(path).unwrap();
            let table = text.lines().map(|line| line.trim_start_matches("//! "));
            let table = table.skip_while(|line| *line != "| close code | means |").skip(2);
            let rows: Vec<_> = table.map_while(|line| line.strip_prefix("| ")?.split_once(" | ")).collect();
            let says = |reason: &CloseReason, code: u16| {
                let means = rows.iter().find(|(codes, _)| codes.contains(&code.to_string()));
                means.is_some_and(|(_, means)| means.contains(documented(reason)))
            };
            for reason in ALL {
                assert!(reason.code().is_some_and(|code| says(reason, code)), "{reason:?} is not in {path}");
            }
            for code in [1000, 3000, 4999] {
                assert!(says(&ByRoom { code, reason: "".into() }, code), "{code} is not in {path}");
            }
            let codes = |(codes, _): &(&str, &str)| codes.split(", ").map(str::to_owned).collect::<Vec<_>>();
            for code in rows.iter().skip(1).flat_map(codes) {
                let has = |reason: &CloseReason| reason.code().is_some_and(|known| code == known.to_string());
                assert!(ALL.iter().any(has), "nothing is closed with {code}, as {path} says");
            }
        }
    }

    #[test]
    fn the_page_for_operators_says_what_to_do_about_each_reason() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
        let rows: Vec<_> = rows.collect();
        for reason in ALL {
            let code = reason.code().map(|code| code.to_string()).unwrap();
            let label = format!("`{}`", reason.label());
            let is_there = rows.iter().any(|(codes, rest)| codes.contains(&code) && rest.contains(&label));
            assert!(is_there, "docs/operations.md has no row for {code} with {label}");
        }
    }
}

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{LogLevel, MessagePayload};

/// An empty list of messages, to compare with: `assert_eq!(bob.received(), NOTHING)`.
pub const NOTHING: [Message; 0] = [];

/// A message that a client has received. Text can be compared with `&str` and `String`, and bytes with
/// arrays, slices and `Vec<u8>`. Text and bytes are never equal.
///
/// ```
/// use stateroom_sdk_core::testing::Message;
///
/// let text = Message::Text("hi".into());
/// assert_eq!(text, "hi");
/// assert_ne!(text, b"hi");
/// assert_eq!(Message::Bytes(vec![0, 255]), [0, 255]);
/// // Both kinds together.
/// assert_eq!([text, Message::Bytes(vec![7])], ["hi".into(), Message::from([7])]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Bytes(Vec<u8>),
}

impl Message {
    /// Returns the message in the form in which a service gets it.
    #[must_use]
    pub fn payload(&self) -> MessagePayload<'_> {
        match self {
            Self::Text(text) => MessagePayload::Text(text),
            Self::Bytes(bytes) => MessagePayload::Bytes(bytes),
        }
    }

    /// Returns the text, if this is a text message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.payload().text()
    }

    /// Returns the bytes, if this is a binary message.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        self.payload().bytes()
    }
}

/// Formats the message as a literal, so that the two sides of a failed `assert_eq!` look alike.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => text.fmt(f),
            Self::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

impl From<MessagePayload<'_>> for Message {
    fn from(payload: MessagePayload<'_>) -> Self {
        match payload {
            MessagePayload::Text(text) => Self::Text(text.into()),
            MessagePayload::Bytes(bytes) => Self::Bytes(bytes.into()),
        }
    }
}

macro_rules! convert {
    ($(($($generics:tt)*) $type:ty => $kind:ident;)*) => {$(
        impl<$($generics)*> From<$type> for Message {
            fn from(data: $type) -> Self {
                Self::$kind(data.into())
            }
        }
    )*};
}

convert! {
    () &str => Text;
    () String => Text;
    () &[u8] => Bytes;
    () Vec<u8> => Bytes;
    (const N: usize) [u8; N] => Bytes;
    (const N: usize) &[u8; N] => Bytes;
}

macro_rules! compare {
    ($(($($generics:tt)*) $type:ty => $kind:ident;)*) => {$(
        impl<$($generics)*> PartialEq<$type> for Message {
            fn eq(&self, other: &$type) -> bool {
                self.payload() == MessagePayload::$kind(other.as_ref())
            }
        }
    )*};
}

compare! {
    () str => Text;
    () &str => Text;
    () String => Text;
    (const N: usize) heapless::String<N> => Text;
    () [u8] => Bytes;
    () &[u8] => Bytes;
    () Vec<u8> => Bytes;
    (const N: usize) [u8; N] => Bytes;
    (const N: usize) &[u8; N] => Bytes;
    (const N: usize) heapless::Vec<u8, N> => Bytes;
}

/// A line that a service has written to the log. It can be compared with its text, and with a pair of level
/// and text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LogLine {
    /// Its level.
    pub level: LogLevel,
    /// Its text.
    pub text: String,
}

impl fmt::Debug for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.level, &self.text).fmt(f)
    }
}

impl PartialEq<&str> for LogLine {
    fn eq(&self, text: &&str) -> bool {
        self.text == *text
    }
}

impl PartialEq<(LogLevel, &str)> for LogLine {
    fn eq(&self, &(level, text): &(LogLevel, &str)) -> bool {
        self.level == level && self.text == text
    }
}

/// The close code and the reason with which the room has closed a client. It can be compared with a pair of
/// both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Closed {
    /// The WebSocket close code: 1000, or one from 3000 to 4999.
    pub code: u16,
    /// The reason, which may be empty.
    pub reason: String,
}

impl PartialEq<(u16, &str)> for Closed {
    fn eq(&self, &(code, reason): &(u16, &str)) -> bool {
        self.code == code && self.reason == reason
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn messages_compare_with_what_is_sent() {
        let text = Message::from("hé");
        assert_eq!(text, "hé");
        assert_eq!(text, *"hé");
        assert_eq!(text, String::from("hé"));
        assert_eq!(text, heapless::String::<8>::try_from("hé").unwrap());
        let bytes = Message::from([0, 255]);
        assert_eq!(bytes, [0, 255]);
        assert_eq!(bytes, &[0, 255]);
        assert_eq!(bytes, &[0, 255][..]);
        assert_eq!(bytes, [0, 255][..]);
        assert_eq!(bytes, Vec::from([0, 255]));
        assert_eq!(bytes, heapless::Vec::<u8, 4>::from_slice(&[0, 255]).unwrap());
        assert_eq!(text.text(), Some("hé"));
        assert_eq!((bytes.text(), bytes.bytes()), (None, Some(&[0, 255][..])));
    }

    #[test]
    fn text_and_bytes_differ_even_when_their_data_does_not() {
        assert_ne!(Message::from("a"), b"a");
        assert_ne!(Message::from(b"a"), "a");
        assert_ne!(Message::from("a"), Message::from(b"a"));
    }

    #[test]
    fn a_failed_comparison_shows_both_sides_in_the_same_way() {
        let received = [Message::from("a\n"), Message::from([0, 255])];
        assert_eq!(format!("{received:?}"), r#"["a\n", [0, 255]]"#);
    }

    #[test]
    fn log_lines_compare_with_and_without_their_level() {
        let line = LogLine { level: LogLevel::Warn, text: "low".into() };
        assert_eq!(line, "low");
        assert_eq!(line, (LogLevel::Warn, "low"));
        assert_ne!(line, (LogLevel::Info, "low"));
        assert_eq!(format!("{line:?}"), r#"(Warn, "low")"#);
    }
}

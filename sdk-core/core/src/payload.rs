/// A message as it lies in memory: borrowed text or bytes.
///
/// It converts from `&str` and `&[u8]`, and
/// [`StateroomContext::send_message`](crate::StateroomContext::send_message) takes it and everything else
/// that is a [`ToPayload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessagePayload<'a> {
    /// A WebSocket text message; always UTF-8.
    Text(&'a str),
    /// A WebSocket binary message.
    Bytes(&'a [u8]),
}

impl<'a> MessagePayload<'a> {
    /// Returns the text, if this is a text message.
    #[must_use]
    pub const fn text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }

    /// Returns the bytes, if this is a binary message. The bytes of a text message are `text().map(str::as_bytes)`.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(_) => None,
        }
    }

    /// Returns the data, whichever kind it is. As `&[u8]` is an `embedded_io::Read`, this is also how to read a
    /// message piece by piece.
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> From<&'a str> for MessagePayload<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for MessagePayload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// A value that can be sent as a message. It is lent to the sender for the time of the call, so that nothing is
/// copied without need.
///
/// Text: `str`, `String`, `heapless::String`, `format_args!(…)`. Bytes: `[u8]`, arrays, `Vec<u8>`,
/// `heapless::Vec`. Also [`MessagePayload`], and references to all of these.
///
/// Without an allocator, as in the smallest guests, `format_args!` is put together in a buffer of
/// `TEXT_CAPACITY` bytes on the stack.
// The note names what there is to send. The compiler's own list would be of whatever the features bring, by its full
// names, so each of the types below asks not to be on it. `Json` and `Postcard` do not.
#[diagnostic::on_unimplemented(
    message = "a message is text or bytes, and `{Self}` is neither",
    label = "for a number, write `text!(\"{{}}\", number)`",
    note = "text: `str`, `String`, `heapless::String`, `format_args!(…)`; bytes: `[u8]`, arrays, `Vec<u8>`, `heapless::Vec`",
    note = "for a value that implements serde's `Serialize`, write `Json(value)` or `Postcard(value)`; there is a feature for each"
)]
pub trait ToPayload {
    /// Calls `send` with the payload.
    ///
    /// Where it panics, it does so at its caller's place: the author looks for the message, and not for this.
    #[track_caller]
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R;
}

#[diagnostic::do_not_recommend]
impl<T: ToPayload + ?Sized> ToPayload for &T {
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
        (**self).with_payload(send)
    }
}

#[diagnostic::do_not_recommend]
impl ToPayload for MessagePayload<'_> {
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
        send(*self)
    }
}

macro_rules! lend {
    ($(($($generics:tt)*) $type:ty => $kind:ident;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($generics)*> ToPayload for $type {
            fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
                send(MessagePayload::$kind(self))
            }
        }
    )*};
}

lend! {
    () str => Text;
    () [u8] => Bytes;
    (const N: usize) [u8; N] => Bytes;
}

#[cfg(feature = "heapless")]
lend! {
    (const N: usize) heapless::String<N> => Text;
    (const N: usize) heapless::Vec<u8, N> => Bytes;
}

#[cfg(feature = "heap")]
lend! {
    () alloc::string::String => Text;
    () alloc::vec::Vec<u8> => Bytes;
}

#[cfg(any(feature = "heap", feature = "heapless"))]
#[diagnostic::do_not_recommend]
impl ToPayload for core::fmt::Arguments<'_> {
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
        if let Some(text) = self.as_str() {
            return send(MessagePayload::Text(text));
        }
        #[cfg(feature = "heap")]
        {
            alloc::fmt::format(*self).with_payload(send)
        }
        #[cfg(not(feature = "heap"))]
        {
            let mut text = heapless::String::<{ crate::TEXT_CAPACITY }>::new();
            match core::fmt::write(&mut text, *self) {
                Ok(()) => text.with_payload(send),
                Err(core::fmt::Error) => crate::text::too_long(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(any(feature = "heap", feature = "heapless"))]
    use std::string::String;

    use super::*;

    fn sent(message: impl ToPayload) -> (bool, std::vec::Vec<u8>) {
        message.with_payload(|payload| (payload.text().is_some(), payload.data().to_vec()))
    }

    #[test]
    fn text_stays_text_and_bytes_stay_bytes() {
        assert_eq!(sent("hé"), (true, "hé".into()));
        assert_eq!(sent([0, 255]), (false, [0, 255].into()));
        assert_eq!(sent(&[0u8, 255][..]), (false, [0, 255].into()));
        assert_eq!(sent(MessagePayload::Text("")), (true, [].into()));
    }

    #[cfg(any(feature = "heap", feature = "heapless"))]
    #[test]
    fn what_is_formatted_is_text() {
        assert_eq!(sent(format_args!("h{}", 'é')), (true, "hé".into()));
        assert_eq!(sent(format_args!("plain")), (true, "plain".into()));
    }

    #[cfg(feature = "heapless")]
    #[test]
    fn texts_and_bytes_without_a_heap_are_messages() {
        let mut text = heapless::String::<8>::new();
        text.push_str("hé").unwrap();
        let bytes = heapless::Vec::<u8, 8>::from_slice(&[0, 255]).unwrap();
        assert_eq!(sent(&text), (true, "hé".into()));
        assert_eq!(sent(text), (true, "hé".into()));
        assert_eq!(sent(bytes), (false, [0, 255].into()));
    }

    #[cfg(feature = "heap")]
    #[test]
    fn owned_text_and_bytes_are_messages() {
        let text = String::from("a");
        assert_eq!(sent(&text), (true, "a".into()));
        assert_eq!(sent(text), (true, "a".into()));
        assert_eq!(sent(std::vec![1, 2]), (false, [1, 2].into()));
    }

    #[cfg(all(feature = "heapless", not(feature = "heap")))]
    #[test]
    #[should_panic(expected = "longer than 256 bytes (TEXT_CAPACITY)")]
    fn a_formatted_message_that_does_not_fit_says_so() {
        let long: String = core::iter::repeat_n('x', crate::TEXT_CAPACITY + 1).collect();
        sent(format_args!("{long}"));
    }
}

use core::{error, fmt};

use serde::{Deserialize, Serialize};

use crate::{MessagePayload, ToPayload};

/// A value that is sent in the [postcard] format, in a binary message: for clients that are programs with the
/// same types. It is smaller than JSON, and so are guests that use it.
///
/// Anything that implements serde's `Serialize` will do, and a reference to it, too. What comes back from a
/// client is read by [`MessagePayload::postcard`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use stateroom_sdk_core::*;
/// # use stateroom_core::Postcard;
///
/// #[derive(Clone, Copy, Default, Deserialize, Serialize)]
/// struct Place {
///     x: u16,
///     y: u16,
/// }
///
/// #[stateroom_wasm]
/// #[derive(Default)]
/// struct Kite(Place);
///
/// impl StateroomService for Kite {
///     fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
///         ctx.send_message(client, Postcard(self.0));
///     }
///
///     fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
///         let Ok(place) = message.postcard() else { return };
///         self.0 = place;
///         ctx.send_message(MessageRecipient::EveryoneExcept(client), Postcard(place));
///     }
/// }
/// ```
///
/// # Panics
/// Sending panics, which ends the room, where the value has no form in postcard: it is a sequence whose length
/// is not known, or a `Serialize` of your own fails. To decide for yourself what happens then, send what
/// `postcard::to_allocvec` returns.
///
/// [postcard]: https://postcard.jamesmunns.com
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Postcard<T>(pub T);

// It stays on the list of the compiler, whose message then names the `Serialize` that a type lacks.
impl<T: Serialize> ToPayload for Postcard<T> {
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
        match ::postcard::to_allocvec(&self.0) {
            Ok(bytes) => send(MessagePayload::Bytes(&bytes)),
            // A mistake of the service's author, for which `ToPayload` has no error: see the documentation of `Postcard`.
            Err(error) => panic!("a message has no form in postcard: {error}"),
        }
    }
}

impl<'a> MessagePayload<'a> {
    /// Reads a binary message in the postcard format. The value may borrow from the message.
    ///
    /// ```
    /// # use stateroom_core::MessagePayload;
    /// let message = MessagePayload::Bytes(&[1, b'a', 200, 1]);
    /// assert_eq!(message.postcard::<(&str, u32)>()?, ("a", 200));
    /// # Ok::<(), stateroom_core::PostcardError>(())
    /// ```
    ///
    /// # Errors
    /// The message is not binary, or not a `T`. The format says little of itself: what was made from another
    /// type may well be read. A `T` that contains itself is read as deep as the message goes, which a stack
    /// may not last for; and a list of values that take no bytes, such as `Vec<()>`, is read as long as the message
    /// says that it is.
    pub fn postcard<T: Deserialize<'a>>(&self) -> Result<T, PostcardError> {
        let bytes = self.bytes().ok_or(PostcardError(Problem::Text))?;
        match ::postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(PostcardError(Problem::Rest(rest.len()))),
            Err(error) => Err(PostcardError(Problem::Other(error))),
        }
    }
}

/// The reason why a message could not be read as postcard. The text says what is wrong.
#[derive(Debug)]
pub struct PostcardError(Problem);

#[derive(Debug)]
enum Problem {
    Text,
    /// Bytes that are left over, and their number.
    Rest(usize),
    Other(::postcard::Error),
}

impl fmt::Display for PostcardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Problem::Text => f.write_str("a text message, where postcard in bytes was expected"),
            Problem::Rest(bytes) => {
                write!(f, "not the postcard that was expected: {bytes} bytes are left over")
            }
            Problem::Other(error) => write!(f, "not the postcard that was expected: {error}"),
        }
    }
}

impl error::Error for PostcardError {}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Place<'a> {
        name: &'a str,
        x: i32,
    }

    const BYTES: &[u8] = &[3, b'h', 195, 169, 1];
    const PLACE: Place<'static> = Place { name: "hé", x: -1 };

    #[test]
    fn a_value_goes_as_bytes_and_comes_back() {
        Postcard(&PLACE).with_payload(|payload| assert_eq!(payload, MessagePayload::Bytes(BYTES)));
        assert_eq!(MessagePayload::Bytes(BYTES).postcard::<Place<'_>>().unwrap(), PLACE);
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let error = |payload: MessagePayload<'_>| payload.postcard::<Place<'_>>().unwrap_err().to_string();
        assert_eq!(error(MessagePayload::Text("")), "a text message, where postcard in bytes was expected");
        for (bytes, words) in [
            (&BYTES[..4], "Hit the end of buffer"),
            (&[1, 255, 1], "invalid utf-8"),
            (&[0, 0, 0, 0], "2 bytes are left over"),
        ] {
            let error = error(MessagePayload::Bytes(bytes));
            assert!(error.starts_with("not the postcard that was expected: "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }

    /// A sequence that does not know how long it is.
    struct Endless;

    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(None).map(|_| unreachable!("it is refused"))
        }
    }

    #[test]
    #[should_panic(expected = "a message has no form in postcard")]
    fn a_value_without_a_form_in_postcard_says_so() {
        Postcard(Endless).with_payload(|_| ());
    }
}

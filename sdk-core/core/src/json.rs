use core::{error, fmt};

use serde::{Deserialize, Serialize};

use crate::{MessagePayload, ToPayload};

/// A value that is sent as JSON, in a text message.
///
/// Anything that implements serde's `Serialize` will do, and a reference to it, too. What comes back from a
/// client is read by [`MessagePayload::json`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use stateroom_sdk_core::*;
/// # use stateroom_core::Json;
///
/// #[derive(Deserialize)]
/// struct Guess {
///     number: u8,
/// }
///
/// #[derive(Serialize)]
/// #[serde(rename_all = "lowercase")]
/// enum Answer {
///     Lower,
///     Higher,
///     Right,
/// }
///
/// #[stateroom_wasm]
/// #[derive(Default)]
/// struct Guessing {
///     secret: u8,
/// }
///
/// impl StateroomService for Guessing {
///     fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
///         let Ok(guess) = message.json::<Guess>() else { return };
///         ctx.send_message(client, Json(answer(guess.number, self.secret)));
///     }
/// }
/// # fn answer(guess: u8, secret: u8) -> Answer {
/// #     match secret.cmp(&guess) {
/// #         core::cmp::Ordering::Less => Answer::Lower,
/// #         core::cmp::Ordering::Equal => Answer::Right,
/// #         core::cmp::Ordering::Greater => Answer::Higher,
/// #     }
/// # }
/// ```
///
/// # Panics
/// Sending panics, which ends the room, where the value has no form in JSON: a map has keys that are neither
/// text nor numbers, or a `Serialize` of your own fails. To decide for yourself what happens then, send what
/// `serde_json::to_string` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<T>(pub T);

// It stays on the list of the compiler, whose message then names the `Serialize` that a type lacks.
impl<T: Serialize> ToPayload for Json<T> {
    fn with_payload<R>(&self, send: impl FnOnce(MessagePayload<'_>) -> R) -> R {
        match serde_json::to_string(&self.0) {
            Ok(text) => send(MessagePayload::Text(&text)),
            // A mistake of the service's author, for which `ToPayload` has no error: see the documentation of `Json`.
            Err(error) => panic!("a message has no form in JSON: {error}"),
        }
    }
}

impl<'a> MessagePayload<'a> {
    /// Reads a text message as JSON. The value may borrow from the message.
    ///
    /// ```
    /// # use stateroom_core::MessagePayload;
    /// let message = MessagePayload::Text(r#"["a", 1]"#);
    /// assert_eq!(message.json::<(&str, u32)>()?, ("a", 1));
    /// # Ok::<(), stateroom_core::JsonError>(())
    /// ```
    ///
    /// # Errors
    /// The message is not text, not JSON, or JSON of something else than a `T`; or arrays and objects lie more than
    /// [`JSON_DEPTH`] deep in each other.
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, JsonError> {
        let text = self.text().ok_or(JsonError(Reason::Binary))?;
        if is_too_deep(text) {
            return Err(JsonError(Reason::TooDeep));
        }
        serde_json::from_str(text).map_err(|error| JsonError(Reason::Other(error)))
    }
}

/// Reads a state that `#[stateroom_wasm(save = "json")]` has saved. The depth of its values has no limit but the stack.
///
/// # Errors
/// It is not JSON of a `T`.
#[doc(hidden)]
pub fn load_json<'a, T: Deserialize<'a>>(saved: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(saved).map_err(|error| JsonError(Reason::Other(error)))
}

/// The maximum depth of arrays and objects in a message that is read with [`MessagePayload::json`].
///
/// Each level takes stack, of which a guest has little. This holds even if the type has no field for the value,
/// because serde buffers unknown values if an enum has a tag. Without this limit a client could end a room with a few
/// hundred brackets. For deeper messages, read the text with `serde_json` yourself, and give the guest a larger
/// stack.
pub const JSON_DEPTH: usize = 16;

fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == JSON_DEPTH => return true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// The reason why a message could not be read as JSON. The text says what was expected, and where.
#[derive(Debug)]
pub struct JsonError(Reason);

#[derive(Debug)]
enum Reason {
    Binary,
    TooDeep,
    Other(serde_json::Error),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Binary => f.write_str("a binary message, where JSON in text was expected"),
            Reason::TooDeep => {
                f.write_str("not the JSON that was expected: more than 16 values lie in each other")
            }
            Reason::Other(error) => write!(f, "not the JSON that was expected: {error}"),
        }
    }
}

impl error::Error for JsonError {}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, string::ToString};

    use super::*;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Place<'a> {
        name: &'a str,
        x: i32,
    }

    const TEXT: &str = r#"{"name":"hé","x":-1}"#;
    const PLACE: Place<'static> = Place { name: "hé", x: -1 };

    #[test]
    fn depth_is_that_of_arrays_and_objects_and_not_of_what_text_says() {
        let deep = |depth| ["[".repeat(depth), "]".repeat(depth)].concat();
        for (text, too_deep) in [
            (deep(JSON_DEPTH), false),
            (deep(JSON_DEPTH + 1), true),
            ("{\"a\":".repeat(17), true),
            ("[],".repeat(100), false),
            ("]".repeat(100) + &deep(JSON_DEPTH), false),
            (["\"", &"[".repeat(100), "\""].concat(), false),
            (["\"\\\"", &"[".repeat(100), "\""].concat(), false),
            (["\"\\\\\"", &"[".repeat(17)].concat(), true),
        ] {
            assert_eq!(is_too_deep(&text), too_deep, "{text}");
        }
        let error = MessagePayload::Text(&deep(17)).json::<serde_json::Value>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "not the JSON that was expected: more than 16 values lie in each other"
        );
    }

    #[test]
    fn a_value_goes_as_text_and_comes_back() {
        Json(&PLACE).with_payload(|payload| assert_eq!(payload, MessagePayload::Text(TEXT)));
        assert_eq!(MessagePayload::Text(TEXT).json::<Place<'_>>().unwrap(), PLACE);
    }

    #[test]
    fn an_error_says_what_was_expected() {
        let error = |payload: MessagePayload<'_>| payload.json::<Place<'_>>().unwrap_err().to_string();
        assert_eq!(
            error(MessagePayload::Bytes(TEXT.as_bytes())),
            "a binary message, where JSON in text was expected"
        );
        for (text, words) in [
            ("", "EOF while parsing"),
            (r#"{"name":"a"}"#, "missing field `x`"),
            (r#"{"name":"a","x":"b"}"#, "expected i32"),
            (r#"{"name":"a","x":1} 2"#, "trailing characters"),
        ] {
            let error = error(MessagePayload::Text(text));
            assert!(error.starts_with("not the JSON that was expected: "), "{error}");
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "a message has no form in JSON")]
    fn a_value_without_a_form_in_json_says_so() {
        Json(BTreeMap::from([([0; 2], 0)])).with_payload(|_| ());
    }
}

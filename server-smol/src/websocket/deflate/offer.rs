use std::{fmt, mem};

/// The parameters on which client and server have agreed (RFC 7692, section 7.1). Neither side refers to earlier messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreement {
    /// The logarithm of the window of the server's messages, from 8 to 15, if the client has asked for one.
    server_max_window_bits: Option<u8>,
}

/// The name of the extension.
const NAME: &str = "permessage-deflate";

impl Agreement {
    /// Accepts the first offer of a client that can be accepted. `offered` are its extensions, separated by commas.
    pub(crate) fn accept(offered: &str) -> Option<Self> {
        offered.split(',').find_map(Self::accept_one)
    }

    fn accept_one(offer: &str) -> Option<Self> {
        let mut parameters = offer.split(';').map(str::trim);
        if parameters.next() != Some(NAME) {
            return None;
        }
        let mut server_max_window_bits = None;
        let mut seen = [false; 4];
        for parameter in parameters {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
                None => (parameter, None),
            };
            let index = match (name, value) {
                ("server_no_context_takeover", None) => 0,
                ("client_no_context_takeover", None) => 1,
                ("server_max_window_bits", Some(value)) => {
                    server_max_window_bits = Some(window_bits(value)?);
                    2
                }
                // It lets the server choose a smaller window, which would save it nothing.
                ("client_max_window_bits", None) => 3,
                ("client_max_window_bits", Some(value)) => {
                    window_bits(value)?;
                    3
                }
                // This one, or its value, is not that of RFC 7692.
                _ => return None,
            };
            if mem::replace(&mut seen[index], true) {
                return None;
            }
        }
        Some(Self { server_max_window_bits })
    }

    /// Returns the size of the largest message that the server may compress. A larger one could refer to bytes before the client's
    /// window.
    pub(crate) fn window(self) -> usize {
        match self.server_max_window_bits {
            Some(bits @ ..OWN) => 1 << bits,
            _ => LARGEST,
        }
    }
}

/// The size of the largest message that is compressed for a client with the largest window. It takes the thread about a
/// millisecond.
const LARGEST: usize = 256 << 10;
/// The logarithm of the library's own window.
const OWN: u8 = 15;

/// Returns the value of a parameter without quotes, which it may have.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// Reads the logarithm of a window: a number without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15" => value.parse().ok(),
        _ => None,
    }
}

/// Writes it as the server answers it.
impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{NAME}; server_no_context_takeover; client_no_context_takeover")?;
        match self.server_max_window_bits {
            Some(bits) => write!(f, "; server_max_window_bits={bits}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(offered: &str) -> Option<String> {
        Agreement::accept(offered).map(|agreement| agreement.to_string())
    }

    #[test]
    fn the_first_acceptable_offer_is_accepted() {
        for offered in [
            "permessage-deflate",
            " permessage-deflate ",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=8",
            "permessage-deflate; client_max_window_bits=15; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"10\"",
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-deflate; unknown, permessage-deflate",
            "permessage-deflate; server_max_window_bits=7, permessage-deflate",
        ] {
            assert_eq!(answer(offered).as_deref(), Some(ANSWER), "{offered}");
            assert_eq!(Agreement::accept(offered).map(Agreement::window), Some(256 << 10));
        }
        let smaller = format!("{ANSWER}; server_max_window_bits=10");
        for offered in [
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_max_window_bits = \"10\"; client_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        ] {
            assert_eq!(answer(offered), Some(smaller.clone()), "{offered}");
            assert_eq!(Agreement::accept(offered).map(Agreement::window), Some(1024));
        }
        for bits in 8..=15 {
            let offered = format!("permessage-deflate; server_max_window_bits={bits}");
            assert_eq!(answer(&offered), Some(format!("{ANSWER}; server_max_window_bits={bits}")));
            assert_eq!(
                Agreement::accept(&offered).map(Agreement::window),
                Some(if bits < 15 { 1 << bits } else { LARGEST })
            );
        }
    }

    #[test]
    fn offers_with_anything_else_are_declined() {
        for offered in [
            "",
            "deflate",
            "Permessage-Deflate",
            "permessage-deflate2",
            "permessage-deflate;",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover=true",
            "permessage-deflate; client_no_context_takeover=",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+10",
            "permessage-deflate; server_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=x",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; constructor",
        ] {
            assert_eq!(answer(offered), None, "{offered}");
        }
    }
}

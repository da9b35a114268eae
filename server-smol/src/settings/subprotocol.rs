use std::{fmt, str::FromStr};

/// The name of a subprotocol, which says what the messages of a service mean (RFC 6455, section 1.9): see
/// [`Settings::subprotocols`](crate::Settings::subprotocols).
///
/// ```
/// use stateroom_server_smol::Subprotocol;
///
/// assert!("chat.v1".parse::<Subprotocol>().is_ok());
/// assert!("a chat".parse::<Subprotocol>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subprotocol(Box<str>);

/// The beginning of names that the server itself uses.
const OWN: &str = "stateroom.";

/// A client offers subprotocols, and none of them is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoneKnown;

impl Subprotocol {
    /// Returns its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Chooses the first of `known` that a client offers. `offered` are its subprotocols, separated by commas. Returns `None` if it
    /// offers none, or if there are none to choose from.
    ///
    /// # Errors
    /// It offers only others.
    pub(crate) fn choose<'a>(known: &'a [Self], offered: &str) -> Result<Option<&'a Self>, NoneKnown> {
        // Those of the server itself are not the service's.
        let is_of_service = |name: &&str| !name.is_empty() && !name.starts_with(OWN);
        let mut offers = offered.split(',').map(str::trim).filter(is_of_service);
        let chosen = known.iter().find(|known| offers.clone().any(|offer| offer == known.as_str()));
        if chosen.is_none() && !known.is_empty() && offers.next().is_some() {
            return Err(NoneKnown);
        }
        Ok(chosen)
    }
}

impl FromStr for Subprotocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The characters of a token (RFC 9110, section 5.6.2).
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_valid) {
            return Err("is not the name of a subprotocol, such as chat.v1".to_owned());
        }
        if text.starts_with(OWN) {
            return Err(format!("begins with `{OWN}`, as only the server's own subprotocols do"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_of_the_server_that_a_client_offers_is_chosen() {
        let known = ["chat.v2", "chat.v1"].map(|name| name.parse().unwrap());
        let choose =
            |offered| Subprotocol::choose(&known, offered).map(|chosen| chosen.map(Subprotocol::as_str));
        for (offered, chosen) in [
            ("chat.v1", Ok(Some("chat.v1"))),
            ("chat.v1, chat.v2", Ok(Some("chat.v2"))),
            ("x,chat.v1 ,\ty", Ok(Some("chat.v1"))),
            ("stateroom.v1, chat.v1", Ok(Some("chat.v1"))),
            ("", Ok(None)),
            (" , ", Ok(None)),
            ("stateroom.v1, stateroom.session.x", Ok(None)),
            ("chat", Err(NoneKnown)),
            ("Chat.v1", Err(NoneKnown)),
            ("chat.v1 chat.v2", Err(NoneKnown)),
            ("stateroom.v1, chat.v3", Err(NoneKnown)),
        ] {
            assert_eq!(choose(offered), chosen, "{offered}");
            assert_eq!(Subprotocol::choose(&[], offered), Ok(None));
        }
    }

    #[test]
    fn names_are_tokens_and_not_those_of_the_server() {
        for name in ["a", "chat.v1", "v10.stomp", "graphql-transport-ws", "x!#$%&'*+-.^_`|~9"] {
            assert_eq!(name.parse::<Subprotocol>().unwrap().to_string(), name);
        }
        for name in ["", "a b", "a,b", "a;b", "größe", "a/b", "a\n", "stateroom.v1", "stateroom."] {
            assert!(name.parse::<Subprotocol>().is_err(), "{name}");
        }
    }
}

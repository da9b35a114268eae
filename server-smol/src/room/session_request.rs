use std::fmt;
#[cfg(feature = "auth")]
use std::mem;

#[cfg(feature = "auth")]
use data_encoding::BASE64URL_NOPAD;
#[cfg(feature = "auth")]
use sha2::{Digest as _, Sha256};

use crate::{requests::parameters, settings::GeneratedIds};

use super::RoomId;

/// The subprotocol of resumable sessions: see `docs/reference/sessions.md`.
pub(crate) const SESSION_PROTOCOL: &str = "stateroom.v1";

/// The prefix of the subprotocol with the token.
const NAMED: &str = "stateroom.session.";

/// The query parameter with the same content.
const PARAMETER: &str = "stateroom.session";

/// The token of a session. Whoever knows it can resume the session.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token(Box<str>);

impl Token {
    /// Returns `None` if it has other characters, or another length.
    pub(super) fn read(token: &str) -> Option<Self> {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((16..=64).contains(&token.len()) && token.bytes().all(is_valid)).then(|| Self(token.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A client's request for a resumable session.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    pub(crate) token: Token,
    /// The number of messages that the client has received in the last session whose greeting it has received.
    pub(crate) received: u64,
    /// The number of this connection: 0 for the first one with this token.
    pub(crate) attempt: u64,
    /// The `attempt` of the connection whose greeting began the last session that the client knows. The same as `attempt` if there is
    /// none.
    pub(crate) begun: u64,
    /// The token as the client knows it, if that is another one.
    #[cfg(feature = "auth")]
    own: Option<Token>,
}

const INVALID: &str = "a session is TOKEN.RECEIVED.ATTEMPT.BEGUN: 16 to 64 of the characters A-Z, a-z, 0-9, _ and -, and three numbers";
const NO_RANDOM: &str = "the system has no random numbers";

impl SessionRequest {
    /// Reads the subprotocols that a client offers, separated by commas. Returns `None` if it wants no resumable session.
    ///
    /// # Errors
    /// Says in a sentence for the client what is wrong with them.
    pub(crate) fn from_protocols(offered: &str) -> Result<Option<Self>, &'static str> {
        let mut protocols = offered.split(',').map(str::trim);
        if !protocols.clone().any(|protocol| protocol == SESSION_PROTOCOL) {
            return Ok(None);
        }
        match protocols.find_map(|protocol| protocol.strip_prefix(NAMED)) {
            Some(session) => Self::parse(session),
            None => Self::generate(),
        }
        .map(Some)
    }

    /// Reads the query of a client that offers no subprotocols. Returns `None` if it wants no resumable session.
    ///
    /// # Errors
    /// Says in a sentence for the client what is wrong with it.
    pub(crate) fn from_query(query: &str) -> Result<Option<Self>, &'static str> {
        // Most queries do not contain it, and need not be decoded.
        if !query.contains(PARAMETER) {
            return Ok(None);
        }
        match parameters(query).find(|(name, _)| name == PARAMETER) {
            Some((_, session)) if session.is_empty() => Self::generate().map(Some),
            Some((_, session)) => Self::parse(&session).map(Some),
            None => Ok(None),
        }
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (token, numbers) = text.split_once('.').unwrap_or((text, "0"));
        let (received, numbers) = numbers.split_once('.').unwrap_or((numbers, "0"));
        let (attempt, begun) = numbers.split_once('.').unwrap_or((numbers, "0"));
        let token = Token::read(token).ok_or(INVALID)?;
        let number = |text| number(text).ok_or(INVALID);
        let (received, attempt, begun) = (number(received)?, number(attempt)?, number(begun)?);
        Ok(Self::new(token, received, attempt, begun))
    }

    fn new(token: Token, received: u64, attempt: u64, begun: u64) -> Self {
        Self {
            token,
            received,
            attempt,
            begun,
            #[cfg(feature = "auth")]
            own: None,
        }
    }

    /// Returns the token as the client knows it.
    pub(crate) fn own_token(&self) -> &Token {
        #[cfg(feature = "auth")]
        if let Some(own) = &self.own {
            return own;
        }
        &self.token
    }

    /// Binds the session to the identity that the client was let in with: with the same token, another identity has another session.
    #[cfg(feature = "auth")]
    pub(crate) fn bind(&mut self, identity: &str) {
        let mut hash = Sha256::new();
        // The token has no line breaks.
        [self.token.as_str(), "\n", identity].iter().for_each(|part| hash.update(part));
        let bound = Token(BASE64URL_NOPAD.encode(&hash.finalize()).into());
        self.own = Some(mem::replace(&mut self.token, bound));
    }

    /// Chooses a token that nobody can guess.
    fn generate() -> Result<Self, &'static str> {
        let token = RoomId::generate(GeneratedIds::Uuid).map_err(|_| NO_RANDOM)?;
        Ok(Self::new(Token(token.as_str().into()), 0, 0, 0))
    }
}

/// Parses a decimal number.
pub(crate) fn number(text: &str) -> Option<u64> {
    // `parse` would accept `+1`.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Keeps tokens out of logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abc_-Z";

    fn asked(request: Result<Option<SessionRequest>, &'static str>) -> Option<(String, [u64; 3])> {
        request.unwrap().map(|request| {
            (request.token.as_str().to_owned(), [request.received, request.attempt, request.begun])
        })
    }

    #[test]
    fn clients_that_do_not_name_the_protocol_want_no_session() {
        for offered in ["", "chat", "stateroom.v2", "stateroom.session.0123456789abcdef", "stateroom.v1x"] {
            assert_eq!(asked(SessionRequest::from_protocols(offered)), None, "{offered}");
        }
        for query in
            ["", "name=stateroom.session", "xstateroom.session=0123456789abcdef", "stateroom.sessions=1"]
        {
            assert_eq!(asked(SessionRequest::from_query(query)), None, "{query}");
        }
    }

    #[test]
    fn a_client_names_its_session_and_what_it_has_received() {
        for (numbers, expected) in [("", [0, 0, 0]), (".17", [17, 0, 0]), (".17.2.1", [17, 2, 1])] {
            let text = format!("{TOKEN}{numbers}");
            let expected = Some((TOKEN.to_owned(), expected));
            let offered = format!("chat,stateroom.v1 , stateroom.session.{text}");
            assert_eq!(asked(SessionRequest::from_protocols(&offered)), expected);
            let query = format!("name=Ada&stateroom.session={text}&x");
            assert_eq!(asked(SessionRequest::from_query(&query)), expected);
        }
    }

    #[test]
    fn a_client_without_a_token_gets_one_that_it_can_send() {
        let (token, ..) = asked(SessionRequest::from_protocols("stateroom.v1")).unwrap();
        let (other, ..) = asked(SessionRequest::from_query("stateroom.session")).unwrap();
        assert_ne!(token, other);
        let again = format!("stateroom.v1, stateroom.session.{token}.3.1");
        assert_eq!(asked(SessionRequest::from_protocols(&again)), Some((token, [3, 1, 0])));
    }

    #[cfg(feature = "auth")]
    #[test]
    fn identities_have_sessions_of_their_own() {
        let bound = |identity| {
            let mut request =
                SessionRequest::from_protocols(&format!("stateroom.v1, stateroom.session.{TOKEN}"))
                    .unwrap()
                    .unwrap();
            request.bind(identity);
            assert_eq!(request.own_token().as_str(), TOKEN);
            // It can be in the notes of a room on disk.
            Token::read(request.token.as_str()).unwrap()
        };
        assert_eq!(bound("ada"), bound("ada"));
        assert_ne!(bound("ada"), bound("bob"));
        // Nobody is one, too.
        assert_ne!(bound("").as_str(), TOKEN);
    }

    #[test]
    fn what_is_not_a_token_and_a_number_is_refused() {
        let long = "x".repeat(65);
        for text in ["", "short", "0123456789abcde", &long, "0123456789abcdé!", &format!("{TOKEN}."), "x y"]
            .into_iter()
            .map(str::to_owned)
            .chain(
                ["+1", "-1", "1.", ".1", "1.2.3.4", "1.x", "1.-1", "18446744073709551616", " 1"]
                    .map(|number| format!("{TOKEN}.{number}")),
            )
        {
            let offered = format!("stateroom.v1, stateroom.session.{text}");
            // Spaces around a subprotocol do not belong to it, and one with a space in it is none.
            assert!(SessionRequest::from_protocols(&offered).is_err(), "{offered}");
        }
    }
}

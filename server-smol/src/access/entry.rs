use std::{borrow::Cow, fmt, net::IpAddr};

use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, SEC_WEBSOCKET_PROTOCOL};

/// A client's request to enter or to create a room.
pub struct Entry {
    room: String,
    address: IpAddr,
    creates: bool,
    query: Option<String>,
    headers: HeaderMap,
    token: Option<String>,
}

/// The same, as far as possible in the place where the request is. Thousands may wait for an answer.
pub(crate) struct EntryRequest<'a> {
    pub(crate) room: &'a str,
    pub(crate) address: IpAddr,
    pub(crate) creates: bool,
    /// The query, without the token.
    pub(crate) query: Option<Cow<'a, str>>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) token: Option<Cow<'a, str>>,
}

/// The prefix of the subprotocol with a token.
pub(crate) const TOKEN_PROTOCOL_PREFIX: &str = "stateroom.token.";

/// The subprotocol that is selected for a client with a token that offers no other one.
pub(crate) const TOKEN_PROTOCOL: &str = "stateroom.token";

impl Entry {
    /// Returns the id of the room.
    #[must_use]
    pub fn room(&self) -> &str {
        &self.room
    }

    /// Returns the address that the client comes from.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns whether the client only creates the room (`POST`).
    #[must_use]
    pub fn creates(&self) -> bool {
        self.creates
    }

    /// Returns the query, without the token.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Returns the first header of this name, if it is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }

    /// Returns a cookie.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        cookie(&self.headers, name)
    }

    /// Returns the token that the client has brought: in a subprotocol, in `Authorization`, in the chosen cookie, or in the chosen
    /// parameter of the query.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

impl EntryRequest<'_> {
    /// Returns a copy, for a function that may keep it.
    pub(super) fn to_entry(&self) -> Entry {
        Entry {
            room: self.room.to_owned(),
            address: self.address,
            creates: self.creates,
            query: self.query.as_deref().map(str::to_owned),
            headers: self.headers.clone(),
            token: self.token.as_deref().map(str::to_owned),
        }
    }
}

/// Returns the token in the headers of a request.
pub(crate) fn token_of<'a>(headers: &'a HeaderMap, cookie_name: Option<&str>) -> Option<&'a str> {
    let texts = |name| headers.get_all(name).iter().filter_map(|line| str::from_utf8(line.as_bytes()).ok());
    let mut offered = texts(SEC_WEBSOCKET_PROTOCOL).flat_map(|line| line.split(','));
    let bearer = |line: &'a str| {
        let (scheme, token) = line.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    offered
        .find_map(|offer| offer.trim().strip_prefix(TOKEN_PROTOCOL_PREFIX))
        .or_else(|| texts(AUTHORIZATION).find_map(bearer))
        .or_else(|| cookie(headers, cookie_name?))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| str::from_utf8(line.as_bytes()).ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    cookies.find(|(other, _)| *other == name).map(|(_, value)| value.trim_matches('"'))
}

/// Keeps tokens out of logs.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("room", &self.room)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_where_they_may_be_and_in_order() {
        let found = |sent: &[(&'static str, &str)], cookie| {
            let mut headers = HeaderMap::new();
            sent.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
            token_of(&headers, cookie).map(str::to_owned)
        };
        let protocol = ("sec-websocket-protocol", "chat, stateroom.token.a.b.c ,x");
        let header = ("authorization", "Bearer  d.e.f");
        let basic = ("authorization", "Basic eDp5");
        let cookie = ("cookie", "x=1; token=\"g.h.i\"; token=j");
        for (sent, name, token) in [
            (&[protocol, header, cookie][..], Some("token"), Some("a.b.c")),
            (&[header, cookie], Some("token"), Some("d.e.f")),
            (&[basic, ("authorization", "bearer d"), cookie], Some("token"), Some("d")),
            (&[basic, cookie], Some("token"), Some("g.h.i")),
            (&[cookie], None, None),
            (&[cookie], Some("Token"), None),
            (&[("sec-websocket-protocol", "stateroom.token")], None, None),
        ] {
            assert_eq!(found(sent, name).as_deref(), token, "{sent:?}");
        }
    }
}

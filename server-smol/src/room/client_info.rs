use std::{
    borrow::Cow,
    cell::RefCell,
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use stateroom_core::ClientId;

#[cfg(feature = "auth")]
use crate::access::Claims;
use crate::requests::parameters;

/// The maximum number of parameters that are decoded. A query may have thousands, and each takes the thread some time.
const PARAMETERS: usize = 100;

/// The information that a client has brought with it, for its `connect`: the request that became its connection, and
/// the address that it came from.
///
/// It takes no more memory than the request's head did, which is why the query is not decoded before it is asked for.
#[derive(Debug)]
pub(crate) struct ClientInfo {
    address: IpAddr,
    query: Option<Box<str>>,
    /// The headers that the operator has chosen.
    headers: Box<[Header]>,
    /// The subprotocol that the server has chosen.
    subprotocol: Option<Box<str>>,
    /// The claims of a client that had to be let in.
    #[cfg(feature = "auth")]
    claims: Option<Box<Claims>>,
}

/// The name of a header, in lower case, and its value.
pub(crate) type Header = (Box<str>, Box<str>);

/// Keeps what the clients of a room have brought with them, ordered by their ids, if they may have to [connect again](super::renewal).
#[derive(Debug)]
pub(super) struct KeptInfo(Option<RefCell<Vec<Kept>>>);

type Kept = (ClientId, Box<ClientInfo>);

/// The beginnings of the keys of parameters and headers.
const QUERY: &str = "query:";
const HEADER: &str = "header:";
const SUBPROTOCOL: &str = "subprotocol";

/// The key of all claims, and the beginning of the keys of single ones.
#[cfg(feature = "auth")]
const CLAIMS: &str = "auth";
#[cfg(feature = "auth")]
const CLAIM: &str = "auth:";

impl KeptInfo {
    pub(super) fn new(is_kept: bool) -> Self {
        Self(is_kept.then(RefCell::default))
    }

    pub(super) fn add(&self, client: ClientId, info: Box<ClientInfo>) {
        if let Some(kept) = &self.0 {
            let mut kept = kept.borrow_mut();
            // Nearly always at the end: new clients have the largest ids.
            let index = kept.partition_point(|(other, _)| *other < client);
            match kept.get_mut(index).filter(|(other, _)| *other == client) {
                Some((_, old)) => *old = info,
                None => kept.insert(index, (client, info)),
            }
        }
    }

    pub(super) fn take(&self, client: ClientId) -> Option<Box<ClientInfo>> {
        let mut kept = self.0.as_ref()?.borrow_mut();
        let index = kept.binary_search_by_key(&client, |(other, _)| *other).ok()?;
        let (_, info) = kept.remove(index);
        if kept.len() < kept.capacity() / 4 {
            let space = 2 * kept.len();
            kept.shrink_to(space);
        }
        Some(info)
    }
}

impl ClientInfo {
    /// Keeps what rooms may ask for. The names of headers are in lower case.
    pub(crate) fn new(
        address: IpAddr,
        query: Option<&str>,
        headers: Box<[Header]>,
        subprotocol: Option<&str>,
    ) -> Self {
        // An IPv4 address looks like one on a socket that takes IPv6, too.
        Self {
            address: address.to_canonical(),
            query: query.map(Box::from),
            headers,
            subprotocol: subprotocol.map(Box::from),
            #[cfg(feature = "auth")]
            claims: None,
        }
    }

    /// Adds what is known of a client that had to be let in.
    #[cfg(feature = "auth")]
    pub(crate) fn with_claims(self, claims: Option<Claims>) -> Self {
        Self { claims: claims.map(Box::new), ..self }
    }

    /// Returns the information of a client that was in the room when the server ended.
    pub(super) fn unknown() -> Self {
        Self::new(Ipv4Addr::UNSPECIFIED.into(), None, Box::default(), None)
    }

    /// Returns how much memory this takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| size_of::<Header>() + name.len() + value.len());
        let texts = [&self.query, &self.subprotocol].into_iter().flatten().map(|text| text.len());
        let size = size_of::<Self>() + texts.sum::<usize>() + headers.sum::<usize>();
        #[cfg(feature = "auth")]
        let size = size + self.claims.as_ref().map_or(0, |claims| size_of::<Claims>() + claims.size());
        size
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        #[cfg(feature = "auth")]
        if let Some(claims) = &self.claims {
            match key.strip_prefix(CLAIM) {
                Some(name) => return claims.get(name).map(Cow::Owned),
                None if key == CLAIMS => return Some(claims.as_json().into()),
                None => {}
            }
        }
        if let Some(name) = key.strip_prefix(QUERY) {
            let found = parameters(self.query.as_deref()?).take(PARAMETERS).find(|(other, _)| other == name);
            found.map(|(_, value)| value)
        } else if let Some(name) = key.strip_prefix(HEADER) {
            let found = self.headers.iter().find(|(other, _)| **other == *name);
            found.map(|(_, value)| Cow::Borrowed(&**value))
        } else {
            match key {
                "query" => self.query.as_deref().map(Cow::Borrowed),
                SUBPROTOCOL => self.subprotocol.as_deref().map(Cow::Borrowed),
                "address" => Some(self.address.to_string().into()),
                _ => None,
            }
        }
    }

    /// Calls `each` with all keys and their values.
    pub(crate) fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        each("address", &self.address.to_string());
        #[cfg(feature = "auth")]
        if let Some(claims) = &self.claims {
            each(CLAIMS, claims.as_json());
            claims.each(|name, value| each(&format!("{CLAIM}{name}"), value));
        }
        for (name, value) in &self.headers {
            each(&format!("{HEADER}{name}"), value);
        }
        if let Some(subprotocol) = &self.subprotocol {
            each(SUBPROTOCOL, subprotocol);
        }
        let Some(query) = self.query.as_deref() else { return };
        each("query", query);
        let mut seen = HashSet::new();
        for (name, value) in parameters(query).take(PARAMETERS) {
            if !seen.contains(&name) {
                each(&format!("{QUERY}{name}"), &value);
                seen.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(query: Option<&str>) -> ClientInfo {
        let headers = [("origin".into(), "o".into())];
        ClientInfo::new("::ffff:10.1.2.3".parse().unwrap(), query, headers.into(), Some("chat.v1"))
    }

    #[test]
    fn parameters_are_decoded_as_forms_write_them() {
        let info = info(Some("a=1+2&b=%E2%9C%93%20%2B&c&d=&a=3&=e&%66=x%3D%26&g=1=2&&h=%zz%4"));
        for (name, value) in [
            ("a", "1 2"),
            ("b", "✓ +"),
            ("c", ""),
            ("d", ""),
            ("", "e"),
            ("f", "x=&"),
            ("g", "1=2"),
            ("h", "%zz%4"),
        ] {
            assert_eq!(info.get(&format!("query:{name}")).as_deref(), Some(value), "{name}");
        }
        for missing in ["query:A", "query:i", "query:%66", "query:a=1"] {
            assert_eq!(info.get(missing), None, "{missing}");
        }
    }

    #[test]
    fn parameters_that_are_not_utf8_are_left_out_and_the_raw_query_is_not() {
        let info = info(Some("a=%ff&a=%C3&b=+%ff&%ff=c&a=%C3%A9"));
        assert_eq!(info.get("query:a").as_deref(), Some("é"));
        assert_eq!(info.get("query:b"), None);
        assert_eq!(info.get("query").as_deref(), Some("a=%ff&a=%C3&b=+%ff&%ff=c&a=%C3%A9"));
    }

    #[test]
    fn an_empty_query_is_one_and_no_query_is_none() {
        assert_eq!(info(Some("")).get("query").as_deref(), Some(""));
        assert_eq!(info(None).get("query"), None);
        assert_eq!(info(None).get("query:a"), None);
    }

    #[test]
    fn only_so_many_parameters_are_decoded() {
        let query: String = (0..PARAMETERS + 1).map(|number| format!("p{number}=x&")).collect();
        let info = info(Some(&query));
        let last = PARAMETERS - 1;
        assert_eq!(info.get(&format!("query:p{last}")).as_deref(), Some("x"));
        assert_eq!(info.get(&format!("query:p{PARAMETERS}")), None);
        let mut count = 0;
        info.each(&mut |key, _| count += usize::from(key.starts_with(QUERY)));
        assert_eq!(count, PARAMETERS);
        assert_eq!(info.get("query").as_deref(), Some(&*query));
    }

    #[test]
    fn the_address_is_that_of_the_peer() {
        assert_eq!(info(None).get("address").as_deref(), Some("10.1.2.3"));
    }

    #[cfg(feature = "auth")]
    #[test]
    fn claims_are_there_as_a_whole_and_one_by_one() {
        let claims = Claims::from_json(r#"{"sub":"ada","admin":true}"#).unwrap();
        let (without, info) = (info(None).size(), info(None).with_claims(Some(claims)));
        assert!(info.size() > without + 20);
        for (key, value) in [
            ("auth", Some(r#"{"admin":true,"sub":"ada"}"#)),
            ("auth:sub", Some("ada")),
            ("auth:admin", Some("true")),
            ("auth:none", None),
        ] {
            assert_eq!(info.get(key).as_deref(), value, "{key}");
        }
        let mut all = Vec::new();
        info.each(&mut |key, _| all.push(key.to_owned()));
        assert_eq!(all, ["address", "auth", "auth:admin", "auth:sub", "header:origin", "subprotocol"]);
        // Without claims, nobody can make some up.
        assert_eq!(self::info(Some("auth=x&auth:sub=x")).get("auth:sub"), None);
    }

    #[test]
    fn each_key_comes_once_with_the_value_that_it_has() {
        let info = info(Some("a=1&b=2&a=3&c=%ff"));
        let mut all = Vec::new();
        info.each(&mut |key, value| {
            assert_eq!(info.get(key).as_deref(), Some(value), "{key}");
            all.push(key.to_owned());
        });
        assert_eq!(all, ["address", "header:origin", "subprotocol", "query", "query:a", "query:b"]);
    }
}

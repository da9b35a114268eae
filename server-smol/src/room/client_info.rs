use std::{
    borrow::Cow,
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    str,
};

use hyper::Request;
use percent_encoding::percent_decode_str;

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
}

/// The name of a header, in lower case, and its value.
type Header = (Box<str>, Box<str>);

/// The beginnings of the keys of parameters and headers.
const QUERY: &str = "query:";
const HEADER: &str = "header:";

impl ClientInfo {
    /// Keeps of a request what rooms may ask for; `chosen` are the names of headers.
    pub(crate) fn new<B>(request: &Request<B>, peer: SocketAddr, chosen: &[String]) -> Self {
        let headers = chosen.iter().filter_map(|name| {
            let lines = request.headers().get_all(name.as_str());
            // What is not UTF-8 is left out by itself, or a client could hide with it what a proxy has added.
            let lines: Vec<_> =
                lines.iter().filter_map(|line| str::from_utf8(line.as_bytes()).ok()).collect();
            // RFC 9110, section 5.3: lines of the same name are one list.
            let value = (!lines.is_empty()).then(|| lines.join(", "))?;
            Some((name.to_ascii_lowercase().into(), value.into()))
        });
        Self {
            // An IPv4 address looks like one on a socket that takes IPv6, too.
            address: peer.ip().to_canonical(),
            query: request.uri().query().map(Box::from),
            headers: headers.collect(),
        }
    }

    /// Returns how much memory this takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| size_of::<Header>() + name.len() + value.len());
        size_of::<Self>() + self.query.as_ref().map_or(0, |query| query.len()) + headers.sum::<usize>()
    }

    /// Returns the value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        if let Some(name) = key.strip_prefix(QUERY) {
            let found = parameters(self.query.as_deref()?).find(|(other, _)| other == name);
            found.map(|(_, value)| value)
        } else if let Some(name) = key.strip_prefix(HEADER) {
            let found = self.headers.iter().find(|(other, _)| **other == *name);
            found.map(|(_, value)| Cow::Borrowed(&**value))
        } else {
            match key {
                "query" => self.query.as_deref().map(Cow::Borrowed),
                "address" => Some(self.address.to_string().into()),
                _ => None,
            }
        }
    }

    /// Calls `each` with all keys and their values.
    pub(crate) fn each(&self, each: &mut dyn FnMut(&str, &str)) {
        each("address", &self.address.to_string());
        for (name, value) in &self.headers {
            each(&format!("{HEADER}{name}"), value);
        }
        let Some(query) = self.query.as_deref() else { return };
        each("query", query);
        let mut seen = HashSet::new();
        for (name, value) in parameters(query) {
            if !seen.contains(&name) {
                each(&format!("{QUERY}{name}"), &value);
                seen.insert(name);
            }
        }
    }
}

/// Returns the parameters of a query, as forms write them (the URL standard's `application/x-www-form-urlencoded`).
/// Those that are not UTF-8 are left out.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((decode(name)?, decode(value)?))
    })
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn info(path: &str, headers: &[(&'static str, &[u8])], chosen: &[&str]) -> ClientInfo {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let chosen: Vec<_> = chosen.iter().copied().map(String::from).collect();
        let peer = "[::ffff:10.1.2.3]:5555".parse().unwrap();
        ClientInfo::new(&request.body(()).unwrap(), peer, &chosen)
    }

    #[test]
    fn parameters_are_decoded_as_forms_write_them() {
        let info = info("/ws?a=1+2&b=%E2%9C%93%20%2B&c&d=&a=3&=e&%66=x%3D%26&g=1=2&&h=%zz%4", &[], &[]);
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
        let info = info("/ws?a=%ff&a=%C3&b=+%ff&%ff=c&a=%C3%A9", &[], &[]);
        assert_eq!(info.get("query:a").as_deref(), Some("é"));
        assert_eq!(info.get("query:b"), None);
        assert_eq!(info.get("query").as_deref(), Some("a=%ff&a=%C3&b=+%ff&%ff=c&a=%C3%A9"));
    }

    #[test]
    fn an_empty_query_is_one_and_no_query_is_none() {
        assert_eq!(info("/ws?", &[], &[]).get("query").as_deref(), Some(""));
        assert_eq!(info("/ws", &[], &[]).get("query"), None);
        assert_eq!(info("/ws", &[], &[]).get("query:a"), None);
    }

    #[test]
    fn chosen_headers_are_there_and_others_are_not() {
        let sent: [(_, &[u8]); 8] = [
            ("origin", b"https://example.com"),
            ("cookie", b"secret"),
            ("x-user", b"mallory"),
            ("x-user", b"ada"),
            ("x-name", "Zoë".as_bytes()),
            ("x-latin", b"Zo\xeb"),
            ("x-mixed", b"Zo\xeb"),
            ("x-mixed", b"ada"),
        ];
        let info = info(
            "/ws",
            &sent,
            &["origin", "X-User", "x-name", "x-latin", "x-mixed", "x-absent", "no header"],
        );
        for (key, value) in [
            ("header:origin", Some("https://example.com")),
            ("header:x-user", Some("mallory, ada")),
            ("header:x-name", Some("Zoë")),
            ("header:x-latin", None),
            ("header:x-mixed", Some("ada")),
            ("header:x-absent", None),
            ("header:cookie", None),
            ("header:X-User", None),
            ("origin", None),
        ] {
            assert_eq!(info.get(key).as_deref(), value, "{key}");
        }
    }

    #[test]
    fn the_address_is_that_of_the_peer() {
        assert_eq!(info("/ws", &[], &[]).get("address").as_deref(), Some("10.1.2.3"));
    }

    #[test]
    fn each_key_comes_once_with_the_value_that_it_has() {
        let info = info("/ws?a=1&b=2&a=3&c=%ff", &[("origin", b"o")], &["origin"]);
        let mut all = Vec::new();
        info.each(&mut |key, value| {
            assert_eq!(info.get(key).as_deref(), Some(value), "{key}");
            all.push(key.to_owned());
        });
        assert_eq!(all, ["address", "header:origin", "query", "query:a", "query:b"]);
    }
}

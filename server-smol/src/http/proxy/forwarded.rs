use std::net::IpAddr;

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The reason why a request does not say clearly which client it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclear {
    /// `Forwarded` is not valid. A client may have begun a quoted text that swallows what the proxy has added.
    Malformed,
    /// Both headers are there, and name different clients. One of them may be the client's own.
    Contradictory,
}

impl Unclear {
    /// Returns a sentence for the client.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Malformed => "the header `Forwarded` is not valid",
            Self::Contradictory => "the headers `Forwarded` and `X-Forwarded-For` name different clients",
        }
    }
}

/// Returns the address of the client that a request comes from: the last one that is named and is no trusted proxy. `peer` is the
/// proxy that the request has come from.
///
/// Each proxy adds the address from which it got the request, and the last one is trusted. So the last address is right. If that is
/// a trusted proxy, the one before is right, and so on. What comes before the address of somebody else may be invented.
///
/// # Errors
/// It is not clear.
pub(super) fn client(
    headers: &HeaderMap,
    peer: IpAddr,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Result<IpAddr, Unclear> {
    let mut found = None;
    for (name, read) in [(FORWARDED, elements as Read), (X_FORWARDED_FOR, addresses as Read)] {
        if !headers.contains_key(&name) {
            continue;
        }
        let client = last_untrusted(headers, &name, read, peer, &is_trusted)?;
        if found.is_some_and(|other| other != client) {
            return Err(Unclear::Contradictory);
        }
        found = Some(client);
    }
    Ok(found.unwrap_or(peer))
}

/// Returns the addresses in a line of a header. `None` stands for a client that is not named.
type Read = fn(&str) -> Result<Vec<Option<IpAddr>>, Unclear>;

fn last_untrusted(
    headers: &HeaderMap,
    name: &HeaderName,
    read: Read,
    peer: IpAddr,
    is_trusted: &impl Fn(IpAddr) -> bool,
) -> Result<IpAddr, Unclear> {
    let mut hops = Vec::new();
    for line in headers.get_all(name) {
        hops.extend(read(&String::from_utf8_lossy(line.as_bytes()))?);
    }
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // Who is not named counts as the proxy that has not named it.
        let Some(address) = hop else { break };
        client = address;
        if !is_trusted(address) {
            break;
        }
    }
    Ok(client)
}

/// Reads a line of `X-Forwarded-For`.
#[expect(clippy::unnecessary_wraps, reason = "the other header may be invalid")]
fn addresses(line: &str) -> Result<Vec<Option<IpAddr>>, Unclear> {
    let hops = line.split(',').map(str::trim).filter(|hop| !hop.is_empty());
    Ok(hops.map(address).collect())
}

/// Reads a line of `Forwarded` (RFC 7239, section 4).
fn elements(line: &str) -> Result<Vec<Option<IpAddr>>, Unclear> {
    let elements = split(line, ',').ok_or(Unclear::Malformed)?;
    Ok(elements.into_iter().map(client_of).collect())
}

/// Returns the client that an element of `Forwarded` names.
fn client_of(element: &str) -> Option<IpAddr> {
    let is_for = |pair: &&str| pair.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("for="));
    let pairs = split(element, ';')?;
    let mut named = pairs.into_iter().filter(is_for);
    let (Some(pair), None) = (named.next(), named.next()) else { return None };
    let value = &pair[4..];
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    // No address needs a `\` before a character.
    address(quoted.unwrap_or(value))
}

/// Splits a text at each `separator` that is not in a quoted text. Returns `None` if a quoted text does not end. Parts with nothing in them
/// are left out.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let mut is_end = |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            _ if was_escaped => {}
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => is_escaped = true,
            _ => {}
        }
        character == separator && !is_quoted
    };
    let parts: Vec<_> = text.split(&mut is_end).map(str::trim).filter(|part| !part.is_empty()).collect();
    (!is_quoted).then_some(parts)
}

/// Reads an IP address, which may have a port. Returns nothing for a client that has a made-up name, or none.
fn address(text: &str) -> Option<IpAddr> {
    let host = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then_some(host)?
        }
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => text,
        },
    };
    host.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;
    use crate::settings::TrustedProxy;

    /// Returns the client of a request with these headers that comes from 10.0.0.1. All of 10.0.0.0/8 are trusted.
    fn of(lines: &[(&'static str, &str)]) -> Result<String, Unclear> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted: TrustedProxy = "10.0.0.0/8".parse().unwrap();
        let client = client(&headers, [10, 0, 0, 1].into(), |address| trusted.has(address));
        client.map(|client| client.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        for (value, client) in [
            ("203.0.113.7", "203.0.113.7"),
            ("1.2.3.4, 203.0.113.7", "203.0.113.7"),
            ("1.2.3.4, 203.0.113.7, 10.0.0.9,10.1.1.1", "203.0.113.7"),
            ("1.2.3.4,203.0.113.7:55000", "203.0.113.7"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("1.2.3.4, ::ffff:10.0.0.7", "1.2.3.4"),
            (" , 203.0.113.7 , ,", "203.0.113.7"),
            // All are trusted.
            ("10.0.0.8, 10.0.0.9", "10.0.0.8"),
            // Nobody is named, or not in a way that can be relied on.
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("1.2.3.4, _hidden", "10.0.0.1"),
            ("1.2.3.4, unknown, 10.0.0.9", "10.0.0.9"),
            ("1.2.3.4, 300.0.0.1", "10.0.0.1"),
            ("1.2.3.4 203.0.113.7", "10.0.0.1"),
            ("1.2.3.4, fe80::1%eth0", "10.0.0.1"),
            ("1.2.3.4, [::1", "10.0.0.1"),
            ("1.2.3.4, [::1]x", "10.0.0.1"),
            ("1.2.3.4, 0x7f000001", "10.0.0.1"),
            ("1.2.3.4, größe", "10.0.0.1"),
        ] {
            assert_eq!(of(&[("x-forwarded-for", value)]).as_deref(), Ok(client), "{value}");
        }
        assert_eq!(of(&[]).as_deref(), Ok("10.0.0.1"));
        let lines = ["1.2.3.4, 5.6.7.8", "203.0.113.7", "10.0.0.5", ""].map(|line| ("x-forwarded-for", line));
        assert_eq!(of(&lines).as_deref(), Ok("203.0.113.7"), "several lines are one list");
    }

    #[test]
    fn elements_of_forwarded_name_clients() {
        for (value, client) in [
            ("for=203.0.113.7", "203.0.113.7"),
            ("For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
            ("by=1.1.1.1 ; FOR=203.0.113.7", "203.0.113.7"),
            (r#"for="[2001:db8::1]:4711""#, "2001:db8::1"),
            (r#"for="[2001:db8::1]""#, "2001:db8::1"),
            (r#"for="203.0.113.7:_gazonk""#, "203.0.113.7"),
            ("for=1.2.3.4, for=203.0.113.7, for=10.0.0.9", "203.0.113.7"),
            // A separator in a quoted text is a part of it.
            (r#"for=1.2.3.4, for=203.0.113.7;by="a, for=5.6.7.8;for=9.9.9.9""#, "203.0.113.7"),
            (r#"for=1.2.3.4;by="\"", for=203.0.113.7"#, "203.0.113.7"),
            (r#"for=1.2.3.4;by=\, for=203.0.113.7"#, "203.0.113.7"),
            // Nobody is named.
            ("for=_hidden", "10.0.0.1"),
            ("for=1.2.3.4, for=_hidden", "10.0.0.1"),
            ("for=1.2.3.4, for=unknown, for=10.0.0.9", "10.0.0.9"),
            (r#"for=1.2.3.4, for="_SEVKISEK""#, "10.0.0.1"),
            ("for=1.2.3.4, proto=https", "10.0.0.1"),
            ("for=1.2.3.4, for=5.6.7.8;for=9.9.9.9", "10.0.0.1"),
            ("for=1.2.3.4, for =5.6.7.8", "10.0.0.1"),
            (r#"for=1.2.3.4, for="5.6.7.8"x"#, "10.0.0.1"),
            (r#"for=1.2.3.4, for="5.6.7.\8""#, "10.0.0.1"),
            ("203.0.113.7", "10.0.0.1"),
            ("forträge=1", "10.0.0.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(of(&[("forwarded", value)]).as_deref(), Ok(client), "{value}");
        }
    }

    #[test]
    fn a_client_cannot_hide_what_the_proxy_adds() {
        for begun in [r#"for=""#, r#"for=1.2.3.4;by="x"#, r#"for="1.2.3.4\"#, r#"""""#] {
            for added in ["for=203.0.113.7", r#"for="[2001:db8::7]:1""#] {
                let together = format!("{begun}, {added}");
                assert_eq!(of(&[("forwarded", &together)]), Err(Unclear::Malformed), "{together}");
                let lines = [("forwarded", begun), ("forwarded", added)];
                assert_eq!(of(&lines), Err(Unclear::Malformed), "{begun} on a line of its own");
            }
        }
    }

    #[test]
    fn two_headers_have_to_agree() {
        let both = |forwarded, x| of(&[("forwarded", forwarded), ("x-forwarded-for", x)]);
        assert_eq!(both("for=203.0.113.7", "1.2.3.4, 203.0.113.7").as_deref(), Ok("203.0.113.7"));
        for (forwarded, x) in
            [("for=1.2.3.4", "203.0.113.7"), ("for=_hidden", "203.0.113.7"), ("for=1.2.3.4", "")]
        {
            assert_eq!(both(forwarded, x), Err(Unclear::Contradictory), "{forwarded}, {x}");
        }
    }
}

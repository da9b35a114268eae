use std::net::IpAddr;

use hyper::{
    Request,
    header::{HOST, HeaderName, ORIGIN},
    http::uri::Authority,
};

/// The machines from which requests may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine, over a socket that no browser opens.
    Socket,
    /// This machine.
    Loopback,
    /// All who have the token, which pages of others do not have. A proxy with another name may be in between.
    #[cfg(feature = "rooms")]
    WithToken,
    /// All that reach the public address, which this is.
    #[cfg(feature = "built-in")]
    Public(IpAddr),
}

/// Checks a request that a page in a browser may have made. Pages of others reach this server like any other: under a name of
/// their own that leads here, or under the right name but without reading the answer. So only pages of this server may ask, and
/// only under names that nobody else can have: `localhost`, and addresses. With a token any name will do, as pages of others do not have it.
///
/// # Errors
/// A sentence for the client that has asked.
pub(super) fn check<B>(request: &Request<B>, reach: Reach) -> Result<(), &'static str> {
    let hosts = match reach {
        Reach::Socket => return Ok(()),
        Reach::Loopback => IpAddr::is_loopback as fn(&IpAddr) -> bool,
        // It may have any name.
        #[cfg(feature = "rooms")]
        Reach::WithToken => |_: &IpAddr| true,
        #[cfg(feature = "built-in")]
        Reach::Public(own) if own.is_loopback() => IpAddr::is_loopback as _,
        // No other machine has this address, but names of others can lead to it.
        #[cfg(feature = "built-in")]
        Reach::Public(_) => |address: &IpAddr| !address.is_unspecified(),
    };
    let headers = request.headers();
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    #[cfg(feature = "rooms")]
    let has_any_name = reach == Reach::WithToken;
    #[cfg(not(feature = "rooms"))]
    let has_any_name = false;
    let is_ours = |authority: &Authority| has_any_name || is_ours(authority.host(), hosts);
    // Where the address in the first line has a host, it is the one that counts.
    if !host.as_ref().is_some_and(is_ours) || !request.uri().authority().is_none_or(is_ours) {
        return Err(match reach {
            #[cfg(feature = "rooms")]
            Reach::WithToken => "a request has a `Host`",
            Reach::Socket | Reach::Loopback => {
                "this is for the operator: the host is `localhost` or a loopback address"
            }
            #[cfg(feature = "built-in")]
            Reach::Public(_) => {
                "this is for the author of the room: the host is `localhost` or an address of the server"
            }
        });
    }
    let fetched = headers.get(HeaderName::from_static("sec-fetch-site"));
    let is_own_page = |origin: &[u8]| {
        let with_tls = match reach {
            Reach::Socket | Reach::Loopback => None,
            // A proxy may speak TLS.
            #[cfg(feature = "built-in")]
            _ => origin.strip_prefix(b"https://").map(|origin| (origin, ":443")),
        };
        let page = with_tls.or_else(|| origin.strip_prefix(b"http://").map(|origin| (origin, ":80")));
        page.zip(host.as_ref()).is_some_and(|((origin, port), host)| {
            // Browsers leave out the port that belongs to the scheme, and proxies may add it to the host.
            let host = host.as_str();
            host.strip_suffix(port).unwrap_or(host).as_bytes() == origin
        })
    };
    if headers.get_all(ORIGIN).iter().any(|origin| !is_own_page(origin.as_bytes()))
        || fetched.is_some_and(|site| site != "none" && site != "same-origin")
    {
        return Err(match reach {
            #[cfg(feature = "rooms")]
            Reach::WithToken => "this is for the operator, and not for pages",
            Reach::Socket | Reach::Loopback => "this is for the operator, and not for pages",
            #[cfg(feature = "built-in")]
            Reach::Public(_) => "links of others do not lead here: enter the address in the browser",
        });
    }
    Ok(())
}

fn is_ours(host: &str, addresses: fn(&IpAddr) -> bool) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = address.parse().map(|address: IpAddr| address.to_canonical());
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| addresses(&address))
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "built-in")]
    use std::net::Ipv4Addr;

    use super::*;

    fn check(uri: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        check_from(Reach::Loopback, uri, headers)
    }

    fn check_from(reach: Reach, uri: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        super::check(&request.body(()).unwrap(), reach)
    }

    #[test]
    fn a_host_that_is_not_this_machine_is_refused() {
        for host in ["localhost", "LOCALHOST:9000", "127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:9000"] {
            assert_eq!(check("/status", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "0.0.0.0",
            "a@b c",
        ] {
            assert!(check("/status", &[("host", host)]).is_err(), "{host}");
        }
        assert!(check("/status", &[]).is_err());
        assert!(check("http://example.com/status", &[("host", "localhost")]).is_err());
        assert!(check("http://localhost/status", &[("host", "localhost")]).is_ok());
    }

    #[test]
    fn what_a_page_of_others_asks_is_refused() {
        for page in [
            ("origin", "http://localhost:9001"),
            ("origin", "https://localhost"),
            ("origin", "http://127.0.0.1"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(check("/status", &[("host", "localhost"), page]).is_err(), "{page:?}");
        }
        let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://a.b")];
        assert!(check("/status", &twice).is_err());
        for page in
            [("sec-fetch-site", "none"), ("sec-fetch-site", "same-origin"), ("origin", "http://localhost")]
        {
            assert_eq!(check("/status", &[("host", "localhost"), page]), Ok(()), "{page:?}");
        }
        let own = [("host", "[::1]:9000"), ("origin", "http://[::1]:9000")];
        assert_eq!(check("/status", &own), Ok(()));
    }

    #[cfg(feature = "built-in")]
    #[test]
    fn the_public_address_is_asked_under_addresses_and_not_under_names() {
        let all = Reach::Public(Ipv4Addr::UNSPECIFIED.into());
        for host in ["localhost:8080", "192.168.1.7:8080", "[2001:db8::1]", "127.0.0.1"] {
            assert_eq!(check_from(all, "/_/rooms", &[("host", host)]), Ok(()), "{host}");
            for scheme in ["http", "https"] {
                let own = format!("{scheme}://{host}");
                assert_eq!(check_from(all, "/_/rooms", &[("host", host), ("origin", &own)]), Ok(()), "{own}");
            }
            let other = [("host", host), ("origin", "http://example.com")];
            assert!(check_from(all, "/_/rooms", &other).is_err());
        }
        for host in ["example.com", "localhost.example.com", "192.168.1.7.example.com"] {
            assert!(check_from(all, "/_/rooms", &[("host", host)]).is_err(), "{host}");
        }
    }

    #[cfg(feature = "built-in")]
    #[test]
    fn no_host_is_all_addresses_and_a_server_for_this_machine_has_those_of_this_machine() {
        let check = |own: IpAddr, host| check_from(Reach::Public(own), "/_/rooms", &[("host", host)]).is_ok();
        for own in [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(192, 168, 1, 7)] {
            for host in ["0.0.0.0", "0.0.0.0:8080", "[::]:8080", "[::ffff:0.0.0.0]"] {
                assert!(!check(own.into(), host), "{own} {host}");
            }
            for host in ["localhost:8080", "127.0.0.1:8080", "[::1]", "[::ffff:127.0.0.1]"] {
                assert!(check(own.into(), host), "{own} {host}");
            }
            assert_eq!(check(own.into(), "192.168.1.7:8080"), !own.is_loopback(), "{own}");
        }
    }

    #[cfg(feature = "rooms")]
    #[test]
    fn an_address_with_a_token_has_any_name_and_no_pages_of_others() {
        let check = |headers: &[(&str, &str)]| check_from(Reach::WithToken, "/rooms", headers).is_ok();
        for host in ["admin.example.com:9000", "10.0.0.1:9000", "localhost"] {
            assert!(check(&[("host", host)]), "{host}");
            for scheme in ["http", "https"] {
                let origin = |host| format!("{scheme}://{host}");
                assert!(check(&[("host", host), ("origin", &origin(host))]), "{host}");
                assert!(!check(&[("host", host), ("origin", &origin("example.com"))]), "{host}");
            }
            assert!(!check(&[("host", host), ("sec-fetch-site", "cross-site")]), "{host}");
        }
        assert!(!check(&[]));
    }

    #[cfg(feature = "rooms")]
    #[test]
    fn a_host_may_have_the_port_that_belongs_to_the_scheme_of_its_page() {
        let check = |host, origin| {
            check_from(Reach::WithToken, "/rooms", &[("host", host), ("origin", origin)]).is_ok()
        };
        assert!(check("admin.example:443", "https://admin.example"));
        assert!(check("admin.example:80", "http://admin.example"));
        for (host, origin) in [
            ("admin.example:443", "http://admin.example"),
            ("admin.example:80", "https://admin.example"),
            ("admin.example:8443", "https://admin.example"),
            ("admin.example", "https://admin.example:8443"),
            ("admin.example", "https://admin.example.com"),
        ] {
            assert!(!check(host, origin), "{host} {origin}");
        }
    }

    #[test]
    fn a_unix_socket_is_not_checked() {
        assert_eq!(check_from(Reach::Socket, "/status", &[]), Ok(()));
    }
}

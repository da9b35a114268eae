use hyper::{
    Request,
    header::{HOST, HeaderName, ORIGIN},
    http::uri::Authority,
};

/// Checks a request over TCP that a page in a browser may have made. Pages reach this machine's addresses like any
/// other: under a name of their own that leads here, or under the right name but without reading the answer.
///
/// # Errors
/// A sentence for the client that has asked.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), &'static str> {
    let headers = request.headers();
    let fetched = headers.get(HeaderName::from_static("sec-fetch-site"));
    if headers.contains_key(ORIGIN) || fetched.is_some_and(|site| site != "none") {
        return Err("this is for the operator, and not for pages");
    }
    let host = headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let is_local = |authority: &Authority| is_local(authority.host());
    // Where the address in the first line has a host, it is the one that counts.
    if !host.as_ref().is_some_and(is_local) || !request.uri().authority().is_none_or(is_local) {
        return Err("this is for the operator: the host is `localhost` or a loopback address");
    }
    Ok(())
}

fn is_local(host: &str) -> bool {
    use std::net::IpAddr;
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, headers: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        super::check(&request.body(()).unwrap())
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
    fn what_a_page_asks_is_refused() {
        for page in [
            ("origin", "http://localhost"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(check("/status", &[("host", "localhost"), page]).is_err(), "{page:?}");
        }
        assert!(check("/status", &[("host", "localhost"), ("sec-fetch-site", "none")]).is_ok());
    }
}

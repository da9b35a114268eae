use std::{fmt, str::FromStr};

/// An origin whose pages may use the rooms, or a pattern of such origins: see
/// [`Settings::allowed_origins`](crate::Settings::allowed_origins).
///
/// ```
/// use stateroom_server_smol::AllowedOrigin;
///
/// for text in ["https://example.org", "http://localhost:3000", "https://*.example.org", "self", "*"] {
///     assert!(text.parse::<AllowedOrigin>().is_ok());
/// }
/// assert!("https://example.org/page".parse::<AllowedOrigin>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(Rule);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Any,
    SameHost,
    /// In lower case and without a default port, as browsers write it.
    Exact(Box<str>),
    /// The beginning and the end of an origin. At least one label stands between.
    Subdomains(Box<str>, Box<str>),
}

const ANY: &str = "*";
const SAME_HOST: &str = "self";

/// The ports that browsers leave out.
const DEFAULT_PORTS: [(&str, &str); 4] = [("http", ":80"), ("ws", ":80"), ("https", ":443"), ("wss", ":443")];

impl AllowedOrigin {
    /// All origins, also those that have no name (`null`): `*`.
    pub const ANY: Self = Self(Rule::Any);
    /// The host and the port that the request itself is for, and `https` if it has come with TLS: `self`.
    pub const SAME_HOST: Self = Self(Rule::SameHost);

    /// Returns whether a request with this origin, for this host, is allowed. A request that `is_secure` has come with TLS.
    pub(crate) fn allows(&self, origin: &str, host: Option<&str>, is_secure: bool) -> bool {
        match &self.0 {
            Rule::Any => true,
            Rule::SameHost => {
                let Some((scheme @ ("http" | "https"), authority)) = origin.split_once("://") else {
                    return false;
                };
                // Whoever is on the way can change a page without TLS.
                if is_secure && scheme != "https" {
                    return false;
                }
                host.is_some_and(|host| {
                    without_default_port(scheme, host)
                        .eq_ignore_ascii_case(without_default_port(scheme, authority))
                })
            }
            Rule::Exact(exact) => **exact == *origin,
            Rule::Subdomains(begin, end) => {
                let between = origin.strip_prefix(&**begin).and_then(|rest| rest.strip_suffix(&**end));
                between.is_some_and(|labels| !labels.is_empty() && labels.bytes().all(is_of_name))
            }
        }
    }
}

/// Returns whether a byte may stand in the names of subdomains.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let default = DEFAULT_PORTS.iter().find(|(other, _)| *other == scheme);
    default.and_then(|(_, port)| authority.strip_suffix(port)).unwrap_or(authority)
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            ANY => return Ok(Self::ANY),
            SAME_HOST => return Ok(Self::SAME_HOST),
            "null" => {
                return Err("is the origin of all pages without a name, those of attackers too: `*` allows it, among all others".to_owned());
            }
            _ => {}
        }
        let text = text.to_ascii_lowercase();
        let Some((scheme, authority)) = text.split_once("://") else {
            return Err("is not an origin such as https://example.org, a pattern such as https://*.example.org, `self` or `*`".to_owned());
        };
        if authority.contains(['/', '?', '#']) {
            return Err(
                "has a path: an origin ends behind its host and port, such as https://example.org:8443"
                    .to_owned(),
            );
        }
        let host = authority.strip_prefix("*.").unwrap_or(authority);
        let is_valid = |byte: u8| is_of_name(byte) || b":[]".contains(&byte);
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_named = !scheme.is_empty() && scheme.bytes().all(is_scheme) && host.bytes().any(is_of_name);
        if !is_named || !host.bytes().all(is_valid) {
            return Err("is not an origin: a `*` stands only for subdomains, as in https://*.example.org, and international names are written in ASCII (xn--…)".to_owned());
        }
        let host = without_default_port(scheme, host);
        Ok(Self(match authority.starts_with("*.") {
            true => Rule::Subdomains(format!("{scheme}://").into(), format!(".{host}").into()),
            false => Rule::Exact(format!("{scheme}://{host}").into()),
        }))
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::Any => f.write_str(ANY),
            Rule::SameHost => f.write_str(SAME_HOST),
            Rule::Exact(exact) => f.write_str(exact),
            Rule::Subdomains(begin, end) => write!(f, "{begin}*{end}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> AllowedOrigin {
        text.parse().unwrap()
    }

    #[test]
    fn an_exact_origin_is_itself_alone() {
        let rule = rule("https://Example.org:443");
        assert_eq!(rule.to_string(), "https://example.org");
        assert!(rule.allows("https://example.org", None, false));
        for other in [
            "http://example.org",
            "https://example.org:8443",
            "https://a.example.org",
            "https://example.org.evil.net",
            "https://example.orgx",
            "null",
            "",
        ] {
            assert!(!rule.allows(other, Some("example.org"), false), "{other}");
        }
        assert!(self::rule("capacitor://localhost").allows("capacitor://localhost", None, true));
    }

    #[test]
    fn a_pattern_is_for_subdomains_and_not_for_the_domain() {
        let rule = rule("https://*.example.org:8443");
        for origin in ["https://a.example.org:8443", "https://a-1.b.example.org:8443"] {
            assert!(rule.allows(origin, None, true), "{origin}");
        }
        for other in [
            "https://example.org:8443",
            "https://.example.org:8443",
            "https://a.example.org",
            "http://a.example.org:8443",
            "https://evilexample.org:8443",
            "https://evil.net/.example.org:8443",
            "https://evil.net:1.example.org:8443",
            "https://evil@a.example.org:8443",
        ] {
            assert!(!rule.allows(other, None, false), "{other}");
        }
    }

    #[test]
    fn the_same_host_is_the_one_that_the_request_is_for() {
        let same = |origin: &str, host: &str| AllowedOrigin::SAME_HOST.allows(origin, Some(host), false);
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("https://example.org", "example.org"),
            ("https://example.org", "Example.org:443"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            assert!(same(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("http://localhost:3000", "localhost:8080"),
            ("https://example.org", "example.org:80"),
            ("https://a.example.org", "example.org"),
            ("chrome-extension://example.org", "example.org"),
            ("example.org", "example.org"),
            ("null", "null"),
            ("https://", ""),
        ] {
            assert!(!same(origin, host) || origin == "https://", "{origin} {host}");
        }
        assert!(!AllowedOrigin::SAME_HOST.allows("http://a", None, false));
        let same = |origin: &str| AllowedOrigin::SAME_HOST.allows(origin, Some("example.org"), true);
        assert!(same("https://example.org") && !same("http://example.org"));
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_mend() {
        for (text, said) in [
            ("example.org", "https://example.org"),
            ("", "https://example.org"),
            ("https://example.org/", "path"),
            ("https://example.org/a", "path"),
            ("https://", "not an origin"),
            ("https://*", "subdomains"),
            ("https://*.", "subdomains"),
            ("https://a.*.org", "subdomains"),
            ("*://example.org", "not an origin"),
            ("https://größe.org", "ASCII"),
            ("null", "`*`"),
        ] {
            let error = text.parse::<AllowedOrigin>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

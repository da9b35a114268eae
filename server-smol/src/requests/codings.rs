use hyper::header::{ACCEPT_ENCODING, HeaderMap};

use super::list::{elements, weighted};

/// A way to compress a file (RFC 9110, section 8.4.1).
#[derive(Debug)]
pub(crate) struct Coding {
    pub(crate) name: &'static str,
    /// The older name, which means the same.
    alias: &'static str,
    /// The end of the name of a compressed file, behind the name of the file.
    pub(crate) extension: &'static str,
}

/// The codings that a file may have, the preferred one first.
pub(crate) const CODINGS: [Coding; 2] = [
    Coding { name: "br", alias: "br", extension: ".br" },
    Coding { name: "gzip", alias: "x-gzip", extension: ".gz" },
];

/// The weight that a client gives each of the [`CODINGS`]. Zero: the file as it is comes before it.
pub(crate) type Weights = [u16; CODINGS.len()];

/// Returns the weights for a request (RFC 9110, section 12.5.3).
pub(crate) fn weights(sent: &HeaderMap) -> Weights {
    let (mut named, mut plain, mut others) = ([None; CODINGS.len()], None, None);
    for (name, weight) in elements(sent, &ACCEPT_ENCODING).map(weighted) {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("*") {
            others = Some(weight);
        } else if is("identity") {
            plain = Some(weight);
        }
        for (named, coding) in named.iter_mut().zip(&CODINGS) {
            if is(coding.name) || is(coding.alias) {
                *named = Some(weight);
            }
        }
    }
    let plain = plain.or(others).unwrap_or(0);
    named.map(|named| named.or(others).filter(|weight| *weight >= plain).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_client_weighs_codings() {
        for (accepted, expected) in [
            ("", [0, 0]),
            ("br", [1_000, 0]),
            ("gzip, deflate, br, zstd", [1_000, 1_000]),
            ("X-GZIP;q=0.5", [0, 500]),
            ("*", [1_000, 1_000]),
            ("*;q=0.1, br;q=0", [0, 100]),
            ("identity;q=1, *;q=0", [0, 0]),
            ("identity, br, gzip;q=0.9", [1_000, 0]),
            ("identity;q=0.5, br;q=0.6, gzip;q=0.4", [600, 0]),
            ("identity;q=0", [0, 0]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(weights(&headers), expected, "{accepted}");
        }
        assert_eq!(weights(&HeaderMap::new()), [0, 0]);
    }
}

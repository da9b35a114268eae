//! Headers that are lists (RFC 9110, section 5.6.1).

use hyper::header::{HeaderMap, HeaderName};

/// Returns the elements of a list. All lines of a name are one list (section 5.3).
pub(crate) fn elements<'a>(sent: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = sent.get_all(name).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Returns whether a list has this element, in any case.
pub(crate) fn lists(sent: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    elements(sent, name).any(|other| other.eq_ignore_ascii_case(element.as_bytes()))
}

/// Returns an element without its parameters, and its weight in thousandths (section 12.4.2). A weight that cannot be read is 0.
pub(super) fn weighted(element: &[u8]) -> (&[u8], u16) {
    let mut parts = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let value = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    (value, weight.map_or(1_000, |weight| thousandths(weight).unwrap_or(0)))
}

fn thousandths(number: &[u8]) -> Option<u16> {
    let (whole, fraction) = match number {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let digits = [whole].into_iter().chain(fraction).chain([b'0'; 3].iter());
    let sum = digits
        .take(4)
        .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| 10 * sum + u16::from(digit - b'0')))?;
    (sum <= 1_000).then_some(sum)
}

/// Returns whether a client says that it takes this media type. One that takes every type does not say so.
pub(crate) fn names_type(accept: &HeaderMap, media_type: &str) -> bool {
    elements(accept, &hyper::header::ACCEPT)
        .map(weighted)
        .any(|(other, weight)| weight > 0 && other.eq_ignore_ascii_case(media_type.as_bytes()))
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONNECTION, HeaderValue};

    use super::*;

    #[test]
    fn all_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        assert!(!lists(&headers, &CONNECTION, "upgrade"));
        for line in ["keep-alive", "", " ,Upgrade ,x"] {
            headers.append(CONNECTION, HeaderValue::from_static(line));
        }
        let found: Vec<_> = elements(&headers, &CONNECTION).collect();
        assert_eq!(found, [&b"keep-alive"[..], b"Upgrade", b"x"]);
        assert!(lists(&headers, &CONNECTION, "upgrade") && !lists(&headers, &CONNECTION, "up"));
    }

    #[test]
    fn weights_have_at_most_three_digits_behind_the_point() {
        for (element, weight) in [
            ("br", 1_000),
            ("br;q=1", 1_000),
            ("br;q=1.", 1_000),
            ("br;q=1.000", 1_000),
            ("br;q=0.5", 500),
            ("br ; level=1 ; Q=0.05", 50),
            ("br;q=0.001", 1),
            ("br;q=0", 0),
            ("br;q=0.000", 0),
            ("br;q=1.001", 0),
            ("br;q=2", 0),
            ("br;q=0.0001", 0),
            ("br;q=", 0),
            ("br;q=-1", 0),
            ("br;q=.5", 0),
            ("br;q=a", 0),
        ] {
            assert_eq!(weighted(element.as_bytes()), (&b"br"[..], weight), "{element}");
        }
    }
}

use std::ops::Range;

use hyper::header::{HeaderMap, RANGE};

/// The part of a file that a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    /// Some of its bytes.
    Bytes(Range<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// Returns what a request wants of a file of so many bytes (RFC 9110, section 14.2). A range that is not valid is ignored. So are
/// several ranges: the answer would need a format of its own, which players do not ask for.
pub(crate) fn wanted_part(sent: &HeaderMap, size: u64) -> Part {
    let mut lines = sent.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        (Some(range), None) => read(range.as_bytes(), size).unwrap_or(Part::Whole),
        _ => Part::Whole,
    }
}

fn read(range: &[u8], size: u64) -> Option<Part> {
    let (unit, ranges) = split(range, b'=')?;
    let mut ranges = ranges.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut ranges = ranges.by_ref().filter(|range| !range.is_empty());
    let (range, None) = (ranges.next()?, ranges.next()) else { return None };
    let (first, last) = split(range, b'-')?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    match (number(first)?, number(last)?) {
        (Some(first), Some(last)) if last < first => None,
        (Some(first), _) if first >= size => Some(Part::Beyond),
        (Some(first), last) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            Some(Part::Bytes(first..end))
        }
        (None, Some(0)) => Some(Part::Beyond),
        // An empty file has no last bytes, and nothing else either.
        (None, Some(_)) if size == 0 => None,
        (None, Some(count)) => Some(Part::Bytes(size.saturating_sub(count)..size)),
        (None, None) => None,
    }
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    let (before, behind) = text.split_at_checked(place)?;
    Some((before, behind.get(1..)?))
}

/// Reads a number, which may be missing. One that is too large is as good as any that no file reaches.
fn number(digits: &[u8]) -> Option<Option<u64>> {
    if digits.is_empty() {
        return Some(None);
    }
    let add = |sum: u64, digit: &u8| {
        let value = u64::from(digit.checked_sub(b'0').filter(|value| *value < 10)?);
        Some(sum.saturating_mul(10).saturating_add(value))
    };
    digits.iter().try_fold(0, add).map(Some)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn part(ranges: &[&'static str], size: u64) -> Part {
        let mut headers = HeaderMap::new();
        for range in ranges {
            headers.append(RANGE, HeaderValue::from_static(range));
        }
        wanted_part(&headers, size)
    }

    #[test]
    fn a_range_of_bytes_ends_with_the_file() {
        for (range, bytes) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..10),
            ("BYTES=9-9", 9..10),
            ("bytes=5-100", 5..10),
            ("bytes=5-18446744073709551615", 5..10),
            ("bytes=5-99999999999999999999", 5..10),
            ("bytes=-1", 9..10),
            ("bytes=-100", 0..10),
            ("bytes=-99999999999999999999", 0..10),
            ("bytes= , 1-2 ,", 1..3),
        ] {
            assert_eq!(part(&[range], 10), Part::Bytes(bytes), "{range}");
        }
    }

    #[test]
    fn bytes_that_a_file_does_not_have_are_told_from_what_is_no_range() {
        for range in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(part(&[range], 10), Part::Beyond, "{range}");
        }
        assert_eq!(part(&["bytes=0-"], 0), Part::Beyond);
        assert_eq!(part(&["bytes=-1"], 0), Part::Whole);
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=2-1",
            "bytes=1",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=a-",
            "bytes=+1-",
            "bytes=1 - 2",
            "items=0-1",
            "bytes=0-1,3-4",
            "=0-1",
            "bytes =0-1",
        ] {
            assert_eq!(part(&[range], 10), Part::Whole, "{range}");
        }
        assert_eq!(part(&[], 10), Part::Whole);
        assert_eq!(part(&["bytes=0-1", "bytes=0-1"], 10), Part::Whole);
    }
}

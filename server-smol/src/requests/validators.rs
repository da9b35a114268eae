use std::time::{SystemTime, UNIX_EPOCH};

use httpdate::fmt_http_date;
use hyper::{
    StatusCode,
    header::{
        CACHE_CONTROL, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
        IF_RANGE, LAST_MODIFIED,
    },
};

use super::list::elements;

/// The values that tell the versions of a file apart (RFC 9110, section 8.8): a client that has one of them does not get it again.
#[derive(Debug)]
pub(crate) struct Validators {
    /// The entity tag. It is weak if the same tag may stand for other bytes.
    tag: HeaderValue,
    /// The date of the last change.
    date: Option<HeaderValue>,
}

impl Validators {
    #[cfg(feature = "built-in")]
    pub(crate) fn of_tag(tag: HeaderValue) -> Self {
        Self { tag, date: None }
    }

    /// Returns those of a file that is known by a number, and was changed at a time.
    pub(crate) fn new(number: u64, is_strong: bool, modified: Option<SystemTime>) -> Self {
        let mark = if is_strong { "" } else { "W/" };
        let tag = HeaderValue::try_from(format!("{mark}\"{number:016x}\""));
        // It fails for no tag: it is digits between quotes. An empty one matches nothing.
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static(""));
        // A date before the epoch is none for HTTP, one of the epoch itself is no time of a change, and a server must not send one
        // that is to come (section 8.8.2.1).
        let date =
            modified.filter(|time| (UNIX_EPOCH..SystemTime::now()).contains(time) && *time != UNIX_EPOCH);
        let date = date.and_then(|time| HeaderValue::try_from(fmt_http_date(time)).ok());
        Self { tag, date }
    }

    /// Sets the headers that let a client keep a file, and ask each time whether it is still the same: a page and its service change
    /// together.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(date) = &self.date {
            headers.insert(LAST_MODIFIED, date.clone());
        }
    }

    /// Returns the status of the answer to a request under conditions, if the file is not in it (RFC 9110, section 13.2.2): the
    /// client has it, or wants another version.
    ///
    /// Dates are equal or not. A later one may be that of another service's file, which was at the same address.
    pub(crate) fn check(&self, sent: &HeaderMap) -> Option<StatusCode> {
        if sent.contains_key(IF_MATCH)
            && !self.is_in(sent, &IF_MATCH, |known, tag| known == tag && !is_weak(tag))
        {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let is_known = if sent.contains_key(IF_NONE_MATCH) {
            self.is_in(sent, &IF_NONE_MATCH, |known, tag| opaque(known) == opaque(tag))
        } else {
            let date = sent.get(IF_MODIFIED_SINCE);
            date.is_some() && date == self.date.as_ref()
        };
        is_known.then_some(StatusCode::NOT_MODIFIED)
    }

    /// Returns whether a part of the file goes with what the client has (RFC 9110, section 13.1.5).
    pub(crate) fn go_with(&self, sent: &HeaderMap) -> bool {
        let Some(known) = sent.get(IF_RANGE) else { return true };
        // The same date may stand for other bytes as long as the same tag does (section 8.8.2.2).
        !is_weak(self.tag.as_bytes()) && (*known == self.tag || Some(known) == self.date.as_ref())
    }

    fn is_in(&self, sent: &HeaderMap, name: &HeaderName, equal: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        elements(sent, name).any(|known| known == b"*" || equal(known, self.tag.as_bytes()))
    }
}

fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/")
}

/// Returns a tag without its mark of weakness, as the comparison that is weak wants it (RFC 9110, section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIME: Duration = Duration::from_secs(1_700_000_000);
    const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

    fn validators(is_strong: bool) -> Validators {
        Validators::new(0x1a, is_strong, Some(UNIX_EPOCH + TIME))
    }

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_client_knows_a_tag_that_is_in_its_lists() {
        for is_strong in [false, true] {
            let check = |lists: &[&'static str]| {
                let lines: Vec<_> = lists.iter().map(|list| (IF_NONE_MATCH, *list)).collect();
                validators(is_strong).check(&headers(&lines))
            };
            for known in [
                &["\"000000000000001a\""][..],
                &["W/\"000000000000001a\""],
                &["*"],
                &["\"0\", \"000000000000001a\""],
                &["\"0\",W/\"000000000000001a\" ,\"2\""],
                &["\"0\"", "\"000000000000001a\""],
            ] {
                assert_eq!(check(known), Some(StatusCode::NOT_MODIFIED), "{known:?}");
            }
            for unknown in [
                &[][..],
                &[""],
                &["\"0\""],
                &["000000000000001a"],
                &["\"000000000000001a"],
                &["w/\"000000000000001a\""],
                &["\"000000000000001A\""],
                &["\"000000000000001a\"x"],
            ] {
                assert_eq!(check(unknown), None, "{unknown:?}");
            }
        }
    }

    #[test]
    fn conditions_are_looked_at_in_their_order() {
        const TAG: &str = "\"000000000000001a\"";
        let check = |lines: &[_]| validators(true).check(&headers(lines)).map(|status| status.as_u16());
        for (lines, status) in [
            (&[(IF_MODIFIED_SINCE, DATE)][..], Some(304)),
            (&[(IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:21 GMT")], None),
            (&[(IF_MODIFIED_SINCE, DATE), (IF_NONE_MATCH, "\"0\"")], None),
            (&[(IF_MODIFIED_SINCE, ""), (IF_NONE_MATCH, TAG)], Some(304)),
            (&[(IF_MATCH, "\"0\""), (IF_NONE_MATCH, TAG)], Some(412)),
            (&[(IF_MATCH, TAG), (IF_NONE_MATCH, TAG)], Some(304)),
            (&[(IF_MATCH, TAG)], None),
        ] {
            assert_eq!(check(lines), status, "{lines:?}");
        }
        let weak = validators(false).check(&headers(&[(IF_MATCH, "W/\"000000000000001a\"")]));
        assert_eq!(weak, Some(StatusCode::PRECONDITION_FAILED));
    }

    #[test]
    fn a_part_goes_with_the_same_bytes_alone() {
        for (known, strong) in [
            (DATE, true),
            ("\"000000000000001a\"", true),
            ("W/\"000000000000001a\"", false),
            ("Tue, 14 Nov 2023 22:13:21 GMT", false),
            ("", false),
        ] {
            let sent = headers(&[(IF_RANGE, known)]);
            assert_eq!((validators(true).go_with(&sent), validators(false).go_with(&sent)), (strong, false));
        }
        assert!(validators(false).go_with(&HeaderMap::new()));
    }

    #[test]
    fn a_copy_is_kept_and_asked_for() {
        let mut headers = HeaderMap::new();
        validators(false).set(&mut headers);
        assert_eq!(headers[ETAG], "W/\"000000000000001a\"");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert_eq!(headers[LAST_MODIFIED], DATE);
        let far = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 40));
        for time in [None, Some(UNIX_EPOCH), Some(UNIX_EPOCH - TIME), Some(SystemTime::now() + TIME), far] {
            assert_eq!(Validators::new(0, true, time).date, None, "{time:?}");
        }
    }
}

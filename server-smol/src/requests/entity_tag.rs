//! Entity tags: a client that has a file does not get it again.

use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH},
};

use super::Body;

/// Sets the headers that let a client keep a file, and ask each time whether it is still the same: a page and its service change
/// together.
pub(crate) fn set_validator(headers: &mut HeaderMap, tag: &HeaderValue) {
    headers.insert(ETAG, tag.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}

/// Answers that the file is the one that the client has.
pub(crate) fn not_modified(tag: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    set_validator(response.headers_mut(), tag);
    response
}

/// Returns whether the client has the file with this tag (RFC 9110, section 13.1.2).
pub(crate) fn knows(sent: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = opaque(tag.as_bytes());
    let lists = sent.get_all(IF_NONE_MATCH).iter();
    lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).any(|known| {
        let known = known.trim_ascii();
        known == b"*" || opaque(known) == tag
    })
}

/// Returns a tag without its mark of weakness, as the comparison that is weak wants it (section 8.8.3.2).
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_knows_a_tag_that_is_in_its_lists() {
        for tag in ["\"1a\"", "W/\"1a\""].map(HeaderValue::from_static) {
            let knows = |lists: &[&'static str]| {
                let mut headers = HeaderMap::new();
                for list in lists {
                    headers.append(IF_NONE_MATCH, HeaderValue::from_static(list));
                }
                super::knows(&headers, &tag)
            };
            for known in [
                &["\"1a\""][..],
                &["W/\"1a\""],
                &["*"],
                &["\"0\", \"1a\""],
                &["\"0\",W/\"1a\" ,\"2\""],
                &["\"0\"", "\"1a\""],
            ] {
                assert!(knows(known), "{known:?}");
            }
            for unknown in
                [&[][..], &[""], &["\"0\""], &["1a"], &["\"1a"], &["w/\"1a\""], &["\"1A\""], &["\"1a\"x"]]
            {
                assert!(!knows(unknown), "{unknown:?}");
            }
        }
    }

    #[test]
    fn an_answer_without_the_file_has_the_headers_that_concern_its_copy() {
        let response = not_modified(&HeaderValue::from_static("W/\"1a\""));
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()[ETAG], "W/\"1a\"");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(response.headers().len(), 2);
    }
}

use std::path::Path;

use hyper::{
    Method, Request, Response,
    body::Bytes,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};

use crate::settings::BuiltIn;

use super::{Body, Validators, media_types::media_type, not_allowed};

/// Answers a request for one of these files. Returns nothing if the path is not that of one.
pub(crate) fn built_in<T>(files: &[BuiltIn], request: &Request<T>) -> Option<Response<Body>> {
    let name = request.uri().path().strip_prefix("/_/")?;
    let name = if name.is_empty() { "index.html" } else { name };
    let file = files.iter().find(|file| file.name() == name)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Some(not_allowed("GET"));
    }
    // It fails for no tag: each is digits between quotes.
    let validators = Validators::of_tag(HeaderValue::from_bytes(file.tag()).ok()?);
    let mut response = Response::new(Body::from(Bytes::new()));
    validators.set(response.headers_mut());
    if let Some(status) = validators.check(request.headers()) {
        *response.status_mut() = status;
        return Some(response);
    }
    if *request.method() == Method::GET {
        *response.body_mut() = Bytes::from_static(file.content()).into();
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(Path::new(name))));
    headers.insert(CONTENT_LENGTH, file.content().len().into());
    Some(response)
}

#[cfg(test)]
mod tests {
    use hyper::{
        StatusCode,
        body::Body as _,
        header::{CACHE_CONTROL, ETAG, HeaderName, IF_NONE_MATCH},
    };

    use super::*;

    const FILES: &[BuiltIn] = &[BuiltIn::new("a.js", b"1"), BuiltIn::new("b/c.txt", b"hello")];

    fn ask(method: Method, path: &str, known: &[&'static str]) -> Option<Response<Body>> {
        let mut request = Request::builder().method(method).uri(path);
        for list in known {
            request = request.header(IF_NONE_MATCH, *list);
        }
        built_in(FILES, &request.body(()).unwrap())
    }

    fn header(response: &Response<Body>, name: HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn a_file_is_sent_with_its_type_and_its_tag() {
        for (path, media_type, len) in
            [("/_/a.js", "text/javascript", "1"), ("/_/b/c.txt", "text/plain; charset=utf-8", "5")]
        {
            let response = ask(Method::GET, path, &[]).unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(header(&response, CONTENT_TYPE), Some(media_type));
            assert_eq!(header(&response, CONTENT_LENGTH), Some(len));
            assert_eq!(header(&response, CACHE_CONTROL), Some("no-cache"));
            assert_eq!(header(&response, ETAG).unwrap().len(), 18);
            assert_eq!(response.body().size_hint().exact().unwrap().to_string(), len);
            let head = ask(Method::HEAD, path, &[]).unwrap();
            assert_eq!(head.headers(), response.headers());
            assert!(head.body().is_end_stream());
        }
    }

    #[test]
    fn a_client_that_has_the_file_does_not_get_it_again() {
        // The hash of `1`.
        const TAG: &str = "\"af63ac4c86019afc\"";
        for known in [TAG, "W/\"af63ac4c86019afc\"", "*"] {
            for method in [Method::GET, Method::HEAD] {
                let response = ask(method, "/_/a.js", &[known]).unwrap();
                assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known:?}");
                assert_eq!(header(&response, ETAG), Some(TAG));
                assert_eq!(header(&response, CACHE_CONTROL), Some("no-cache"));
                assert_eq!(header(&response, CONTENT_LENGTH), None);
                assert!(response.body().is_end_stream());
            }
        }
        for unknown in ["\"0\"", "af63ac4c86019afc"] {
            let response = ask(Method::GET, "/_/a.js", &[unknown]).unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{unknown}");
        }
    }

    #[test]
    fn the_directory_itself_is_its_page() {
        const FILES: &[BuiltIn] = &[BuiltIn::new("index.html", b"<!DOCTYPE html>")];
        let request = Request::builder().uri("/_/").body(()).unwrap();
        let response = built_in(FILES, &request).unwrap();
        assert_eq!(header(&response, CONTENT_TYPE), Some("text/html; charset=utf-8"));
    }

    #[test]
    fn a_file_takes_nothing() {
        assert_eq!(ask(Method::POST, "/_/a.js", &[]).unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn other_paths_have_no_file() {
        for path in
            ["/", "/_", "/_/", "/a.js", "/_/a.js/", "/_/A.js", "//_/a.js", "/_//a.js", "/_/b", "/x/_/a.js"]
        {
            assert!(ask(Method::GET, path, &[]).is_none(), "{path}");
        }
    }
}

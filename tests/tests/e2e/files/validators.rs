use std::{
    fs,
    time::{Duration, SystemTime},
};

use stateroom_tests::Answer;

use super::{Site, header};

/// The headers that tell a cache about its copy (RFC 9110, section 15.4.5).
fn about_a_copy(answer: &Answer) -> [Option<&str>; 4] {
    ["etag", "last-modified", "cache-control", "vary"].map(|name| answer.header(name))
}

#[test]
fn a_304_has_what_its_200_has() {
    let site = Site::new(&[("a.js", b"1"), ("a.js.gz", b"zipped")]);
    for accepted in ["Accept-Encoding: gzip", "Accept-Encoding: identity"] {
        let whole = site.get("/a.js", &[accepted]);
        assert_eq!(whole.status, 200);
        assert!(about_a_copy(&whole).iter().all(Option::is_some), "{whole:?}");
        let known = format!("If-None-Match: {}", header(&whole, "etag"));
        for method in ["GET", "HEAD"] {
            let same = site.ask(method, "/a.js", &[accepted, &known]);
            assert_eq!(same.status, 304, "{method}");
            assert_eq!(about_a_copy(&same), about_a_copy(&whole), "{method}");
            for name in ["content-type", "content-encoding", "accept-ranges"] {
                assert_eq!(same.header(name), None, "{method} {name}");
            }
        }
    }
}

#[test]
fn a_known_tag_counts_before_a_date() {
    let site = Site::new(&[("a.js", b"1")]);
    let whole = site.get("/a.js", &[]);
    let tag = format!("If-None-Match: {}", header(&whole, "etag"));
    let date = format!("If-Modified-Since: {}", header(&whole, "last-modified"));
    let older = "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT";
    for (known, status) in [
        (&[&*tag, older][..], 304),
        (&[older, &*tag], 304),
        (&["If-None-Match: \"0\"", &*date], 200),
        (&["If-None-Match:", &*date], 200),
        (&[&*date], 304),
    ] {
        assert_eq!(site.get("/a.js", known).status, status, "{known:?}");
    }
}

#[test]
fn dates_are_compared_by_equality() {
    let site = Site::new(&[("a.html", b"one")]);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    site.write("a.html", b"one", time);
    assert_eq!(header(&site.get("/a.html", &[]), "last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    let since = |date: &str| site.get("/a.html", &[&format!("If-Modified-Since: {date}")]).status;
    assert_eq!(since("Tue, 14 Nov 2023 22:13:20 GMT"), 304);
    // Another service at the same address may have had another page, which was newer.
    for other in ["Tue, 14 Nov 2023 22:13:21 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""] {
        assert_eq!(since(other), 200, "{other}");
    }
    // The page of before is put back.
    site.write("a.html", b"old", time - Duration::from_secs(100));
    assert_eq!(since("Tue, 14 Nov 2023 22:13:20 GMT"), 200);
}

#[test]
fn a_date_that_is_none_is_left_out() {
    let site = Site::new(&[("a.html", b"one")]);
    for time in [
        SystemTime::now() + Duration::from_secs(100_000),
        SystemTime::UNIX_EPOCH - Duration::from_secs(100_000),
        SystemTime::UNIX_EPOCH,
    ] {
        site.write("a.html", b"one", time);
        let answer = site.get("/a.html", &[]);
        assert_eq!((answer.status, answer.header("last-modified")), (200, None), "{time:?}");
        assert!(answer.header("etag").is_some());
    }
}

#[test]
fn a_tag_tells_of_each_change_and_is_strong_after_a_while() {
    let site = Site::new(&[("a.js", b"one"), ("b.js", b"one")]);
    let time = SystemTime::now() - Duration::from_secs(100);
    site.write("a.js", b"one", time);
    site.write("b.js", b"two", time);
    let tag = |path| header(&site.get(path, &[]), "etag").trim_start_matches("W/").to_owned();
    let one = tag("/a.js");
    assert_ne!(one, tag("/b.js"));
    fs::rename(site.path("b.js"), site.path("a.js")).expect("it is ours");
    assert_ne!(one, tag("/a.js"));
    let two = site.strong_tag("/a.js");
    assert_eq!(two, tag("/a.js"));
    // It is the same file, and this is the weak tag of it that a client may have.
    assert_eq!(site.get("/a.js", &[&format!("If-None-Match: W/{two}")]).status, 304);
}

#[test]
fn a_file_that_is_not_the_one_that_is_meant_is_not_sent() {
    let site = Site::new(&[("a.js", b"1")]);
    let tag = site.strong_tag("/a.js");
    let get = |known: &str| site.get("/a.js", &[&format!("If-Match: {known}")]).status;
    for known in [&*tag, "*", &format!("\"0\", {tag}")] {
        assert_eq!(get(known), 200, "{known}");
    }
    // Only a strong tag says that all bytes are the same.
    for unknown in ["\"0\"", &format!("W/{tag}")] {
        assert_eq!(get(unknown), 412, "{unknown}");
    }
}

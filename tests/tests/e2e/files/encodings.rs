use std::{
    fs,
    time::{Duration, SystemTime},
};

use stateroom_tests::Output;

use super::{Site, header};

const PLAIN: &[u8] = b"plain";
const GZIP: &[u8] = b"gzip gzip";
const BROTLI: &[u8] = b"br";

fn site() -> Site {
    Site::new(&[
        ("app.js", PLAIN),
        ("app.js.gz", GZIP),
        ("app.js.br", BROTLI),
        ("old.css", PLAIN),
        ("old.css.gz", GZIP),
        ("alone.txt", PLAIN),
        ("only.html.gz", GZIP),
        ("deep/index.html", PLAIN),
        ("deep/index.html.gz", GZIP),
    ])
}

#[test]
fn a_client_gets_the_compressed_file_that_it_prefers() {
    let site = site();
    for (accepted, content, encoding) in [
        (&[][..], PLAIN, None),
        (&["Accept-Encoding:"], PLAIN, None),
        (&["Accept-Encoding: gzip, deflate, br, zstd"], BROTLI, Some("br")),
        (&["Accept-Encoding: gzip, deflate"], GZIP, Some("gzip")),
        (&["Accept-Encoding: GZIP"], GZIP, Some("gzip")),
        (&["Accept-Encoding: x-gzip"], GZIP, Some("gzip")),
        (&["Accept-Encoding: gzip", "Accept-Encoding: br"], BROTLI, Some("br")),
        (&["Accept-Encoding: br;q=0.5, gzip;q=0.8"], GZIP, Some("gzip")),
        (&["Accept-Encoding: br;q=0.001 , gzip ; Q=0"], BROTLI, Some("br")),
        (&["Accept-Encoding: br;q=0, gzip;q=0.000"], PLAIN, None),
        (&["Accept-Encoding: br;q=0, *"], GZIP, Some("gzip")),
        (&["Accept-Encoding: *"], BROTLI, Some("br")),
        // What players of media send.
        (&["Accept-Encoding: identity;q=1, *;q=0"], PLAIN, None),
        (&["Accept-Encoding: identity, br;q=0.9"], PLAIN, None),
        (&["Accept-Encoding: brotli, zip, deflate"], PLAIN, None),
        (&["Accept-Encoding: br;q=high"], PLAIN, None),
        // There is nothing else to send.
        (&["Accept-Encoding: identity;q=0, br;q=0"], PLAIN, None),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(method, "/app.js", accepted);
            assert_eq!(answer.status, 200, "{accepted:?}");
            assert_eq!(answer.header("content-encoding"), encoding, "{accepted:?}");
            assert_eq!(header(&answer, "content-length"), content.len().to_string(), "{accepted:?}");
            assert_eq!(header(&answer, "vary"), "accept-encoding", "{accepted:?}");
            assert_eq!(header(&answer, "content-type"), "text/javascript", "{accepted:?}");
            assert_eq!(answer.body, if method == "GET" { content } else { b"" }, "{accepted:?}");
        }
    }
}

#[test]
fn each_form_of_a_file_has_a_tag_of_its_own() {
    let site = site();
    let [plain, gzip, brotli] = ["identity", "gzip", "br"].map(|coding| {
        let answer = site.get("/app.js", &[&format!("Accept-Encoding: {coding}")]);
        header(&answer, "etag").trim_start_matches("W/").to_owned()
    });
    assert!(plain != gzip && gzip != brotli && brotli != plain);
    let known = format!("If-None-Match: {plain}");
    assert_eq!(site.get("/app.js", &["Accept-Encoding: br", &known]).status, 200);
    assert_eq!(site.get("/app.js", &["Accept-Encoding: identity", &known]).status, 304);
}

#[test]
fn a_part_is_one_of_the_form_that_is_sent() {
    let site = site();
    let answer = site.get("/app.js", &["Accept-Encoding: gzip", "Range: bytes=-4"]);
    assert_eq!((answer.status, &answer.body[..]), (206, &b"gzip"[..]));
    assert_eq!(header(&answer, "content-encoding"), "gzip");
    assert_eq!(header(&answer, "content-range"), "bytes 5-8/9");
}

#[test]
fn a_file_without_compressed_forms_does_not_vary() {
    let site = site();
    let answer = site.get("/alone.txt", &["Accept-Encoding: gzip, br"]);
    assert_eq!((&answer.body[..], answer.header("content-encoding")), (PLAIN, None));
    assert_eq!(answer.header("vary"), None);
    // It is a file of its own, too.
    let answer = site.get("/app.js.gz", &["Accept-Encoding: gzip, br"]);
    assert_eq!((&answer.body[..], answer.header("content-encoding")), (GZIP, None));
    assert_eq!(header(&answer, "content-type"), "application/gzip");
    // What is only there in a compressed form is not there for everybody.
    assert_eq!(site.get("/only.html", &["Accept-Encoding: gzip"]).status, 404);
}

#[test]
fn the_page_of_a_directory_may_be_compressed() {
    let site = site();
    let answer = site.get("/deep/", &["Accept-Encoding: gzip"]);
    assert_eq!((&answer.body[..], header(&answer, "content-encoding")), (GZIP, "gzip"));
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
}

#[test]
fn a_compressed_file_that_is_older_than_its_file_is_not_sent() {
    let site = site();
    let encoding = || site.get("/old.css", &["Accept-Encoding: gzip"]).header("content-encoding").is_some();
    let time = SystemTime::now() - Duration::from_secs(100);
    site.write("old.css", PLAIN, time);
    site.write("old.css.gz", GZIP, time);
    assert!(encoding());
    // The file has been changed, and nobody has compressed it again.
    site.write("old.css", b"other", time + Duration::from_secs(1));
    assert!(!encoding());
    site.server.line(Output::Stderr, "old.css.gz\" is not sent");
    fs::remove_file(site.path("old.css.gz")).expect("it is ours");
    fs::create_dir(site.path("old.css.gz")).expect("it is ours");
    assert!(!encoding());
}

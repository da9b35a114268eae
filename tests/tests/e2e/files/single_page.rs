use stateroom_tests::{Child, Output, example};

use super::{Site, header};

/// The header that a browser sends when it opens a page.
const PAGE: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn site(options: &[&str]) -> Site {
    let files: &[(&str, &[u8])] = &[
        ("index.html", b"<p>app"),
        ("about/index.html", b"<p>about"),
        ("pictures/a.png", b"png"),
        (".env", b"SECRET=1"),
        (".well-known/security.txt", b"Contact: mailto:a@example.org"),
    ];
    Site::with(options, files)
}

#[test]
fn unknown_pages_are_the_page_of_the_application() {
    let site = site(&["--spa"]);
    for path in ["/users", "/users/7", "/users/7/", "/users?name=a.b", "/v1.2/users", "/pictures/", "/%C3%BC"]
    {
        for method in ["GET", "HEAD"] {
            let answer = site.ask(method, path, &[PAGE]);
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8", "{path}");
            assert_eq!(header(&answer, "content-length"), "6", "{path}");
            assert_eq!(header(&answer, "vary"), "accept", "{path}");
        }
        assert_eq!(site.get(path, &[PAGE]).text(), "<p>app", "{path}");
    }
    let known = format!("If-None-Match: {}", header(&site.get("/users", &[PAGE]), "etag"));
    assert_eq!(site.get("/users/7", &[PAGE, &known]).status, 304);
}

#[test]
fn what_is_there_comes_first() {
    let site = site(&["--spa"]);
    assert_eq!(site.get("/about/", &[PAGE]).text(), "<p>about");
    let answer = site.get("/about", &[PAGE]);
    assert_eq!((answer.status, header(&answer, "location")), (301, "/about/"));
    assert_eq!(site.get("/status", &[PAGE]).text(), "ok");
    assert_eq!(site.get("/ws/room", &[PAGE]).status, 426);
}

#[test]
fn files_and_requests_of_scripts_are_not_found() {
    let site = site(&["--spa"]);
    for path in ["/app.js", "/users/a.png", "/.env", "/.git", "/.git/config", "/.well-known/change-password"]
    {
        assert_eq!(site.get(path, &[PAGE]).status, 404, "{path}");
    }
    for accepted in [&[][..], &["Accept: */*"], &["Accept: application/json"], &["Accept: text/html;q=0"]] {
        let answer = site.get("/users", accepted);
        assert_eq!(answer.status, 404, "{accepted:?}");
        // A cache must not give this answer to a browser.
        assert_eq!(header(&answer, "vary"), "accept", "{accepted:?}");
    }
    assert_eq!(site.ask("POST", "/users", &[PAGE, "Content-Length: 0"]).status, 405);
}

#[test]
fn the_log_says_that_there_are_no_files() {
    let module = example("echo").join("server.wasm");
    let module = module.to_str().expect("UTF-8");
    let server = Child::start("stateroom", &["serve", module, "--ip", "127.0.0.1", "--port", "0", "--spa"]);
    server.line(Output::Stderr, "there are no static files, so there is no page for unknown paths (`--spa`)");
}

#[test]
fn without_the_option_unknown_pages_are_not_found() {
    let site = site(&[]);
    let answer = site.get("/users", &[PAGE]);
    assert_eq!((answer.status, answer.header("vary")), (404, None));
}

use super::Site;

#[test]
fn hidden_files_are_not_served_and_the_well_known_ones_are() {
    let site = Site::new(&[
        ("index.html", b"<p>home"),
        (".env", b"SECRET=1"),
        (".git/HEAD", b"ref"),
        (".#index.html", b"lock"),
        (".index.html.swp", b"swap"),
        ("deep/.hidden/x.txt", b"x"),
        (".well-known/security.txt", b"Contact: mailto:a@example.org"),
        (".well-known/acme-challenge/token", b"key"),
        (".well-known/.env", b"SECRET=1"),
    ]);
    for path in [
        "/.env",
        "/%2eenv",
        "/.git/HEAD",
        "/.git",
        "/.%23index.html",
        "/.index.html.swp",
        "/deep/.hidden/x.txt",
        "/.well-known/.env",
        "/.well-known/../.env",
    ] {
        assert_eq!(site.get(path, &[]).status, 404, "{path}");
    }
    assert_eq!(site.get("/.well-known/security.txt", &[]).text(), "Contact: mailto:a@example.org");
    assert_eq!(site.get("/.well-known/acme-challenge/token", &[]).text(), "key");
}

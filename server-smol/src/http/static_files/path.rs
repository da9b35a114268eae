use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Returns the file that a URL's path names below `root`; nothing for a path that leads anywhere else.
pub(super) fn below(root: &Path, url_path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(url_path).decode_utf8().ok()?;
    let mut path = root.to_owned();
    for part in decoded.split('/').filter(|part| !part.is_empty()) {
        let mut components = Path::new(part).components();
        match (components.next(), components.next()) {
            // Neither `..` nor a drive, nor hidden files such as `.git` and `.env`. One hidden directory is for others to read
            // (RFC 8615).
            (Some(Component::Normal(name)), None)
                if name == part && (!part.starts_with('.') || part == ".well-known") =>
            {
                path.push(name)
            }
            _ => return None,
        }
    }
    Some(path)
}

/// Returns whether a path may be the address of a page in an application that makes its pages itself. It has neither the name of a
/// file, such as `app.js`, nor hidden directories.
pub(super) fn may_be_page(url_path: &str) -> bool {
    let (directory, name) = url_path.trim_end_matches('/').rsplit_once('/').unwrap_or_default();
    !name.contains('.') && !directory.split('/').any(|part| part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_leads_out_of_the_directory() {
        let root = Path::new("/srv");
        assert_eq!(below(root, "/"), Some("/srv".into()));
        assert_eq!(below(root, "/a/b.js"), Some("/srv/a/b.js".into()));
        assert_eq!(below(root, "/a%20b"), Some("/srv/a b".into()));
        assert_eq!(below(root, "//a"), Some("/srv/a".into()));
        assert_eq!(below(root, "/.well-known/a.txt"), Some("/srv/.well-known/a.txt".into()));
        for path in [
            "/..",
            "/a/../..",
            "/%2e%2e/x",
            "/..%2fx",
            "/a/%2E%2E%2F%2E%2E%2Fetc",
            "/.git",
            "/a/.env",
            "/.well-known/.env",
            "/.well-known2",
        ] {
            assert_eq!(below(root, path), None, "{path}");
        }
    }
    #[test]
    fn a_page_has_neither_the_name_of_a_file_nor_a_hidden_directory() {
        for path in ["/", "/users", "/users/7/", "/v1.2/users", "//users", "/%C3%BC"] {
            assert!(may_be_page(path), "{path}");
        }
        for path in ["/app.js", "/users/app.js/", "/.git", "/.git/config", "/a/.well-known/b", "/a."] {
            assert!(!may_be_page(path), "{path}");
        }
    }
}

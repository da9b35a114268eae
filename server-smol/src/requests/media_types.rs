use std::path::Path;

/// A line for each media type: the type, and the extensions of files that have it. `build.rs` writes it.
const TABLE: &str = include_str!(concat!(env!("OUT_DIR"), "/media_types.txt"));

/// Returns the media type of a file, by its name.
pub(crate) fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.and_then(find) {
        Some("text/html") => "text/html; charset=utf-8",
        Some("text/plain") => "text/plain; charset=utf-8",
        Some(media_type) => media_type,
        None => "application/octet-stream",
    }
}

fn find(extension: &str) -> Option<&'static str> {
    TABLE.lines().find_map(|line| {
        let (media_type, extensions) = line.split_once(' ')?;
        let has_it = extensions.split(' ').any(|other| other.eq_ignore_ascii_case(extension));
        has_it.then_some(media_type)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_extension_has_its_type_in_any_case() {
        let extensions = mime_guess::get_mime_extensions_str("*/*").unwrap();
        assert!(extensions.len() > 1_000);
        for extension in extensions {
            let media_type = mime_guess::from_ext(extension).first_raw();
            assert!(media_type.is_some());
            assert_eq!(find(extension), media_type, "{extension}");
            assert_eq!(find(&extension.to_ascii_uppercase()), media_type, "{extension}");
        }
    }

    #[test]
    fn a_file_without_a_known_extension_is_bytes() {
        for (name, media_type) in [
            ("a/index.html", "text/html; charset=utf-8"),
            ("notes.TXT", "text/plain; charset=utf-8"),
            ("room.wasm", "application/wasm"),
            ("html", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.html css", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(media_type_of(name), media_type, "{name}");
        }
    }

    fn media_type_of(name: &str) -> &'static str {
        media_type(Path::new(name))
    }
}

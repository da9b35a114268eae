use std::{fs, path::Path};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Returns the documents in a directory and those below it, from the root on.
pub(crate) fn pages(directory: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let name = format!("{directory}/{}", entry.unwrap().file_name().display());
        if root().join(&name).is_dir() {
            pages.extend(self::pages(&name));
        } else if name.ends_with(".md") {
            pages.push(name);
        }
    }
    pages.sort();
    pages
}

#[test]
fn all_pages_are_in_the_table_of_contents() {
    let contents = fs::read_to_string(root().join("docs/README.md")).unwrap();
    for page in pages("docs") {
        let link = format!("]({})", page.trim_start_matches("docs/"));
        let is_listed = contents.contains(&link) || page.contains("/decisions/") || page == "docs/README.md";
        assert!(is_listed, "docs/README.md does not list {page}");
    }
}

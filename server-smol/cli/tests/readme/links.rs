use std::{fs, path::Path};

use crate::pages::{pages, root};

#[test]
fn links_lead_somewhere() {
    let examples = ["c", "zig", "assemblyscript", "wat"]
        .map(|language| format!("examples/counter-{language}/README.md"));
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "client/README.md",
        "examples/README.md",
    ]
    .map(str::to_owned);
    for name in others.into_iter().chain(examples).chain(pages("docs")) {
        let path = root().join(&name);
        let text = fs::read_to_string(&path).unwrap();
        for (index, line) in text.lines().enumerate() {
            for link in line.split("](").skip(1) {
                let link = link.split(')').next().unwrap_or_default();
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
                let known = link.starts_with("https://")
                    || target.exists() && (anchor.is_empty() || has_heading(&target, anchor));
                assert!(known, "{name}:{}: there is no `{link}`", index + 1);
            }
        }
    }
}

/// Returns whether a document has a heading that a link can lead to by this name.
fn has_heading(document: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(document).unwrap();
    // As GitHub makes them: lower case, without punctuation, with hyphens for blanks.
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    text.lines().filter_map(|line| line.strip_prefix('#')).any(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        heading.chars().filter(kept).collect::<String>().replace(' ', "-") == anchor
    })
}

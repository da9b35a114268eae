use std::fs;

use crate::pages::{pages, root};

#[test]
fn the_files_that_decisions_name_are_there() {
    for name in decisions() {
        let text = fs::read_to_string(root().join(&name)).unwrap();
        // What stands between backticks, and has a slash but not at the beginning.
        let paths = text.split('`').skip(1).step_by(2).filter(|code| code.find('/').is_some_and(|at| at > 0));
        for path in paths {
            assert!(root().join(path).exists(), "{name}: there is no `{path}`");
        }
    }
}

/// Returns the files of decisions, from the root on.
fn decisions() -> Vec<String> {
    let names = pages("docs/decisions");
    assert!(names.len() > 40, "only {} decisions are found", names.len());
    names
}

//! Keeps `docs/reference/command-line.md` true: it is what the command prints.

use std::{env, fmt::Write as _, fs, path::Path};

use crate::{
    directory::Directory,
    running::{stateroom, succeeds},
};

/// If this variable is set, the test writes the page.
const WRITE: &str = "STATEROOM_WRITE_DOCS";

#[test]
fn the_page_of_the_command_line_is_what_the_command_prints() {
    let nowhere = Directory::new();
    let help = |words: &[&str]| succeeds(stateroom(&nowhere, words));
    let all = help(&["--help"]);
    let commands = all.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.map_while(|line| line.strip_prefix("  ")?.split_whitespace().next());
    let mut page = format!(
        "# The command line\n\nThis is the output of `stateroom --help` and of `--help` for each command.\n\n{}",
        block(&all)
    );
    for command in commands.filter(|command| *command != "help") {
        let _ = write!(page, "\n## `stateroom {command}`\n\n{}", block(&help(&[command, "--help"])));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/command-line.md");
    if env::var_os(WRITE).is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/reference/command-line.md is not what the command prints: run this test with `{WRITE}=1` to write it"
    );
}

/// Returns a text as a block of the page.
fn block(text: &str) -> String {
    let lines: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    format!("<!-- test: illustration -->\n```text\n{}\n```\n", lines.join("\n"))
}

//! Keeps the README and the guides true: what they say to type is typed, in their order, and what they say comes out has to come out.
//!
//! Each of their blocks has a comment in the line before, which does not show: `<!-- test: … -->` with one of
//!
//! | directive | the block is |
//! | --- | --- |
//! | `run` | commands for a shell, which succeed |
//! | `serve` | a command that serves on port 8080, until the next command that is not for it |
//! | `kill` | a command that kills what serves. It is not run, as it would kill others, too |
//! | `console` | lines for a browser's console; several blocks go into one console |
//! | `output` | what the last commands or the console print: these lines, in this order, others in between |
//! | `file PATH` | a file |
//! | `shows PATH` | a part of a file that is there |
//! | `prepend PATH` | what a file then begins with |
//! | `append PATH` | what a file then ends with |
//! | `replace PATH` | a line for the one of a file that sets the same key |
//! | `config` | a `stateroom.toml` that the package of the name in it builds with |
//! | `illustration` | not tested |
//!
//! Sizes that come out may differ by a fifth, as they change with the compiler, and times may differ. Otherwise the documents are taken at their word, but for what
//! [`shell::SHELL`] changes.
#![cfg(all(unix, feature = "dev"))]

mod block;
mod console;
mod decisions;
mod links;
mod output;
mod pages;
mod reader;
mod serving;
mod shell;

use block::blocks_of;
use pages::pages;
use reader::Reader;

/// The documents that somebody reads one after the other, from the checkout on. Each list is independent of the others.
const READERS: [(&str, &[&str]); 5] = [
    (
        "counter",
        &[
            "README.md",
            "docs/guide/tutorial.md",
            "docs/guide/testing.md",
            "docs/guide/new-versions.md",
            "docs/guide/replay.md",
            "docs/guide/deploy.md",
            "docs/guide/native-services.md",
            "docs/guide/embedding.md",
            "docs/reference/configuration.md",
        ],
    ),
    ("auction", &["docs/guide/typed-messages.md"]),
    ("languages", &["docs/guide/other-languages.md"]),
    ("documents", &["docs/guide/hosting-yjs.md"]),
    ("access", &["docs/guide/access.md"]),
];

#[test]
fn what_the_readme_and_the_tutorial_say_is_so() {
    read(0);
}

#[test]
fn what_is_said_about_typed_messages_is_so() {
    read(1);
}

#[test]
fn what_is_said_about_other_languages_is_so() {
    read(2);
}

#[test]
fn what_is_said_about_documents_of_yjs_is_so() {
    read(3);
}

#[test]
fn what_is_said_about_who_may_come_in_is_so() {
    read(4);
}

/// Follows the documents of one of the [`READERS`].
fn read(number: usize) {
    let (name, documents) = READERS[number];
    let blocks: Vec<_> = documents.iter().flat_map(|document| blocks_of(document)).collect();
    let mut reader = Reader::new(name, number);
    for (index, block) in blocks.iter().enumerate() {
        println!("{block}");
        reader.follow(block, blocks.get(index + 1));
    }
}

#[test]
fn each_guide_is_followed_or_has_nothing_to_type() {
    let followed: Vec<_> = READERS.iter().flat_map(|(_, documents)| *documents).collect();
    let pages = pages("docs/guide").into_iter().chain(pages("docs/reference"));
    for page in pages.filter(|page| page != "docs/reference/abi.md" && !followed.contains(&&page.as_str())) {
        for block in blocks_of(&page) {
            assert_eq!(
                block.directive, "illustration",
                "{block}: nobody follows this page: add it to `READERS`"
            );
        }
    }
}

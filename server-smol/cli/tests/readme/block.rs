use std::{fmt, fs};

use crate::pages::root;

#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) document: String,
    /// The line at which it begins.
    pub(crate) line: usize,
    pub(crate) directive: String,
    pub(crate) text: String,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.document, self.line, self.directive)
    }
}

/// Returns all blocks of a text, or the line that is not as it should be.
fn blocks(text: &str) -> Result<Vec<Block>, (usize, &'static str)> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    let mut directive = None;
    while let Some((line, content)) = lines.next() {
        if !content.starts_with("```") {
            if directive.is_some() {
                return Err((line, "a directive is in the line before its block"));
            }
            let block = ["```", "~~~", "<pre"].iter().any(|sign| content.trim_start().starts_with(sign));
            if block || content.starts_with("    ") || content.starts_with('\t') {
                return Err((line, "a block begins with three backticks at the beginning of a line"));
            }
            directive = content.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
            continue;
        }
        let Some(directive) = directive.take() else {
            return Err((
                line,
                "nobody knows what this block is: write `<!-- test: … -->` in the line before",
            ));
        };
        let mut text = String::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, content)) => text = text + content + "\n",
                None => return Err((line, "this block does not end")),
            }
        }
        blocks.push(Block { line, directive: directive.to_owned(), text, ..Block::default() });
    }
    Ok(blocks)
}

/// Returns all blocks of a document.
pub(crate) fn blocks_of(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).unwrap();
    let mut blocks = blocks(&text).unwrap_or_else(|(line, problem)| panic!("{document}:{line}: {problem}"));
    blocks.iter_mut().for_each(|block| document.clone_into(&mut block.document));
    blocks
}

#[test]
fn no_block_goes_unnoticed() {
    assert_eq!(blocks("a\n\n<!-- test: run -->\n```sh\nls\n```\n\nb\n").unwrap().len(), 1);
    for unmarked in [
        "a\n\n```sh\nls\n```\n",
        "<!-- test: run -->\n\n```sh\nls\n```\n",
        "<!-- test: run -->\n```sh\nls\n",
        "- a\n  ```sh\n  ls\n  ```\n",
        "~~~sh\nls\n~~~\n",
        "a\n\n    ls\n",
        "<pre>ls</pre>\n",
        "<!-- test: run -->\na\n",
    ] {
        assert!(blocks(unmarked).is_err(), "{unmarked}");
    }
}

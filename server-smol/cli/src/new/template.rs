use clap::ValueEnum;

/// A room to begin with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// A number that everyone in the room shares
    #[default]
    Counter,
    /// A chat room with nicknames
    Chat,
    /// Everyone sees the mouse pointers of all others
    Cursors,
    /// Each message is sent to everyone
    Minimal,
}

/// The files that differ from template to template.
#[derive(Debug)]
struct Sources {
    name: &'static str,
    library: &'static str,
    tests: &'static str,
    page: &'static str,
    /// The table of messages in the README.
    messages: &'static str,
}

macro_rules! sources {
    ($name:literal) => {
        sources!($name, page: $name)
    };
    ($name:literal, page: $page:literal) => {
        Sources {
            name: $name,
            library: include_str!(concat!("../../templates/", $name, "/lib.rs")),
            tests: include_str!(concat!("../../templates/", $name, "/tests.rs")),
            page: include_str!(concat!("../../templates/", $page, "/index.html")),
            messages: include_str!(concat!("../../templates/", $name, "/messages.md")),
        }
    };
}

static COUNTER: Sources = sources!("counter");
static CHAT: Sources = sources!("chat");
static CURSORS: Sources = sources!("cursors");
static MINIMAL: Sources = sources!("minimal", page: "chat");

/// A package that is about to be written.
#[derive(Debug)]
pub(super) struct NewPackage<'a> {
    pub(super) name: &'a str,
    pub(super) template: Template,
    pub(super) no_std: bool,
    /// The directory of the SDK's package.
    pub(super) sdk: &'a str,
    /// The manifest of the workspace around the new package, if there is one.
    pub(super) workspace: Option<&'a str>,
}

impl Template {
    fn sources(self) -> &'static Sources {
        match self {
            Self::Counter => &COUNTER,
            Self::Chat => &CHAT,
            Self::Cursors => &CURSORS,
            Self::Minimal => &MINIMAL,
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.sources().name
    }

    /// Returns the text in the page's empty field, if it has one.
    fn prompt(self) -> &'static str {
        match self {
            Self::Chat => "Say something, or /nick your name",
            _ => "A message to everyone",
        }
    }

    /// Returns true if the room needs an allocator.
    fn needs_heap(self) -> bool {
        self == Self::Chat
    }
}

impl NewPackage<'_> {
    /// Returns the paths of all files in the package, and their contents.
    pub(super) fn files(&self) -> [(&'static str, String); 7] {
        let sources = self.template.sources();
        [
            ("Cargo.toml", self.fill(include_str!("../../templates/package/manifest.toml"))),
            ("stateroom.toml", self.fill(include_str!("../../templates/package/stateroom.toml"))),
            ("README.md", self.fill(include_str!("../../templates/package/README.md"))),
            (".gitignore", self.fill(include_str!("../../templates/package/gitignore"))),
            ("src/lib.rs", self.fill(sources.library)),
            ("src/tests.rs", self.fill(sources.tests)),
            ("static/index.html", self.fill(sources.page)),
        ]
    }

    fn fill(&self, template: &str) -> String {
        let features = |more: &[&str]| {
            let heap = (self.no_std && self.template.needs_heap()).then_some("alloc");
            let names: Vec<_> = heap.iter().chain(more).map(|name| format!("\"{name}\"")).collect();
            let default = if self.no_std { ", default-features = false" } else { "" };
            let features =
                if names.is_empty() { String::new() } else { format!(", features = [{}]", names.join(", ")) };
            format!("{{ path = {}{default}{features} }}", in_quotes(self.sdk))
        };
        let workspace = self.workspace.map(|manifest| {
            format!(
                "\n# Keeps the package out of the workspace of {manifest}.\n# To make it a member, remove this and add it there.\n[workspace]\n"
            )
        });
        let collections = match self.no_std {
            true => "extern crate alloc;\n\nuse alloc::{collections::BTreeMap, format, string::String};",
            false => "use std::collections::BTreeMap;",
        };
        template
            .replace("{{messages}}", self.template.sources().messages.trim_end())
            .replace("{{prompt}}", self.template.prompt())
            .replace("{{name}}", self.name)
            .replace("{{dependency}}", &features(&[]))
            .replace("{{dev_dependency}}", &features(&["testing"]))
            .replace("{{workspace}}\n", &workspace.unwrap_or_default())
            .replace("{{no_std}}", if self.no_std { "#![no_std]\n" } else { "" })
            .replace("{{collections}}", collections)
    }
}

/// Writes a text as TOML does.
fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        for &template in Template::value_variants() {
            for no_std in [false, true] {
                let package =
                    NewPackage { name: "room", template, no_std, sdk: "/a \"b\"/c", workspace: Some("/w") };
                for (path, content) in package.files() {
                    assert!(!content.contains("{{") && content.ends_with('\n'), "{path}: {content}");
                    if path == "src/lib.rs" {
                        assert_eq!(content.contains("\n#![no_std]\n"), no_std, "{content}");
                    }
                }
            }
        }
    }

    #[test]
    fn paths_are_written_as_toml_reads_them() {
        assert_eq!(in_quotes("/a b/c"), r#""/a b/c""#);
        assert_eq!(in_quotes(r#"C:\a "b""#), r#""C:\\a \"b\"""#);
    }
}

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
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
    /// A text that everyone in the room edits, for the clients of Yjs. Its page needs npm
    Yjs,
    /// Each message is sent to everyone
    Minimal,
}

/// The files that every package has as they are. What is not in the template's own directory is the example's.
const COMMON: &[&str] = &["stateroom.toml", "src/lib.rs", "src/tests.rs", "static/index.html"];

/// A package that is about to be written.
#[derive(Debug)]
pub(super) struct NewPackage<'a> {
    pub(super) name: &'a str,
    pub(super) template: Template,
    pub(super) no_std: bool,
    /// The checkout that the command was built from.
    pub(super) checkout: &'a Path,
    /// The directory of the SDK's package.
    pub(super) sdk: &'a str,
    /// The manifest of the workspace around the new package, if there is one.
    pub(super) workspace: Option<&'a str>,
}

impl Template {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Chat => "chat",
            Self::Cursors => "cursors",
            Self::Yjs => "yjs",
            Self::Minimal => "minimal",
        }
    }

    /// Returns the example that has what the template does not have itself.
    fn example(self) -> &'static str {
        match self {
            Self::Minimal => "chat",
            _ => self.name(),
        }
    }

    /// Returns the files that only this template has.
    fn more_files(self) -> &'static [&'static str] {
        match self {
            Self::Yjs => &[
                "src/awareness.rs",
                "src/check.rs",
                "src/document.rs",
                "src/wire.rs",
                "web/editor.js",
                "web/package-lock.json",
                "web/package.json",
            ],
            _ => &[],
        }
    }

    /// Returns true if the room needs an allocator.
    fn needs_heap(self) -> bool {
        self == Self::Chat
    }

    /// Returns the command that makes the page's script, if it is bundled from packages of npm.
    pub(super) fn bundle(self) -> Option<&'static str> {
        (self == Self::Yjs).then_some("cd web && npm ci && npm run build")
    }
}

impl NewPackage<'_> {
    /// Returns the paths of all files in the package, and their contents.
    pub(super) fn files(&self) -> Result<Vec<(&'static str, String)>> {
        ensure!(
            !(self.no_std && self.template == Template::Yjs),
            "the template `yjs` needs the standard library: leave `--no-std` out"
        );
        let mut files = vec![
            ("Cargo.toml", self.manifest()?),
            ("README.md", self.readme()?),
            (".gitignore", self.ignored()?),
        ];
        for &path in COMMON.iter().chain(self.template.more_files()) {
            let content = self.source(path)?;
            let content = match path {
                "src/lib.rs" if !self.no_std => with_std(&content),
                "static/index.html" => self.page(&content),
                _ => content,
            };
            files.push((path, content));
        }
        Ok(files)
    }

    /// Reads a file of the template, or else of its example.
    fn source(&self, path: &str) -> Result<String> {
        match read(&self.directory(self.template.name()).join(path))? {
            Some(content) => Ok(content),
            None => self.require(&self.example().join(path)),
        }
    }

    /// Reads a file that is the same for all templates, but for what is filled in.
    fn form(&self, path: &str) -> Result<String> {
        self.require(&self.directory("package").join(path))
    }

    fn require(&self, path: &Path) -> Result<String> {
        read(path)?.with_context(|| {
            format!(
                "there is no `{}`, which the template `{}` needs: install the command again from the checkout as it is now",
                path.display(),
                self.template.name()
            )
        })
    }

    fn example(&self) -> PathBuf {
        self.checkout.join("examples").join(self.template.example())
    }

    /// Returns a directory with what is not an example's.
    fn directory(&self, name: &str) -> PathBuf {
        self.checkout.join("server-smol/cli/templates").join(name)
    }

    fn manifest(&self) -> Result<String> {
        let sdk = |more: &[&str]| {
            let heap = (self.no_std && self.template.needs_heap()).then_some("alloc");
            let names: Vec<_> = heap.iter().chain(more).map(|name| format!("\"{name}\"")).collect();
            let default = if self.no_std { ", default-features = false" } else { "" };
            let features =
                if names.is_empty() { String::new() } else { format!(", features = [{}]", names.join(", ")) };
            format!("{{ path = {}{default}{features} }}", in_quotes(self.sdk))
        };
        let workspace = self.workspace.map(|manifest| {
            format!(
                "\n# Keeps the package out of the workspace of {}.\n# To make it a member, remove this and add it there.\n[workspace]\n",
                in_quotes(manifest),
            )
        });
        let example = self.require(&self.example().join("Cargo.toml"))?;
        // Those that the example has beside the SDK, with their comments.
        let dependencies = section(&example, "[dependencies]").lines().skip(1);
        let dependencies = dependencies.filter(|line| !line.is_empty() && !line.starts_with("stateroom-"));
        let dependencies: String = dependencies.map(|line| format!("{line}\n")).collect();
        Ok(self
            .form("manifest.toml")?
            .replace("{{name}}", self.name)
            .replace("{{workspace}}\n", &workspace.unwrap_or_default())
            .replace("{{dependencies}}", &dependencies)
            .replace("{{sdk}}", &sdk(&[]))
            .replace("{{sdk_for_tests}}", &sdk(&["testing"])))
    }

    fn readme(&self) -> Result<String> {
        let library = self.source("src/lib.rs")?;
        let summary = library.lines().next().unwrap_or_default().trim_start_matches("//! ");
        // The example's page says more, about the example.
        let readme = self.source("README.md")?;
        let sections = ["## Messages\n", "## The page\n"].map(|heading| section(&readme, heading));
        let about: Vec<_> = [summary].into_iter().chain(sections).filter(|text| !text.is_empty()).collect();
        Ok(self.form("README.md")?.replace("{{name}}", self.name).replace("{{about}}", &about.join("\n\n")))
    }

    fn ignored(&self) -> Result<String> {
        let of_example = read(&self.example().join(".gitignore"))?;
        Ok(self.form("gitignore")? + &of_example.unwrap_or_default())
    }

    fn page(&self, page: &str) -> String {
        let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        let page = title.map_or_else(
            || page.to_owned(),
            |(title, _)| {
                page.replace(&format!("<title>{title}</title>"), &format!("<title>{}</title>", self.name))
            },
        );
        match self.template {
            Template::Minimal => page.replace("Say something, or /nick your name", "A message to everyone"),
            _ => page,
        }
    }
}

/// Reads a file that need not be there.
fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
    }
}

/// Returns the part of a document or manifest from this heading to the next one; nothing if there is no such heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let Some(start) = text.find(&format!("\n{heading}")) else { return "" };
    let text = &text[start + 1..];
    let next = if heading.starts_with('#') { "\n## " } else { "\n[" };
    text[..text.find(next).unwrap_or(text.len())].trim_end()
}

/// Lets the source of a guest use the standard library.
fn with_std(library: &str) -> String {
    library.replace("#![no_std]\n", "").replace("extern crate alloc;\n\n", "").replace(
        "use alloc::{collections::BTreeMap, format, string::String};",
        "use std::collections::BTreeMap;",
    )
}

/// Writes a text as TOML does.
fn in_quotes(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => _ = write!(quoted, "\\u{:04X}", u32::from(character)),
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(template: Template, no_std: bool) -> Result<Vec<(&'static str, String)>> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (sdk, workspace) = ("/a \"b\"/c", Some("/w"));
        NewPackage { name: "room", template, no_std, checkout: &checkout, sdk, workspace }.files()
    }

    #[test]
    fn nothing_is_left_to_be_filled_in_or_about_the_example() {
        for &template in Template::value_variants() {
            for no_std in [false, true] {
                let Ok(files) = new(template, no_std) else {
                    assert!(no_std && template == Template::Yjs);
                    continue;
                };
                for (path, content) in files {
                    assert!(content.ends_with('\n'), "{path}: {content}");
                    assert!(
                        !content.contains("{{") && !content.contains("workspace = true"),
                        "{path}: {content}"
                    );
                    assert!(!content.contains("examples/"), "{path}: {content}");
                    if path == "src/lib.rs" {
                        assert_eq!(content.contains("\n#![no_std]\n"), no_std, "{content}");
                        assert!(no_std || !content.contains("alloc"), "{content}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_readme_describes_the_messages_and_says_what_the_page_needs() {
        for &template in Template::value_variants() {
            let files = new(template, false).unwrap();
            let [readme, manifest] = ["README.md", "Cargo.toml"]
                .map(|name| &files.iter().find(|(path, _)| *path == name).expect("a file").1);
            assert_eq!(readme.contains("## Messages\n\n"), template != Template::Minimal, "{readme}");
            assert_eq!(readme.contains("\nnpm ci"), template.bundle().is_some(), "{readme}");
            assert_eq!(manifest.contains("\nyrs = "), template == Template::Yjs, "{manifest}");
        }
    }

    #[test]
    fn a_minimal_page_does_not_speak_of_nicknames() {
        for (path, content) in new(Template::Minimal, true).unwrap() {
            assert!(!content.contains("nick"), "{path}: {content}");
        }
    }

    #[test]
    fn a_file_that_the_checkout_does_not_have_is_named() {
        let (template, checkout) = (Template::Chat, Path::new("/nowhere"));
        let package =
            NewPackage { name: "room", template, no_std: false, checkout, sdk: "/sdk", workspace: None };
        let told = package.files().unwrap_err().to_string();
        assert!(told.contains("`/nowhere/") && told.contains("install the command again"), "{told}");
    }

    #[test]
    fn paths_are_written_as_toml_reads_them() {
        assert_eq!(in_quotes("/a b/c"), r#""/a b/c""#);
        assert_eq!(in_quotes("/a\n[b]\u{7f}é"), r#""/a\u000A[b]\u007Fé""#);
        assert_eq!(in_quotes(r#"C:\a "b""#), r#""C:\\a \"b\"""#);
    }
}

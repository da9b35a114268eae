use std::path::PathBuf;

use clap_complete::Shell;

use crate::{
    linker::{FOR_PANICS, Memory},
    new::Template,
};

use super::ServerArgs;

pub(super) const PROJECT: &str = "The optional file `stateroom.toml`: see `stateroom build --help`.";

pub(super) const COMPLETIONS: &str = "\
For bash, write this into ~/.bashrc:
  source <(stateroom completions bash)
For fish:
  stateroom completions fish > ~/.config/fish/completions/stateroom.fish
For zsh, write the script to a file `_stateroom` in a directory of `$fpath`.";

pub(super) const MAN: &str = "\
For this user, so that `man stateroom-serve` shows a page:
  stateroom man ~/.local/share/man/man1";

pub(crate) fn project_help() -> String {
    let [none, heap, std] = [Memory::Static, Memory::Heap, Memory::Std].map(Memory::stack_size);
    format!(
        "\
Without `--portable`, guests without the standard library are built with pages of one byte, so that a
room takes only the memory that it uses. This server runs such guests. Engines without the
custom-page-sizes proposal do not. A portable module uses only WebAssembly 1.0 and bulk memory.

A `stateroom.toml` beside `Cargo.toml` is optional. It may contain:
  static_files = \"web\"                a directory to serve at `/`, without its hidden files
                                      except `.well-known`
  [service]
  package = \"chat\"                    which package of the workspace; default: the one at PATH
  target = \"wasm32-wasip1\"            default: wasm32-unknown-unknown
  stack_size = 4096                   bytes of stack; default: {none} without an allocator,
                                      {heap} with one, {std} with the standard library;
                                      `dev` adds {FOR_PANICS}, for panic messages
  [limits]
  memory = \"64MiB\"                    the same as `--max-memory 64MiB`; all limits can be set
                                      here (`stateroom limits`); a flag replaces the value"
    )
}

#[derive(Debug, clap::Args)]
pub(crate) struct NewArgs {
    /// The name of the package and of its directory. A path before the name sets the parent directory
    #[arg(value_name = "NAME")]
    pub(crate) path: PathBuf,

    /// The room to begin with
    #[arg(long, default_value = "counter")]
    pub(crate) template: Template,

    /// Build without the standard library: a room then takes about 12 KB of memory instead of 78 KB
    #[arg(long)]
    pub(crate) no_std: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that completes
    pub(crate) shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory for the pages, which is created if it does not exist
    pub(crate) directory: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,

    /// Open the page in the browser when it is served
    #[arg(long)]
    pub(crate) open: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ProjectArgs {
    /// The directory of the guest's `Cargo.toml`
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,

    /// Build for any WebAssembly engine, with memory pages of 64 KiB
    #[arg(long)]
    pub(crate) portable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_and_the_help_have_the_sizes_of_stacks() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        let [none, heap, std] = [Memory::Static, Memory::Heap, Memory::Std].map(Memory::stack_size);
        for (text, place) in [(page, "configuration.md"), (project_help(), "project.rs")] {
            let words: Vec<_> = text.split_whitespace().filter(|word| *word != "#").collect();
            let words = words.join(" ").to_lowercase();
            for said in [
                format!(
                    "default: {none} without an allocator, {heap} with one, {std} with the standard library"
                ),
                format!("`dev` adds {FOR_PANICS}"),
            ] {
                assert!(words.contains(&said), "`{said}` is not in {place}");
            }
        }
    }
}

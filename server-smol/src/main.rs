//! The `stateroom` command.

#![forbid(unsafe_code)]
// The documentation of the options is what `--help` prints.
#![allow(rustdoc::invalid_html_tags)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

//! The `stateroom` command: reads the command line and runs one of the commands.
//!
//! If a command fails, `main` prints one message to stderr and the exit status is 1. If the options are
//! wrong, clap prints the message and the exit status is 2.

#![deny(unsafe_code)]
// The documentation of the options is what `--help` prints.
#![allow(rustdoc::invalid_html_tags)]

// The profile optimises the engine for size. The engine without the feature does not work with that.
#[cfg(all(panic = "abort", not(feature = "small")))]
compile_error!("with `panic = \"abort\"`, as in the profile `small`, build with `--features small`");

mod args;
#[cfg(static_small)]
mod backtrace;
#[cfg(any(feature = "dev", feature = "rooms"))]
mod http;
mod limits;
#[cfg(all(feature = "load", target_os = "linux"))]
mod load;
mod logging;
mod module;
#[cfg(target_os = "linux")]
mod open_files;
#[cfg(any(feature = "auth", feature = "proxy", feature = "tls"))]
mod problem;
#[cfg(feature = "rooms")]
mod rooms;
mod serve;
#[cfg(any(feature = "auth", feature = "dev", feature = "rooms"))]
mod stdout;
#[cfg(static_small)]
mod thread_name;
#[cfg(feature = "auth")]
mod token;
mod toml_file;

#[cfg(feature = "dev")]
mod browser;
#[cfg(feature = "dev")]
mod build;
#[cfg(feature = "dev")]
mod client;
#[cfg(feature = "dev")]
mod color;
#[cfg(feature = "dev")]
mod completions;
#[cfg(feature = "dev")]
mod config;
#[cfg(feature = "dev")]
mod dependencies;
#[cfg(feature = "dev")]
mod dev;
#[cfg(feature = "dev")]
mod diagnostic;
#[cfg(feature = "dev")]
mod dist;
#[cfg(feature = "dev")]
mod guest_build;
#[cfg(feature = "dev")]
mod inspect;
#[cfg(feature = "dev")]
mod linker;
#[cfg(feature = "dev")]
mod man;
#[cfg(feature = "dev")]
mod new;
#[cfg(feature = "dev")]
mod optimizer;
#[cfg(feature = "dev")]
mod package;
#[cfg(feature = "dev")]
mod playground;
#[cfg(feature = "dev")]
mod project;
#[cfg(feature = "dev")]
mod prune;
#[cfg(feature = "dev")]
mod purpose;
#[cfg(feature = "dev")]
mod replay;
#[cfg(feature = "dev")]
mod signals;
#[cfg(feature = "dev")]
mod toolchain;
#[cfg(feature = "dev")]
mod waiting;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use self::{
    args::{Args, Command},
    logging::Log,
};

/// Runs the command that the process was started with.
fn main() -> ExitCode {
    let args = Args::parse();
    #[cfg(feature = "dev")]
    color::choose(args.color);
    let log = match Log::start(args.log_level(), args.log_format()) {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: the log cannot be written: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match args.command {
        #[cfg(feature = "dev")]
        Command::New(args) => new::run(args),
        #[cfg(feature = "dev")]
        Command::Dev(args) => dev::run(args),
        #[cfg(feature = "dev")]
        Command::Build(args) => build::run(args),
        Command::Serve(args) => serve::run(args),
        #[cfg(feature = "rooms")]
        Command::Rooms(args) => rooms::run(args),
        Command::Limits => limits::print(),
        #[cfg(feature = "dev")]
        Command::Inspect(args) => inspect::run(args),
        #[cfg(feature = "dev")]
        Command::Replay(args) => replay::run(&args),
        #[cfg(feature = "auth")]
        Command::Token(args) => token::run(args),
        #[cfg(feature = "dev")]
        Command::Completions(args) => completions::run(&args),
        #[cfg(feature = "dev")]
        Command::Man(args) => man::run(&args),
        #[cfg(all(feature = "load", target_os = "linux"))]
        Command::Load(args) => load::run(args),
        #[cfg(all(feature = "load", not(target_os = "linux")))]
        Command::Load(_) => {
            Err(anyhow::anyhow!("`stateroom load` uses epoll, which only Linux has: run it on Linux"))
        }
    };
    match outcome {
        Ok(()) => {
            log.finish();
            ExitCode::SUCCESS
        }
        Err(error) => {
            // The alternate form is the chain of reasons without a backtrace.
            log.fail(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

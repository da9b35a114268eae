//! Counts what messages, connections and rooms cost the server: system calls, allocations, bytes, instructions. It
//! reads no clock, so a busy machine gives the same result as a quiet one.
//!
//! `cargo run -p stateroom-tests --bin costs` builds the server as it is shipped, counts, and fails where a count is
//! larger than in `docs/costs.md`. Options:
//!
//! - `--write`: writes `docs/costs.md` anew with what it counts
//! - names of scripts (`echo`, `rooms`, …): counts those alone
//!
//! It needs Linux, valgrind, strace, and a system that lets strace trace. The scripts are in `script.rs`, and how much
//! a count may grow is in `verdict.rs`.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod cost;
#[cfg(target_os = "linux")]
mod guard;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod script;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod tool;
#[cfg(target_os = "linux")]
mod verdict;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match options::Options::read(std::env::args().skip(1)).and_then(|options| guard::run(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("what counts system calls here exists on Linux only: run this there");
}

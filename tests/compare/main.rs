//! Compares this server with others, one after the other on the same machine, with the same load from `stateroom
//! load`.
//!
//! `cargo run --release -p stateroom-tests --bin compare` measures everything three times, in alternation, and writes
//! `docs/comparison.md` and `docs/comparison.svg` with the medians; that takes half an hour. Options:
//!
//! - `--seconds N`: how long each row is measured (default: 4)
//! - `--rounds N`: how often (default: 3)
//! - `--only NAME,NAME`: some of the servers
//! - `--rows NAME,NAME`: some of the rows
//! - `--dry`: only print the table
//!
//! It needs npm for Bun and Node.js, `rustup target add wasm32-wasip1`, and the registries of both. A server that
//! cannot be installed is left out, and the table says so.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod chart;
#[cfg(target_os = "linux")]
mod comparison;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod peer;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod row;
#[cfg(target_os = "linux")]
mod table;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match options::Options::read(std::env::args().skip(1)).and_then(|options| comparison::run(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("`stateroom load` waits for sockets as only Linux can: run this there");
}

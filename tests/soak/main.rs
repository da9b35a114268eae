//! Lets hundreds of clients come, go, break off, read slowly and break their rooms for minutes, beside clients that do nothing wrong, and
//! checks that these get each message once and that nothing is left of the others.
//!
//! `cargo run -p stateroom-tests --bin soak` builds the server and runs it twice, without TLS and with it. It fails if a promise is broken.
//! Options:
//!
//! - `--minutes N`: how long each of the two takes (default: 10)
//! - `--rooms N`: the number of rooms (default: 1,000)
//! - `--tls`, `--no-tls`: only one of the two
//! - `--seed N`: the seed of the clients' choices, which each run prints
//!
//! Chance decides what clients do, but also the machine: the same seed gives the same choices at other moments. It needs Linux, and 4,000
//! open files.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod healthy;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod patience;
#[cfg(target_os = "linux")]
mod room;
#[cfg(target_os = "linux")]
mod sample;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod socket;
#[cfg(target_os = "linux")]
mod stranger;
#[cfg(target_os = "linux")]
mod stream;
#[cfg(target_os = "linux")]
mod tally;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod verdict;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match options::Options::read(std::env::args().skip(1)).and_then(|options| trial::run(&options)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this looks at the server's process as only Linux can: run this there");
}

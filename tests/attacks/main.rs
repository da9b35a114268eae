//! Attacks the server as strangers can, one attack after the other, and holds it to what it promises meanwhile.
//!
//! `cargo run -p stateroom-tests --bin attacks` builds the server as it is shipped, starts one for each attack,
//! and fails where a promise is broken. Options:
//!
//! - `--rows NAME,NAME`: some of the rows (`M1,T3`)
//! - `--short`: each attack in a small form of a second or so, with a latency that a busy machine allows
//! - `--static`: attacks the static binary (`rustup target add x86_64-unknown-linux-musl`)
//! - `--program FILE`: attacks this program, and builds none
//! - `--write`: writes `docs/robustness.md`, or `docs/robustness-static.md`
//!
//! The attacks are in `attack`, what all of them promise is in `verdict.rs`, and the rooms that they are made on are in
//! `guests`. It needs Linux, and some 11,000 open files (`ulimit -n`) to be complete. It takes four minutes, and one with
//! `--short`.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod address;
#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod binary;
#[cfg(target_os = "linux")]
mod guest;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod innocent;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod memory_group;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod stage;
#[cfg(target_os = "linux")]
mod swarm;
#[cfg(target_os = "linux")]
mod trial;
#[cfg(target_os = "linux")]
mod verdict;
#[cfg(target_os = "linux")]
mod watch;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    let result = match words.next_if_eq(launch::LAUNCH) {
        Some(_) => Err(launch::launch(words)),
        None => options::Options::read(words).and_then(|options| trial::run(&options)),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("the attackers wait for sockets as only Linux can: run this there");
}

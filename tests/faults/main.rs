//! Kills the server and lets its disk fail, again and again, and checks that rooms on disk lose nothing that a client has seen:
//! `docs/durability.md`.
//!
//! `cargo run -p stateroom-tests --bin faults` builds the server and fails if a promise is broken. `--rounds N` sets how often the
//! server is killed (default: 200). It needs Linux and strace. It takes about two minutes.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod kills;
#[cfg(target_os = "linux")]
mod recovery;
#[cfg(target_os = "linux")]
mod returning;
#[cfg(target_os = "linux")]
mod seen;
#[cfg(target_os = "linux")]
mod server;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    let mut rounds = 200;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (&*word, words.next().and_then(|number| number.parse().ok())) {
            ("--rounds", Some(number)) => rounds = number,
            _ => {
                eprintln!("the only option is `--rounds N`");
                return std::process::ExitCode::FAILURE;
            }
        }
    }
    println!("| what happens | tried | what was checked |\n| --- | ---: | --- |");
    kills::run(rounds);
    recovery::is_killed();
    recovery::fails();
    disk::fails_to_sync();
    disk::is_full();
    disk::is_slow();
    std::process::ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this uses strace, which only Linux has");
}

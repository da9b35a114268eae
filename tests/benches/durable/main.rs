//! Measures rooms that are kept on disk: starts with many rooms, idle Yjs documents, and the price of the disk.
//!
//! `cargo bench -p stateroom-tests --bench durable` prints the tables of the section "Numbers" in `docs/durability.md`. Options, after
//! `--`:
//!
//! - `--only NAME,NAME`: some of the parts: rooms, documents, disk, clients
//! - `--server PATH`: the program to measure, instead of this workspace's `stateroom`
//! - `--yjs PATH`: the module of `examples/yjs`, if it has been built
//! - `--rooms N`: how many rooms the first part has (default: 100,000)
//! - `--documents N`: how many documents the second part has (default: 10,000)
//! - `--seconds N`: how long the last two parts run each load each time (default: 2)
//! - `--rounds N`: how often (default: 7)
//!
//! Rooms are in the directory for temporary files (`TMPDIR`): it has to be on the disk that is measured. Nothing fails if a figure is
//! bad, but a room that has lost something ends the program.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod beside;
#[cfg(target_os = "linux")]
mod clients;
#[cfg(target_os = "linux")]
mod documents;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod traced;

#[cfg(target_os = "linux")]
fn main() {
    // Cargo adds an argument of its own.
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let options = options::Options::read(words).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        std::process::exit(2);
    });
    page::machine();
    for (_, measure) in PARTS.iter().filter(|(name, _)| options.wants(name)) {
        measure(&options);
    }
}

/// Measures something, and prints a table.
#[cfg(target_os = "linux")]
type Part = fn(&options::Options);

/// All parts, by their names.
#[cfg(target_os = "linux")]
const PARTS: [(&str, Part); 4] = [
    ("rooms", restart::measure),
    ("documents", documents::measure),
    ("disk", beside::measure),
    ("clients", clients::measure),
];

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this reads `/proc`, which only Linux has");
}

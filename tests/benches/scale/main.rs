//! Measures how far one server goes: rooms by the hundred thousand, their cost for busy rooms, several threads, new
//! rooms, small servers, and the time to the first answer.
//!
//! `cargo bench -p stateroom-tests --bench scale` measures everything, beside the targets, and writes
//! `docs/scale.md`; that takes ten minutes and 12 GiB of memory. Options, after `--`:
//!
//! - `--only NAME,NAME`: some of the parts: rooms, crowd, threads, replies, memory, start
//! - `--server PATH`: the program to measure, instead of this workspace's `stateroom`
//! - `--rooms N`: how many rooms the library holds (default: 1,000,000)
//! - `--crowd N`: how many rooms one server holds, with a client each where there are enough open files (default: 100,000)
//! - `--pairs N`: how often two servers are compared, alternately (default: 7)
//! - `--seconds N`: how long each time (default: 2)
//! - `--dry`: only print the table; so it is with some of the parts, or with another program
//!
//! Times are CPU time where nothing else is said. They depend on what else the machine does, and so nothing here fails
//! when a target is missed: the table says so.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod crowd;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod pairs;
#[cfg(target_os = "linux")]
mod rooms;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod small;
#[cfg(target_os = "linux")]
mod threads;

#[cfg(target_os = "linux")]
fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // Cargo adds an argument of its own.
    words.retain(|word| word != "--bench");
    if let [command, count, module] = &words[..]
        && command == rooms::COMMAND
    {
        return rooms::hold(count.parse().expect("the number of rooms"), module.as_ref());
    }
    let bench = match options::Options::read(words.into_iter()) {
        Ok(options) => Bench::new(options),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    };
    bench.run();
}

/// Measures something, and adds it to the page.
#[cfg(target_os = "linux")]
type Part = fn(&Bench, &mut page::Page);

/// All parts, by their names.
#[cfg(target_os = "linux")]
const PARTS: [(&str, Part); 6] = [
    ("rooms", rooms::measure),
    ("crowd", crowd::measure),
    ("threads", threads::measure),
    ("replies", latency::replies),
    ("memory", small::measure),
    ("start", latency::start),
];

/// The state that all parts share.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Bench {
    options: options::Options,
    cores: stateroom_tests::Cores,
    /// The program that makes the load.
    load: std::path::PathBuf,
    /// The program that is measured.
    server: std::path::PathBuf,
    /// A guest without an allocator that sends back what it gets.
    echo: std::path::PathBuf,
}

#[cfg(target_os = "linux")]
impl Bench {
    fn new(options: options::Options) -> Self {
        let load = stateroom_tests::binary("stateroom");
        let server = options.server.clone().unwrap_or_else(|| load.clone());
        let cores = stateroom_tests::Cores::find().expect("the system tells");
        let echo = stateroom_tests::example("echo").join("server.wasm");
        Self { options, cores, load, server, echo }
    }

    fn run(&self) {
        let mut page = page::Page::begin(self);
        for (_, measure) in PARTS.iter().filter(|(name, _)| self.options.wants(name)) {
            measure(self, &mut page);
        }
        page.end(self);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("`stateroom load` waits for sockets as only Linux can: run this there");
}

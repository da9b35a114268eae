use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::Bench;

/// The results, line by line.
#[derive(Debug)]
pub(crate) struct Page {
    lines: String,
    notes: Vec<String>,
    busy: String,
    began: Instant,
}

/// The comparison of a result with its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// There is nothing to meet, or it could not be measured.
    None,
}

impl From<bool> for Verdict {
    fn from(is_met: bool) -> Self {
        if is_met { Self::Met } else { Self::Missed }
    }
}

const HEAD: &str = "| | target | result | met |\n| --- | --- | --- | --- |\n";

impl Page {
    pub(crate) fn begin(bench: &Bench) -> Self {
        if cfg!(debug_assertions) {
            eprintln!("numbers of a build without optimisation mean nothing");
        }
        println!("server: {}", bench.server.display());
        print!("{HEAD}");
        let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let busy = busy.split(' ').next().unwrap_or("?").to_owned();
        Self { lines: String::new(), notes: Vec::new(), busy, began: Instant::now() }
    }

    /// Adds a line, and prints it at once: the next may take minutes.
    pub(crate) fn line(&mut self, what: &str, target: &str, result: &str, verdict: impl Into<Verdict>) {
        let met = match verdict.into() {
            Verdict::Met => "yes",
            Verdict::Missed => "no",
            Verdict::None => "–",
        };
        let line = format!("| {what} | {target} | {result} | {met} |\n");
        print!("{line}");
        self.lines += &line;
    }

    /// Adds a sentence below the table.
    pub(crate) fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// Writes the page, if it is to be written.
    pub(crate) fn end(self, bench: &Bench) {
        let mut page = format!("{BEGIN}{HEAD}{}\n", self.lines);
        for note in self.notes.iter().chain(&about(bench, &self.busy, self.began.elapsed())) {
            let _ = writeln!(page, "- {note}");
        }
        page += END;
        println!("\n{page}");
        if bench.options.is_for_the_page() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scale.md");
            fs::write(path, page).expect("the documentation can be written");
        }
    }
}

/// Lines of pages are longer than those of programs.
const BEGIN: &str = "\
# Scale

How far one server goes, on one thread where nothing else is said. Written by `cargo bench -p stateroom-tests --bench scale`
([`tests/benches/scale`](../tests/benches/scale/main.rs)).

";

const END: &str = "
Rooms are `examples/echo`, a guest without an allocator, with default limits; messages have 64 bytes. *CPU* is what the server's process takes, in
the system as in the program. Two servers are compared alternately, and the result is the median of their ratios. *RSS* is the resident memory of the
process; the system's own for each socket is not in it.
";

/// Machine, date and version.
fn about(bench: &Bench, busy: &str, took: Duration) -> Vec<String> {
    let said = |command: &mut Command| match command.output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        Err(_) => String::new(),
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpu.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<_> = models.map(|(_, model)| model).collect();
    let system = said(Command::new("uname").arg("-sr"));
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let commit = said(Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short", "HEAD"]));
    vec![
        format!(
            "{}, {} cores, {system}; {}",
            models.first().copied().unwrap_or("a processor without a name"),
            models.len(),
            bench.cores.described(),
        ),
        format!("{date}, commit {commit}; load average before: {busy}; it took {} s", took.as_secs()),
    ]
}

/// Returns a size in the unit that suits it.
pub(crate) fn size(bytes: f64) -> String {
    match bytes / 1024.0 {
        kib @ ..1024.0 => format!("{kib:.1} KiB"),
        kib @ ..1_048_576.0 => format!("{:.1} MiB", kib / 1024.0),
        kib => format!("{:.2} GiB", kib / 1_048_576.0),
    }
}

use std::fmt::Write as _;

use crate::{
    attack::Attack,
    scale::Scale,
    stage::Seen,
    verdict::{LATER, LOG, LOG_A_SECOND, SPARE_PERCENT, megabytes, milliseconds},
};

/// Everything that was found, as people read it.
#[derive(Debug)]
pub(crate) struct Page {
    /// Machine, versions and binary, as lines.
    pub(crate) about: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// What came of an attack.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) attack: &'static Attack,
    pub(crate) seen: Seen,
    pub(crate) broken: Vec<String>,
}

const TITLES: [&str; 10] = [
    "",
    "attack",
    "promise",
    "peak memory",
    "longest pass",
    "CPU",
    "log",
    "innocent client without: p50 / p99",
    "with: p50 / p99",
    "verdict",
];

impl Row {
    /// The names of the columns.
    pub(crate) fn head() -> String {
        format!("| {} |\n|{}", TITLES.join(" | "), " --- |".repeat(TITLES.len()))
    }

    /// A line of the table.
    pub(crate) fn line(&self) -> String {
        let Self { attack, seen, broken } = self;
        let [without, with] = seen
            .innocent
            .map(|latency| format!("{} / {}", milliseconds(latency.p50), milliseconds(latency.p99)));
        let cpu = seen.cpu.as_secs_f64() / seen.time.as_secs_f64().max(0.001);
        let mut verdict =
            if broken.is_empty() { "holds".to_owned() } else { format!("**broken**: {}", broken.join("; ")) };
        if seen.innocent_ends > 0 {
            let _ = write!(verdict, "; its connection ended {} times", seen.innocent_ends);
        }
        if !seen.notes.is_empty() {
            let _ = write!(verdict, " ({})", seen.notes.join("; "));
        }
        let cells = [
            attack.row.to_owned(),
            attack.title.to_owned(),
            attack.promise.to_owned(),
            format!("{} MiB", seen.taken.memory >> 20),
            seen.longest_pass.map_or_else(|| "-".to_owned(), milliseconds),
            format!("{:.0} %", cpu * 100.0),
            format!("{}, {} lines", megabytes(seen.log_bytes), seen.log_lines),
            without,
            with,
            verdict,
        ];
        format!("| {} |", cells.join(" | "))
    }
}

impl Page {
    /// The page.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{BEGIN}{}\n", Row::head());
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line());
        }
        text.push('\n');
        for line in &self.about {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(
            text,
            "
## What every attack is held to

- The server's process lives.
- It never has more memory than it is given, {} MiB, and {SPARE_PERCENT} % (`VmHWM`, what an allocator keeps included).
- 99 in 100 answers to the innocent client come at most {} ms later than without the attack, and none is lost.
- It writes at most {} KiB of log for each second that the attack lasts, and {} MiB beside.
",
            Scale::Full.memory() >> 20,
            LATER.as_millis(),
            LOG_A_SECOND >> 10,
            LOG >> 20,
        );
        text.push_str(METHOD);
        text
    }
}

/// Lines of pages are longer than those of programs.
const BEGIN: &str = "\
# Robustness

What strangers can do to the server, and what it promises all others meanwhile. `cargo run -p stateroom-tests --bin attacks` makes each
attack on a server of its own, and fails where a promise is broken. The program has written this page, with `--write`
([`tests/attacks`](../tests/attacks/main.rs)).

";

const METHOD: &str = "
## Method

The server runs one thread of rooms with its default settings, and those that a row names. The attackers come from 64 addresses of this machine
where nothing else is said, on threads that give way to others. The *innocent client* is in a room of its own: it sends 16 bytes every
5 ms, whether or not it has been answered, and gets them back. Its latencies are from the moment at which a message was due, for 2 s without the
attack and then with it. On loopback, attackers and server share the machine, so a part of what it waits for is the attackers' doing.

*Peak memory* is the most that the process has had, *CPU* what it took of a core during the attack, in the system as in the program. The *longest
pass* is that of the event loop, where the server says it. *Log* is what it has written to standard error.
What the attackers got stands in brackets: how many got in, were refused, and were ended.
";

use std::fmt::Write as _;

use crate::{
    attack::Attack,
    scale::Scale,
    stage::{Passes, Seen},
    verdict::{LATER, LOG, LOG_A_SECOND, SPARE_PERCENT, Verdict, megabytes, milliseconds},
};

/// The results, as people read them.
#[derive(Debug)]
pub(crate) struct Page {
    /// Machine, versions and binary, as lines.
    pub(crate) about: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// The results of an attack.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) attack: &'static Attack,
    pub(crate) seen: Seen,
    pub(crate) verdict: Verdict,
}

const TITLES: [&str; 10] = [
    "",
    "attack",
    "promise",
    "peak memory",
    "passes: p99 / longest",
    "CPU",
    "log",
    "innocent client without: p50 / p99",
    "with: p50 / p99",
    "verdict",
];

impl Row {
    /// Returns the names of the columns.
    pub(crate) fn head() -> String {
        format!("| {} |\n|{}", TITLES.join(" | "), " --- |".repeat(TITLES.len()))
    }

    /// Returns a line of the table.
    pub(crate) fn line(&self) -> String {
        let Self { attack, seen, verdict } = self;
        let [without, with] = seen
            .innocent
            .map(|latency| format!("{} / {}", milliseconds(latency.p50), milliseconds(latency.p99)));
        let passes = seen.passes.map(|Passes { p99, longest }| [p99, longest].map(milliseconds).join(" / "));
        let passes = passes.unwrap_or_else(|| "-".to_owned());
        let cpu = seen.cpu.as_secs_f64() / seen.time.as_secs_f64().max(0.001);
        let mut verdict = verdict.to_string();
        if let [.., last] = &seen.innocent_ends[..] {
            let count = seen.innocent_ends.len();
            let _ = write!(verdict, "; its connection ended {count} times, the last time so: {last}");
        }
        if !seen.notes.is_empty() {
            let _ = write!(verdict, " ({})", seen.notes.join("; "));
        }
        let cells = [
            attack.row.to_owned(),
            attack.title.to_owned(),
            attack.promise.to_owned(),
            format!("{} MiB", seen.memory >> 20),
            passes,
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
    /// Returns the page.
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

The server runs one thread of rooms with its default settings, those that a row names, the memory from above (`--max-total-memory`), an address for
the operator (`--admin`), who asks for the passes, and `--measure-passes`. The attackers come from 64 addresses of this machine
where nothing else is said, on threads that give way to others. The *innocent client* is in a room of its own: it sends 16 bytes every
5 ms, whether or not it has been answered, and gets them back. Its latencies are from the moment at which a message was due, for 2 s without the
attack and then with it. On loopback, attackers and server share the machine, so a part of what it waits for is the attackers' doing: an attack of
which nothing is broken but that it waits is made up to three times, and the best holds.

*Peak memory* is the most that the process has had, *CPU* what it took of a core during the attack, in the system as in the program. The *passes*
are those of the event loop since the server's start, by the processor's time; their p99 is rounded up to a power of two of microseconds.
*Log* is what it has written to standard error.
What the attackers got stands in brackets: how many got in, were refused, and were ended.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::ATTACKS;

    #[test]
    fn every_attack_has_a_line_with_its_verdict() {
        let row = |broken: &[&str]| {
            let verdict = Verdict { broken: broken.iter().map(|&why| why.to_owned()).collect(), late: None };
            let notes = vec!["3 in".to_owned()];
            Row { attack: &ATTACKS[0], seen: Seen { notes, memory: 7 << 20, ..Seen::default() }, verdict }
        };
        let about = vec!["a machine".to_owned()];
        let text = Page { about, rows: vec![row(&[]), row(&["it is gone"])] }.text();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("| M1 |")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines.iter().all(|line| line.contains("| 7 MiB |")), "{text}");
        assert!(lines[0].ends_with("| holds (3 in) |"), "{text}");
        assert!(lines[1].ends_with("| **broken**: it is gone (3 in) |"), "{text}");
        let columns = |line: &str| line.matches(" | ").count();
        assert_eq!(columns(lines[0]), columns(&format!("| {} |", TITLES.join(" | "))), "{text}");
        assert!(text.contains("- a machine\n"), "{text}");
    }
}

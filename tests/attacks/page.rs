use std::fmt::Write as _;

use crate::{
    attack::Attack,
    scale::Scale,
    stage::Seen,
    verdict::{AIM, LOG, LOG_A_SECOND, SPARE_PERCENT, Verdict, megabytes, milliseconds},
};

/// The results as a page.
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
    "control client before the attack: p50 / p99",
    "during the attack: p50 / p99",
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
        let passes = match seen.passes {
            Some(passes) if passes.exceed(AIM) => format!("**{passes}**"),
            Some(passes) => passes.to_string(),
            None => "-".to_owned(),
        };
        let cpu = seen.cpu.as_secs_f64() / seen.time.as_secs_f64().max(0.001);
        let mut verdict = verdict.to_string();
        if let [.., last] = &seen.innocent_ends[..] {
            let count = seen.innocent_ends.len();
            let _ = write!(
                verdict,
                "; the control client's connection ended {count} times, the last time with: {last}"
            );
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
        if self.rows.iter().any(|row| !row.verdict.holds()) {
            text.push_str(KNOWN);
        }
        for line in &self.about {
            let _ = writeln!(text, "- {line}");
        }
        let _ = write!(
            text,
            "
## Rules for all attacks

- The server's process does not end, unless the attack is a SIGTERM.
- The process has at most {} MiB of memory: {} MiB (`--max-total-memory`) plus {SPARE_PERCENT} %.
- 99 in 100 answers to the control client come at most {} ms later than before the attack, and no answer is lost.
- 99 in 100 passes of the event loop take at most {} of processor time, and the longest one takes at most {}.
- The server writes at most {} MiB of log, plus {} KiB for each second of the attack.
",
            (Scale::Full.memory() + Scale::Full.spare()).div_ceil(1 << 20),
            Scale::Full.memory() >> 20,
            Scale::Full.later().as_millis(),
            milliseconds(Scale::Full.passes().p99),
            milliseconds(Scale::Full.passes().longest),
            LOG >> 20,
            LOG_A_SECOND >> 10,
        );
        text.push_str(METHOD);
        text
    }
}

// Lines of pages are longer than lines of code.
const BEGIN: &str = "\
# Robustness

This page shows how the server behaves under attack. Each row is one attack by untrusted clients, with a promise for all other clients.
`cargo run -p stateroom-tests --bin attacks` runs the attacks ([`tests/attacks`](../tests/attacks/main.rs)) and fails if a promise is broken. With
`--write`, it writes this page. There is a page for [the binary that `cargo build --release` makes](robustness.md) and one for
[the static binary](robustness-static.md).

";

/// Stands after the table if a promise is broken.
const KNOWN: &str = "\
The rows that are **broken** on this page are known. They are open problems, not accepted behaviour.

";

const METHOD: &str = "
## What the table shows

- The code in the first column is the kind of the attack: M memory, R rooms, T time, L log, S shutdown, P privacy, C connections.
- *Promise* is the rule that this attack tests in particular.
- *Peak memory* is the largest memory of the process (`VmHWM`). It includes memory that the allocator keeps.
- *Passes* are the iterations of the event loop since the server's start, measured in processor time. Their p99 is rounded up to a power of two of
  microseconds. A pass is meant to take about 0.6 ms. One step that cannot be interrupted can make it longer. The cell is **bold** if a pass takes longer
  than the server aims at: a p99 of 1.02 ms, and 2 ms for the longest.
- *CPU* is the share of one core that the process used, in user mode and in the kernel.
- *Log* is the output of the server on standard error.
- *Verdict* covers the promise of the row and the rules for all attacks. So a row can be broken although its own promise holds. The brackets show how
  many attackers connected (*in*), how many were refused (*refused*) and how many were disconnected (*ended*), and results of the attack.

## Method

For each attack the program starts a new server. The server runs one thread of rooms. It has its default settings, the settings that a row names, and
the memory limit above (`--max-total-memory`). It also has an address for the operator (`--admin`) and `--measure-passes`, so that the program can read
the times of the passes. The attackers use 64 addresses of this machine, if the row does not say otherwise. Their threads have a lower priority than
other threads.

The *control client* is not an attacker. It is alone in a room. Every 5 ms it sends 16 bytes, and the room sends them back. It does not wait for an answer
before it sends the next message. The latency of a message counts from the time at which it should have been sent. It is measured for 2 s before the
attack, and then during the attack.

Attackers and server share the machine, so the attackers cause a part of this latency. If an attack breaks only rules about time, it is repeated, up to
three times in all. The best result counts.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::ATTACKS;

    #[test]
    fn every_attack_has_a_line_with_its_verdict() {
        let row = |broken: &[&str]| {
            let verdict =
                Verdict { broken: broken.iter().map(|&why| why.to_owned()).collect(), late: Vec::new() };
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
        for aim in [milliseconds(AIM.p99), format!("{} ms", AIM.longest.as_millis())] {
            assert!(METHOD.contains(&aim), "{METHOD}");
        }
        assert!(text.contains("- a machine\n") && text.contains(KNOWN), "{text}");
    }
}

use std::{collections::BTreeMap, fmt::Write as _};

use stateroom_tests::grouped;

use crate::{
    cost::{Count, Totals},
    script::Spread,
    verdict::slack,
};

/// The page with the counts that must not grow. The program writes it and reads it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Page {
    /// The compiler of the server.
    pub(crate) compiler: String,
    /// The processor that it was compiled for.
    pub(crate) processor: String,
    /// The tools that were used.
    pub(crate) tools: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) totals: Totals,
}

impl Page {
    /// Parses a page that [`text`](Self::text) has written.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let counts = text.split("\n## ").next().unwrap_or_default();
        for line in counts.lines() {
            match line.strip_prefix("- ").and_then(|line| line.split_once(": ")) {
                Some(("compiler", rest)) => page.compiler = rest.to_owned(),
                Some(("processor", rest)) => page.processor = rest.to_owned(),
                Some(("tools", rest)) => page.tools = rest.to_owned(),
                _ => page.rows.extend(Row::read(line)?),
            }
        }
        if page.rows.is_empty() {
            return Err("there is no table".to_owned());
        }
        Ok(page)
    }

    /// Returns the text of the page.
    pub(crate) fn text(&self) -> String {
        let mut text = BEGIN.to_owned();
        let titles: String = Count::ALL.iter().map(|count| format!(" {} |", count.title())).collect();
        let _ = writeln!(text, "| | for each |{titles} these calls |");
        let _ = writeln!(text, "| --- | --- |{} --- |", " ---: |".repeat(Count::ALL.len()));
        for Row { title, unit, totals } in &self.rows {
            let number = |count| totals.counts.get(&count).copied().unwrap_or(0.0);
            let numbers: String =
                Count::ALL.iter().map(|count| format!(" {} |", shown(number(*count)))).collect();
            let _ = writeln!(text, "| {title} | {unit} |{numbers} {} |", calls(&totals.calls));
        }
        let Self { compiler, processor, tools, .. } = self;
        let _ = write!(text, "\n- compiler: {compiler}\n- processor: {processor}\n- tools: {tools}\n");
        let _ = write!(text, "{MEANING}{}{SLACK}", slacks());
        text
    }

    pub(crate) fn row(&self, title: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.title == title)
    }
}

impl Row {
    /// Parses a line of the table. Returns `None` for other lines, and for the lines of its head.
    fn read(line: &str) -> Result<Option<Self>, String> {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        // Lines of tables have a bar at both ends.
        let ["", title, unit, cells @ .., ""] = &cells[..] else { return Ok(None) };
        if title.is_empty() || title.starts_with("---") {
            return Ok(None);
        }
        let Some((numbers, [calls])) = cells.split_at_checked(Count::ALL.len()) else {
            return Err(format!("this line has too few columns, or too many: {line}"));
        };
        let mut totals = Totals { calls: read_calls(calls), ..Totals::default() };
        for (count, cell) in Count::ALL.into_iter().zip(numbers) {
            let number = cell.replace(',', "").parse();
            let number = number.map_err(|_| format!("`{cell}` is not a number in this line: {line}"))?;
            totals.counts.insert(count, number);
        }
        Ok(Some(Self { title: (*title).to_owned(), unit: (*unit).to_owned(), totals }))
    }
}

/// Returns the tolerances as a table.
fn slacks() -> String {
    let mut table =
        "| | messages | rooms on disk | connections, rooms | idle |\n| --- | ---: | ---: | ---: | ---: |\n"
            .to_owned();
    for count in Count::ALL {
        let cells = [Spread::None, Spread::Grouping, Spread::Racing, Spread::Idle]
            .map(|spread| slack(count, spread, true).to_string());
        let _ = writeln!(table, "| {} | {} |", count.title(), cells.join(" | "));
    }
    table
}

/// Returns the calls that occur, the most frequent ones first.
fn calls(calls: &BTreeMap<String, f64>) -> String {
    let mut calls: Vec<_> = calls.iter().filter(|(_, count)| **count >= 0.02).collect();
    calls.sort_by(|a, b| b.1.total_cmp(a.1));
    let calls: Vec<_> = calls.into_iter().map(|(name, count)| format!("{name} {}", shown(*count))).collect();
    calls.join(", ")
}

fn read_calls(cell: &str) -> BTreeMap<String, f64> {
    let calls = cell.split(", ").filter_map(|call| call.split_once(' '));
    calls.filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

/// Formats a number with its significant digits.
pub(crate) fn shown(number: f64) -> String {
    match number {
        ..0.0005 => "0".to_owned(),
        ..0.9995 => format!("{number:.3}"),
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => grouped(number.round() as u64),
    }
}

// Lines of pages are longer than lines of code.
const BEGIN: &str = "\
# Costs

This page shows what a message, a connection and a room cost the server, in counts. Counts are the same on a busy machine and on an idle one. So each
change is compared with them: `cargo run -p stateroom-tests --bin costs` fails if a count has grown. With `--write`, the program writes this page, and it
reads the page for the comparison ([`tests/costs`](../tests/costs/main.rs)). [`comparison.md`](comparison.md) has measurements of time.

";

const MEANING: &str = "
Each number is (long run − short run) ÷ (number of additional messages, connections, rooms or seconds). So the start and the end of the server, and work
that only the first messages need, do not count. A negative difference is shown as 0. Each column, and each system call in the last column, is computed
separately. In the row of the idle connection, the two runs differ only by a few calls at random. So the calls in this row do not add up to the total.

The load runs in lockstep: one thread sends messages and waits for all answers before it sends again. The rooms are the guest `echo` of the examples,
which has no allocator, and a similar guest that sends every message to all clients. The server has one thread of rooms. The heartbeat is off. Client and
server run on the same core.

In a [resumable session](reference/sessions.md), the client confirms each 512 messages of 64 bytes, as the client library does. The server keeps the messages
until then. Apart from these, a resumable session takes about 330 bytes of memory in addition to its connection (4,000 idle clients, measured once).

In the rows of compressed messages, the server runs with `--compress=1`, and two messages alternate, because a message that comes again is not compressed again.
JSON of 1 KiB becomes about 330 bytes, and of 16 KiB about 3,800. JSON of 64 bytes does not become smaller: the server tries it and sends it as it is,
which is why the default of `--compress` is 512 bytes. Most instructions for small messages clear the tables of the compressor. A connection takes no memory
for compression between two messages, except 24 bytes.
With TLS (1.3, AES-256-GCM), the certificate has an elliptic key (P-256). An idle connection takes about 3.6 KB of memory in addition (1,000 idle clients, measured
once), and the static binary is 716 KB larger.

- *System calls* are counted by `strace`.
- *Allocations* are counted by valgrind's `dhat`. A reallocation counts as one allocation.
- *Instructions* are counted by valgrind's `callgrind`, in all threads, in user mode only. This includes the C library.

The C library must not use newer features of the processor, so that other machines have nearly the same counts. The tools make the server up to fifty
times slower. So a pass of the event loop gets more time than usual, and does as much work as without the tools.

## Tolerance

If a count grows by more than this, the comparison fails. A tolerance is a part of the count above, a fixed number, or the sum of both:

";

const SLACK: &str = "
When a connection or a room is created, or a room is on disk, several threads wait for one another, and the order is not always the same. So a count that is too large is
measured up to three times, and the smallest result is used. If the compiler is not the one above, instructions may be 10 % more. On another kind of
processor, instructions are not compared. If a count has become smaller, the program reports it and does not fail.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let counts = |numbers: [f64; 4]| Count::ALL.into_iter().zip(numbers).collect();
        let row = |title: &str, numbers, calls: &[(&str, f64)]| Row {
            title: title.to_owned(),
            unit: "message".to_owned(),
            totals: Totals {
                counts: counts(numbers),
                calls: calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
            },
        };
        Page {
            compiler: "rustc 1.95.0 (59807616e 2026-04-14)".to_owned(),
            processor: "x86_64".to_owned(),
            tools: "strace 6.1, valgrind-3.19.0".to_owned(),
            rows: vec![
                row(
                    "echo of 64 bytes, one at a time",
                    [3.0, 0.032, 16.1, 5963.0],
                    &[("sendto", 2.0), ("read", 1.0)],
                ),
                row("nothing", [0.0, 0.0, 0.0, 1_234_567.0], &[]),
            ],
        }
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        let text = page().text();
        assert!(text.contains("| 3.00 | 0.032 | 16.1 | 5,963 | sendto 2.00, read 1.00 |"), "{text}");
        assert_eq!(Page::read(&text), Ok(page()));
    }

    #[test]
    fn a_page_that_is_not_right_is_refused() {
        let text = page().text();
        assert!(Page::read("# Costs").unwrap_err().contains("no table"));
        assert!(Page::read(&text.replace("5,963", "many")).unwrap_err().contains("`many` is not a number"));
        assert!(Page::read(&text.replace("| 16.1 ", "")).unwrap_err().contains("too few columns"));
    }

    #[test]
    fn numbers_have_the_digits_that_are_worth_something() {
        let numbers = [0.0001, 0.0319, 0.9999, 2.998, 31.06, 103.2, 5963.2, 1_234_567.0].map(shown);
        assert_eq!(numbers, ["0", "0.032", "1.00", "3.00", "31.1", "103", "5,963", "1,234,567"]);
    }
}

use std::fmt::Write as _;

use crate::{comparison::Comparison, row::Unit};

/// Returns the table, with what belongs to it, as a page.
pub(crate) fn markdown(comparison: &Comparison) -> String {
    let Comparison { rows, peers, missing, results, about } = comparison;
    let mut page = String::from(BEGIN);
    let titles: String = peers.iter().map(|peer| format!(" {} |", peer.title)).collect();
    let _ = writeln!(page, "| | |{titles}");
    let _ = writeln!(page, "| --- | --- |{}", " ---: |".repeat(peers.len()));
    let mut failures = Vec::new();
    for figure in rows.iter().flat_map(|row| row.figures) {
        let _ = write!(page, "| {} | {} |", figure.title, unit(figure.unit));
        for peer in peers {
            match results.median(figure.title, peer.name) {
                Some(number) => {
                    let _ = write!(page, " {} |", three_digits(number));
                }
                None => {
                    page.push_str(" – |");
                    let why = results.failure(figure.title, peer.name).unwrap_or("it was not measured");
                    failures.push(format!("{}, {}: {why}", peer.title, figure.title));
                }
            }
        }
        page.push('\n');
    }
    page.push('\n');
    for line in about {
        let _ = writeln!(page, "- {line}");
    }
    if let Some(spread) = results.spread() {
        let _ = writeln!(
            page,
            "- in half of the figures, the largest of the rounds is at most {spread:.2} times the smallest"
        );
    }
    for (name, why) in missing {
        let _ = writeln!(page, "- {name} could not be installed: {why}");
    }
    failures.dedup();
    for failure in failures {
        let _ = writeln!(page, "- {failure}");
    }
    page.push_str(NOTES);
    page
}

/// Lines of pages are longer than those of programs.
const BEGIN: &str = "\
# Comparison

What a message, a connection and a room take, here and elsewhere: the same load, one server after the other, on one machine. Less is better,
but for the connections that are opened and closed. Written by `cargo run --release -p stateroom-tests --bin compare`, which says what it needs
([`tests/compare`](../tests/compare/main.rs)).

![The same as a chart](comparison.svg)

";

const NOTES: &str = "
Messages have 64 bytes where nothing else is said. Every one of them was delivered, once and in order: where that is not so, there is no number.

*CPU* is what the server's process takes, in the system as in the program, for each message (echo) or each delivery (broadcast). On loopback
that has the network in it, of which *bare sockets* takes little more than has to be: one thread without guests, limits or checks
([`tests/compare/raw`](../tests/compare/raw/main.rs)). *Memory* is what the process has grown by; the system's own for each socket is not in it.

The rooms are WebAssembly guests in both Staterooms; here, with limits. In Bun and Node.js they are JavaScript in the server's own process
([`tests/compare/peers`](../tests/compare/peers)).

How far this server goes, in rooms and in threads, is in [`scale.md`](scale.md).
What these take in system calls, allocations and instructions, which hardly depend on the machine, is in [`costs.md`](costs.md).
";

/// Returns a unit, for the table.
pub(crate) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Microseconds => "CPU, µs",
        Unit::Latency => "µs",
        Unit::PerSecond => "for each second of CPU",
        Unit::Kibibytes => "KiB",
    }
}

/// Returns as many digits as are worth something.
pub(crate) fn three_digits(number: f64) -> String {
    match number.abs() {
        0.0..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => {
            let digits = format!("{number:.0}");
            match digits.len() {
                5.. => format!("{},{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..]),
                _ => digits,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let numbers = [0.012, 0.5, 1.0, 12.345, 123.4, 1234.0, 12_345.6, 123_456.0].map(three_digits);
        assert_eq!(numbers, ["0.01", "0.50", "1.00", "12.3", "123", "1234", "12,346", "123,456"]);
    }
}

use std::fmt::Write as _;

use crate::{comparison::Comparison, row::Unit};

/// The table, with what belongs to it, as a page.
pub(crate) fn markdown(comparison: &Comparison) -> String {
    let Comparison { rows, peers, missing, results, about } = comparison;
    let mut page = String::from(
        "# Comparison\n\nWhat a message, a connection and a room take, here and elsewhere: the same load, one server after the other, on one \
         machine. Less is better, but for the connections. Written by\n`cargo run --release -p stateroom-tests --bin compare`, which says what it needs \
         ([`tests/compare`](../tests/compare/main.rs)).\n\n![The same as a chart](comparison.svg)\n\n",
    );
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
    let _ = writeln!(
        page,
        "- in half of the figures, the largest of the rounds is no more than {:.2} times the smallest",
        results.spread()
    );
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

const NOTES: &str = "
Messages have 64 bytes where nothing else is said, and every one of them was delivered, once and in order; a number is only given where that \
is so. *CPU* is what the server's process takes, in the system as in the program, for each message (echo) or each delivery (broadcast). On \
loopback that includes the network: what *bare sockets* takes, one thread without rooms' guests, limits or checks
([`tests/compare/raw`](../tests/compare/raw/main.rs)), nobody can do without. Memory is what the process grew by.

The rooms are WebAssembly guests in both Staterooms, in sandboxes and, here, with limits. In Bun and Node.js they are JavaScript in the server's own
process ([`tests/compare/peers`](../tests/compare/peers)).
";

/// A unit, for the table.
pub(crate) fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Microseconds => "CPU, µs",
        Unit::Latency => "µs",
        Unit::PerSecond => "for each second of CPU",
        Unit::Kibibytes => "KiB",
    }
}

/// As many digits as are worth something.
pub(crate) fn three_digits(number: f64) -> String {
    match number.abs() {
        small @ 0.0..1.0 if small > 0.0 => format!("{number:.2}"),
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

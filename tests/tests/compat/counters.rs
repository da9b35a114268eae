//! The counter among the examples, in every language that there is one in.

use stateroom_host_min::{Event, Step};
use stateroom_sdk_core::ClientId;
use stateroom_tests::{Documented, Guest, inspect};

use crate::conversation::{Exchange, Host, bytes, connect, everyone, text};

/// Returns what a counter that begins with 0 answers.
fn counting() -> Vec<Exchange> {
    vec![
        (Event::Init, vec![]),
        (connect(1), vec![]),
        (connect(2), vec![]),
        (text(1, "increment"), vec![everyone("new value: 1")]),
        (text(2, "decrement"), vec![everyone("new value: 0")]),
        (text(2, "decrement"), vec![everyone("new value: -1")]),
        (text(1, "increase"), vec![]),
        (text(1, "incremen"), vec![]),
        (text(1, "incrementt"), vec![]),
        (text(1, "increment\0"), vec![]),
        (text(1, "Increment"), vec![]),
        (text(1, "decremend"), vec![]),
        (text(1, ""), vec![]),
        (bytes(1, b"increment"), vec![]),
        (bytes(1, b""), vec![]),
        (Event::Timer, vec![]),
        (Event::Disconnect(ClientId(1)), vec![]),
        (text(2, "decrement"), vec![everyone("new value: -2")]),
    ]
}

/// Returns what one answers that begins with the last number of its range but one.
fn ending(word: &'static str, last: i32) -> Vec<Exchange> {
    let back = if word == "increment" { "decrement" } else { "increment" };
    let value = |value: i32| -> &'static str { format!("new value: {value}").leak() };
    vec![
        (Event::Init, vec![]),
        (connect(1), vec![]),
        (text(1, word), vec![everyone(value(last))]),
        (text(1, word), vec![everyone(value(last))]),
        (text(1, back), vec![everyone(value(last - last.signum()))]),
    ]
}

/// Builds the example three times: as it is, and near both ends of its range, where counting takes hours.
/// `begins` is the piece of its source that has it begin with `0`.
#[track_caller]
fn counts(begins: &str, example: impl Fn() -> Documented) {
    let module = example().module();
    Host::load(&module).converse(counting());
    inspect(&module, &["increment", "decrement"]);
    for (word, last) in [("increment", i32::MAX), ("decrement", i32::MIN)] {
        let near = begins.replace('0', &(last - last.signum()).to_string());
        Host::load(&example().with(begins, &near).module()).converse(ending(word, last));
    }
}

#[test]
fn rust_counts() {
    let source = include_str!("../../../examples/counter/src/lib.rs");
    Host::load(&Guest::new("counts", "[]", source).module()).converse(counting());
}

#[test]
fn c_counts() {
    let needs = "install clang and wasm-ld (Debian: `apt-get install clang lld`)";
    counts("int value = 0;", || Documented::new("counter-c", needs));
}

#[test]
fn zig_counts() {
    let needs =
        "install Python 3 with venv (Debian: `apt-get install python3-venv`), whose pip needs its registry";
    counts("value: i32 = 0;", || Documented::new("counter-zig", needs));
}

#[test]
fn assembly_script_counts() {
    let needs = "install Node.js 20.10 or newer with npm, which needs its registry";
    counts("value: i32 = 0;", || Documented::new("counter-assemblyscript", needs));
}

#[test]
fn hand_written_text_counts() {
    counts("$value (mut i32) (i32.const 0)", || Documented::new("counter-wat", "it needs nothing"));
}

/// A counter ignores what it does not know, however long that is.
#[test]
fn counters_take_large_messages_or_have_them_refused() {
    let large = "x".repeat(1 << 20);
    for (example, takes) in [
        ("counter-c", Step::Done),
        ("counter-zig", Step::Refused),
        ("counter-assemblyscript", Step::Done),
        ("counter-wat", Step::Done),
    ] {
        let mut room = Host::load(&Documented::new(example, "see the other tests here").module());
        room.converse([(Event::Init, vec![]), (connect(1), vec![])]);
        assert_eq!(room.run(text(1, &large)), Ok(takes), "{example}");
        room.converse([(text(1, "increment"), vec![everyone("new value: 1")])]);
    }
}

//! Tests of what `docs/reference/abi.md` says about the interface.

use std::{fs, process::Command};

use stateroom_host_min::{Event, Limits, LoadError, Problem, Program, Step};
use stateroom_tests::{Directory, inspect};

use crate::conversation::{Host, bytes, bytes_to, connect, text, to};

const DOCUMENT: &str = include_str!("../../../docs/reference/abi.md");

/// Returns the modules and pieces of modules in it.
fn blocks() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```wat\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

/// Returns the tables' rows in a section, as their cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = DOCUMENT.lines().skip_while(|line| *line != heading).skip(1);
    let rows = lines.take_while(|line| !line.starts_with('#')).filter_map(|line| line.strip_prefix("| "));
    // The first two are the head, and what is below it.
    let cells = |row: &'static str| row.trim_end_matches(" |").split(" | ").collect();
    let rows: Vec<_> = rows.filter(|row| !row.starts_with("---")).skip(1).map(cells).collect();
    assert!(!rows.is_empty(), "{heading}");
    rows
}

/// Returns the name in front of the parameters in `name(a, b)`, in backticks or not.
fn name(cell: &str) -> &str {
    cell.trim_matches('`').split('(').next().unwrap_or_default()
}

/// Returns a function's type as the text format has it, of one such as `(i32, i32) -> (i32)`.
fn signature(cell: &str) -> String {
    let (parameters, results) =
        cell.trim_matches('`').split_once(" -> ").unwrap_or((cell.trim_matches('`'), "()"));
    let types = |list: &str| list.trim_matches(['(', ')']).replace(", ", " ");
    format!("(param {}) (result {})", types(parameters), types(results))
}

fn load(text: &str) -> Result<Program, LoadError> {
    let module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Program::load(&module, Limits::default())
}

/// Returns the guest in the document with an import added, which has to come first.
fn guest_with_import(import: &str) -> Result<Program, LoadError> {
    load(&blocks()[0].replacen("(module", &format!("(module {import}"), 1))
}

/// Returns the guest in the document with something else added.
fn guest_with(added: &str) -> Result<Program, LoadError> {
    let guest = blocks()[0].trim_end().strip_suffix(')').expect("it is a module");
    load(&format!("{guest} {added})"))
}

#[test]
fn the_whole_guest_is_whole() {
    let module = wat::parse_str(blocks()[0]).expect("it is valid");
    let mut room = Host::load(&module);
    room.converse([
        (Event::Init, vec![]),
        (connect(7), vec![to(7, "welcome")]),
        (text(7, "Grüße ☃"), vec![to(7, "Grüße ☃")]),
        (text(7, ""), vec![to(7, "")]),
        (bytes(7, &[0, 255]), vec![bytes_to(7, &[0, 255])]),
    ]);
    let (most, more) = ([7; 65_536], [7; 65_537]);
    assert_eq!(room.run(bytes(7, &more)), Ok(Step::Refused));
    assert_eq!(room.ask(bytes(7, &most)), [bytes_to(7, &most)]);
    inspect(&module, &["welcome"]);
}

#[test]
fn the_exports_are_those_that_the_host_asks_for() {
    let Err(LoadError::NotAGuest(problems)) = load("(module)") else { panic!("it lacks everything") };
    let asked = problems.iter().map(|problem| match problem {
        Problem::MissingExport { name, expected } => ((*name).to_owned(), expected.clone()),
        other => panic!("{other}"),
    });
    let documented = rows("## Exports").into_iter().map(|row| {
        let ty = row[1].trim_matches('`');
        (
            name(row[0]).to_owned(),
            if ty.starts_with('(') { format!("a function {ty}") } else { ty.to_owned() },
        )
    });
    assert_eq!(documented.collect::<Vec<_>>(), asked.collect::<Vec<_>>());
}

#[test]
fn the_imports_are_there_and_have_these_types() {
    for module in ["env", "stateroom"] {
        for row in rows(&format!("### From `{module}`")) {
            if !row[1].starts_with("`(") {
                // A key, or another table's head.
                continue;
            }
            let (name, ty) = (name(row[0]), signature(row[1]));
            let loaded = guest_with_import(&format!("(import \"{module}\" \"{name}\" (func {ty}))"));
            assert!(loaded.is_ok(), "{module}.{name}: {loaded:?}");
        }
    }
    let wasi = rows("### From `wasi_snapshot_preview1`");
    let names = wasi.iter().flat_map(|row| row[0].split(", ")).filter(|name| name.starts_with('`'));
    for name in names.map(|name| name.trim_matches('`')) {
        let import = format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func (param f64)))");
        let Err(LoadError::NotAGuest(problems)) = guest_with_import(&import) else { panic!("{name}") };
        // It is there, with a type of its own.
        assert!(matches!(problems[..], [Problem::WrongImport { .. }]), "{problems:?}");
    }
}

#[test]
fn levels_outside_the_documented_ones_are_the_first_and_the_last() {
    let import = "(import \"stateroom\" \"log\" (func $log (param i32 i32 i32)))";
    let greeting = "(call $send_message (local.get $client) (i32.const 16) (i32.const 7))";
    let level = |level: i32| {
        let log = format!("(call $log (i32.const {level}) (i32.const 16) (i32.const 7))");
        let guest =
            blocks()[0].replacen("(module", &format!("(module {import}"), 1).replacen(greeting, &log, 1);
        let mut room = Host::load(&wat::parse_str(guest).expect("it is valid"));
        assert_eq!(room.run(Event::Init), Ok(Step::Done));
        assert_eq!(room.run(connect(1)), Ok(Step::Done));
        room.log().concat()
    };
    for (number, taken_for) in [(0, 1), (6, 5), (i32::MAX, 5), (-1, 5)] {
        assert_eq!(level(number), level(taken_for), "{number}");
    }
    assert_ne!(level(1), level(5));
}

#[test]
fn the_command_for_c_makes_a_guest() {
    let command = DOCUMENT.lines().find(|line| line.starts_with("clang ")).expect("there is one");
    let counter = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/counter-c/counter.c");
    let directory = Directory::new().with("counter.c", fs::read(counter).expect("the example is there"));
    let built = Command::new("sh").args(["-c", command]).current_dir(directory.path()).output();
    let built = built.expect("a shell can be run");
    let words = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "this needs clang and lld (Debian: apt-get install clang lld): {words}");
    let module = fs::read(directory.path().join("counter.wasm")).expect("it has been written");
    inspect(&module, &["increment"]);
}

#[test]
fn the_interface_of_the_0_4_line_has_these_exports() {
    let Err(LoadError::NotAGuest(problems)) = load("(module (func (export \"stateroom_recv\")))") else {
        panic!("it lacks nearly everything")
    };
    let asked: Vec<_> = problems
        .into_iter()
        .map(|problem| match problem {
            Problem::MissingExport { name, expected } | Problem::WrongExport { name, expected, .. } => {
                (name, expected)
            }
            other => panic!("{other}"),
        })
        .collect();
    for row in rows("## The interface of Stateroom 0.4").iter().take(4) {
        let ty = row[1].trim_matches('`');
        let expected = if ty.starts_with('(') { format!("a function {ty}") } else { ty.to_owned() };
        assert!(asked.contains(&(name(row[0]), expected.clone())), "{row:?} {asked:?}");
    }
}

#[test]
fn the_version_globals_are_those_that_are_checked() {
    let versions = blocks()[1];
    guest_with(versions).expect("it names the right version");
    let other = guest_with(&versions.replace("\\01", "\\02"));
    let Err(LoadError::NotAGuest(problems)) = other else { panic!("it names another version") };
    assert!(matches!(problems[..], [Problem::Version { version: Some(2), protocol: Some(0) }]));
}

#[test]
fn the_limits_have_these_defaults() {
    let limits = Limits::default();
    for row in rows("## Limits") {
        let (key, value) = (row[0].split(':').next().unwrap_or_default().trim_matches('`'), row[1]);
        let limit = match key {
            "message_size" => limits.message_size as u64,
            "effects" => limits.effects as u64,
            "effect_bytes" => limits.effect_bytes as u64,
            "memory" => limits.memory as u64,
            "fuel" => limits.fuel,
            "startup_fuel" => limits.startup_fuel,
            "call_depth" => limits.call_depth as u64,
            "table_elements" => limits.table_elements as u64,
            "module_size" => limits.module_size as u64,
            other => panic!("there is no limit `{other}`"),
        };
        let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
        let number: u64 = number.replace(',', "").parse().unwrap_or_else(|_| panic!("{value}"));
        let unit = match unit {
            "" => 1,
            "million" => 1_000_000,
            "MiB" => 1 << 20,
            other => panic!("{other}"),
        };
        assert_eq!(number * unit, limit, "{key}");
    }
}

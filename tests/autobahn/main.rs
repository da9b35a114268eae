//! Runs the Autobahn test suite against the command, and fails if a case fails: see `README.md`.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, env, fs, path::Path, process::Command, process::ExitCode};

use serde_json::{Value, json};
use stateroom_tests::{Child, Directory, Output, example};

fn main() -> ExitCode {
    match run(env::args().skip(1)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Compression, and the limits that the largest messages of the suite need: 16 MiB.
const OPTIONS: [&str; 5] = ["--compress=1", "--max-message-size", "16MiB", "--max-memory", "64MiB"];

fn run(mut words: impl Iterator<Item = String>) -> Result<bool, String> {
    let (mut wstest, mut cases, mut reports) = ("wstest".to_owned(), vec!["*".to_owned()], None);
    while let Some(word) = words.next() {
        match (&*word, words.next()) {
            ("--wstest", Some(path)) => wstest = path,
            ("--cases", Some(list)) => cases = list.split(',').map(str::to_owned).collect(),
            ("--reports", Some(directory)) => reports = Some(directory),
            _ => return Err("the options are `--wstest PATH`, `--cases LIST` and `--reports DIR`".to_owned()),
        }
    }
    let dist = example("echo").display().to_string();
    let arguments = ["serve", &dist, "--ip", "127.0.0.1", "--port", "0"];
    let child = Child::start("stateroom", &[&arguments[..], &OPTIONS].concat());
    let address = child.line(Output::Stderr, "serving on ");
    let own = Directory::new();
    let outdir = reports.unwrap_or_else(|| own.path().display().to_string());
    let spec = json!({
        "outdir": outdir,
        "servers": [{ "agent": "stateroom", "url": format!("ws://{address}/ws/autobahn") }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let path = own.path().join("spec.json");
    fs::write(&path, spec.to_string())
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    let status = Command::new(&wstest).args(["--mode", "fuzzingclient", "--spec"]).arg(&path).status();
    let status = status.map_err(|error| {
        format!("cannot run `{wstest}`: {error}; `tests/autobahn/README.md` says how to install it")
    })?;
    if !status.success() {
        return Err(format!("`{wstest}` has failed: {status}"));
    }
    report(&Path::new(&outdir).join("index.json"))
}

/// Prints the cases that have not just passed. Returns false if one has failed.
fn report(index: &Path) -> Result<bool, String> {
    let text = fs::read(index).map_err(|error| format!("there is no report: {error}"))?;
    let index: Value =
        serde_json::from_slice(&text).map_err(|error| format!("it is not readable: {error}"))?;
    let mut counts = BTreeMap::new();
    let mut all_pass = true;
    for (case, result) in index["stateroom"].as_object().into_iter().flatten() {
        let [behavior, close] = ["behavior", "behaviorClose"].map(|key| result[key].as_str().unwrap_or("?"));
        *counts.entry(behavior).or_insert(0) += 1;
        let passes = |behavior| ["OK", "INFORMATIONAL", "UNIMPLEMENTED"].contains(&behavior);
        all_pass &= passes(behavior) && passes(close);
        if (behavior, close) != ("OK", "OK") && behavior != "UNIMPLEMENTED" {
            println!("{case}: {behavior}, closed: {close}, with {}", result["remoteCloseCode"]);
        }
    }
    println!("{counts:?}");
    Ok(all_pass && !counts.is_empty())
}

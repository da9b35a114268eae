use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use stateroom_tests::{Cores, binary};

use crate::{
    chart,
    options::Options,
    peer::{NAMES, Peer, said},
    results::Results,
    row::{ROWS, Row},
    table,
};

/// All results, with the place and the time.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) peers: Vec<Peer>,
    /// The servers that could not be installed, and why.
    pub(crate) missing: Vec<(&'static str, String)>,
    pub(crate) results: Results,
    /// Machine, date and version, as lines.
    pub(crate) about: Vec<String>,
}

/// Compares, and writes what came of it.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    if cfg!(debug_assertions) {
        return Err("numbers of a build without optimisation mean nothing: add --release".to_owned());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("this package is in a workspace")?;
    let place = root.join("target/tmp/compare");
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let cores = Cores::find().map_err(|error| error.to_string())?;
    let rows = ROWS.iter().filter(|row| options.wants_row(row.name)).collect();
    let (peers, missing, results, about) = Default::default();
    let mut comparison = Comparison { rows, peers, missing, results, about };
    for name in NAMES.into_iter().filter(|name| options.wants_peer(name)) {
        eprintln!("installing {name}");
        match Peer::install(name, &place) {
            Ok(peer) => comparison.peers.push(peer),
            Err(why) => comparison.missing.push((name, why)),
        }
    }
    let busy_before = busy();
    for round in 1..=options.rounds {
        for row in &comparison.rows {
            for peer in &comparison.peers {
                eprint!("round {round} of {}, {}, {}: ", options.rounds, row.name, peer.name);
                let report = measure(peer, row, options, &place, &cores);
                for figure in row.figures {
                    let number = report.as_ref().map_err(Clone::clone).and_then(|report| {
                        let number = report.pointer(figure.pointer).and_then(Value::as_f64);
                        number
                            .map(|number| figure.unit.of(number))
                            .ok_or_else(|| "it reports nothing".to_owned())
                    });
                    match number {
                        Ok(number) => {
                            eprint!("{number:.2} ");
                            comparison.results.add(figure.title, peer.name, number);
                        }
                        Err(why) => {
                            eprint!("{why} ");
                            comparison.results.fail(figure.title, peer.name, &why);
                        }
                    }
                }
                eprintln!();
            }
        }
    }
    comparison.about = about_this(options, &cores, root, &busy_before)?;
    let table = table::markdown(&comparison);
    print!("{table}");
    if !options.is_dry {
        let docs = root.join("docs");
        fs::write(docs.join("comparison.md"), table).map_err(|error| error.to_string())?;
        fs::write(docs.join("comparison.svg"), chart::svg(&comparison)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Runs one server under one load.
fn measure(peer: &Peer, row: &Row, options: &Options, place: &Path, cores: &Cores) -> Result<Value, String> {
    if row.rooms > 1 && !peer.has_rooms {
        return Err("one room in each process".to_owned());
    }
    let server = peer.start(place, row, cores)?;
    let mut load = Command::new(binary("stateroom"));
    let (mode, flags) = row.load.split_once(' ').unwrap_or((row.load, ""));
    load.args(["load", mode]).arg(peer.url(server.port)).args(flags.split(' '));
    load.args(["--json", "--pid", &server.child.id().to_string()]);
    if row.has_duration {
        // Those that compile while they run need some time for it.
        let warmup = (options.seconds / 2.0).clamp(0.5, 2.0);
        load.args(["--duration", &options.seconds.to_string(), "--warmup", &warmup.to_string()]);
    }
    load.stdin(Stdio::null());
    let output = cores.load(&mut load, Command::output).map_err(|error| error.to_string())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(stderr.trim().trim_start_matches("error: ").to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Returns how many programs want to run at present, beside this one.
fn busy() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("?").to_owned()
}

fn about_this(options: &Options, cores: &Cores, root: &Path, busy: &str) -> Result<Vec<String>, String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpu.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<_> = models.map(|(_, model)| model).collect();
    let model = models.first().copied().unwrap_or("a processor without a name");
    let system = said(Command::new("uname").arg("-sr"))?;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let git = |words: &[&str]| said(Command::new("git").arg("-C").arg(root).args(words));
    let commit = git(&["rev-parse", "--short", "HEAD"]).unwrap_or_else(|_| "unknown".to_owned());
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "core/src",
        "host-min/src",
        "server-smol/src",
        "server-smol/cli/src",
        "sdk-core/src",
    ]);
    let changed = if changed.is_ok_and(|changed| changed.is_empty()) { "" } else { " with changes" };
    Ok(vec![
        format!("{model}, {} cores, {system}; {}", models.len(), cores.described()),
        format!("{date}, commit {commit}{changed}"),
        format!("median of {} rounds of {} s; load average before: {busy}", options.rounds, options.seconds),
    ])
}

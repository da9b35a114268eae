use crate::{
    load::Load,
    log::{self, Direct, Log as _, RECORD, Raw, Sample},
    options::Options,
    page::{head, median, row},
    server::Place,
    traced,
};

/// The records that are in flight.
const IN_FLIGHT: [usize; 3] = [1, 16, 256];
/// A guest that sends back what it gets.
pub(crate) const ECHO: &str = r#"(module
    (import "env" "send_binary" (func $send (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
    (func (export "jam_free") (param i32 i32))
    (func (export "initialize") (param i32 i32))
    (func (export "connect") (param i32))
    (func (export "disconnect") (param i32))
    (func (export "timer"))
    (func (export "message") (param i32 i32 i32))
    (func (export "binary") (param i32 i32 i32)
        (call $send (local.get 0) (local.get 1) (local.get 2))))"#;

/// Measures a file, the journal and the whole server alternately.
pub(crate) fn measure(options: &Options) {
    let module = wat::parse_str(ECHO).expect("a module");
    let echo = stateroom_tests::Directory::new().with("echo.wasm", module);
    let place = Place::new(options.server(), echo.path().join("echo.wasm"));
    let (server, forgetful) = (place.serve(&[]), place.serve_in_memory());
    let mut raw = Raw::new(&place.beside("raw"));
    let mut direct = Direct::new(&place.beside("journal"), IN_FLIGHT[2]);
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        // All of them are beside one another in time.
        rounds.push(IN_FLIGHT.map(|records| {
            [
                log::run(&mut raw, records, options.time),
                log::run(&mut direct, records, options.time),
                Load::waiting(records).run(&options.server(), &server, options.time),
                Load::waiting(records).run(&options.server(), &forgetful, options.time),
            ]
        }));
    }
    println!(
        "\nRecords of {RECORD} bytes; medians of {} rounds of {} s each; ratios within a round\n",
        options.rounds,
        options.time.as_secs()
    );
    let columns = ["in flight", "", "p50", "p99", "records/s", "of the file's", "processor time for each"];
    head(&columns);
    for (at, records) in IN_FLIGHT.iter().enumerate() {
        for (which, name) in [
            "`pwrite` and `fdatasync`",
            "the journal",
            "the server, with clients",
            "the server without `--data`",
        ]
        .iter()
        .enumerate()
        {
            let figure =
                |value: fn(&Sample) -> f64| median(rounds.iter().map(|round| value(&round[at][which])));
            let ratio =
                median(rounds.iter().map(|round| round[at][which].per_second / round[at][0].per_second));
            row(&[
                format!("{records}"),
                (*name).to_owned(),
                format!("{:.2} ms", figure(|sample| sample.p50) / 1e3),
                format!("{:.2} ms", figure(|sample| sample.p99) / 1e3),
                stateroom_tests::grouped(figure(|sample| sample.per_second) as u64),
                format!("{ratio:.2}"),
                format!("{:.2} µs", figure(|sample| sample.cpu)),
            ]);
        }
    }
    let [groups, syncs] = direct.groups_and_syncs();
    println!("\nthe journal: {groups} groups, {:.3} `fdatasync` for each", syncs as f64 / groups as f64);
    drop((server, forgetful));
    traced::measure(&options.server(), &place);
}

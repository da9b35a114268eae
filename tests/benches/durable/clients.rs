use crate::{
    beside::ECHO,
    load::Load,
    log::{RECORD, Sample},
    options::Options,
    page::{head, median, row},
    server::Place,
};

/// The loads: as much as the server takes, and then the same rate with and without the disk.
const LOADS: [(&str, Load); 5] = [
    ("each waits for its answer", Load { clients: 50, window: 1, rate: None }),
    ("32 of each wait", Load { clients: 50, window: 32, rate: None }),
    ("20,000 messages/s", Load { clients: 50, window: 1000, rate: Some(20_000) }),
    ("60,000 messages/s", Load { clients: 50, window: 1000, rate: Some(60_000) }),
    ("200,000 messages/s", Load { clients: 50, window: 1000, rate: Some(200_000) }),
];

/// Measures a server with and without `--data` alternately.
pub(crate) fn measure(options: &Options) {
    let module = wat::parse_str(ECHO).expect("a module");
    let echo = stateroom_tests::Directory::new().with("echo.wasm", module);
    let place = Place::new(options.server(), echo.path().join("echo.wasm"));
    let servers = [place.serve_in_memory(), place.serve(&[])];
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(LOADS.map(|(_, load)| {
            servers.each_ref().map(|server| load.run(&options.server(), server, options.time))
        }));
    }
    println!(
        "\n50 clients, messages of {RECORD} bytes; medians of {} rounds of {} s each; ratios within a round\n",
        options.rounds,
        options.time.as_secs()
    );
    head(&["", "`--data`", "p50", "p99", "messages/s", "processor time for each", "of that without"]);
    for (at, (name, _)) in LOADS.iter().enumerate() {
        for (which, data) in ["without", "with"].iter().enumerate() {
            let figure =
                |value: fn(&Sample) -> f64| median(rounds.iter().map(|round| value(&round[at][which])));
            let ratio = median(rounds.iter().map(|round| round[at][which].cpu / round[at][0].cpu));
            row(&[
                (*name).to_owned(),
                (*data).to_owned(),
                format!("{:.2} ms", figure(|sample| sample.p50) / 1e3),
                format!("{:.2} ms", figure(|sample| sample.p99) / 1e3),
                stateroom_tests::grouped(figure(|sample| sample.per_second) as u64),
                format!("{:.2} µs", figure(|sample| sample.cpu)),
                format!("{ratio:.2}"),
            ]);
        }
    }
}

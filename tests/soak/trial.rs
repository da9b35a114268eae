use std::{
    thread,
    time::{Duration, Instant},
};

use stateroom_tests::more_files;

use crate::{
    crowd::{Crowd, Story, visit},
    options::Options,
    patience::PATIENCE,
    sample::Sample,
    server::Server,
    verdict::{Third, growth, left, most},
};

/// The time between two looks at the server.
const INTERVAL: Duration = Duration::from_millis(500);
/// The number of rows of a table.
const ROWS: u32 = 10;
/// The time after which nothing is left of clients that are gone.
const SETTLING: Duration = Duration::from_secs(60);

/// Makes the runs, and prints what came of them.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    more_files();
    let mut broken = Vec::new();
    for &has_tls in &options.runs {
        let how = if has_tls { "with TLS" } else { "without TLS" };
        let Options { time, rooms, seed, .. } = options;
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        println!("{rooms} rooms for {} minutes, {how}, seed {seed}, profile {profile}", time.as_secs() / 60);
        let found = try_once(options, has_tls).unwrap_or_else(|error| vec![error]);
        broken.extend(found.into_iter().map(|what| format!("{how}: {what}")));
        println!();
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\nerror: ")) }
}

/// Makes a run, and returns the promises that were broken.
fn try_once(options: &Options, has_tls: bool) -> Result<Vec<String>, String> {
    let mut server = Server::start(has_tls)?;
    // What a server makes for its first client stays.
    visit(&server.target).map_err(|error| format!("the first client: {error}"))?;
    let mut before = server.sample(Duration::ZERO)?;
    while before.rooms > 0 {
        thread::sleep(INTERVAL);
        before = server.sample(Duration::ZERO)?;
    }
    println!("{}\n{before}", Sample::HEAD);
    let crowd = Crowd::begin(server.target.clone(), options.rooms, options.seed);
    crowd.come(2 * PATIENCE)?;
    let begin = Instant::now();
    let (mut samples, mut rows) = (Vec::new(), 0);
    while begin.elapsed() < options.time && !crowd.is_over() {
        thread::sleep(INTERVAL);
        let sample = server.sample(begin.elapsed())?;
        samples.push(sample);
        if sample.time >= options.time / ROWS * (rows + 1) {
            rows += 1;
            println!("{sample}");
        }
    }
    let story = crowd.end()?;
    let gone = Instant::now();
    let mut after = server.sample(begin.elapsed())?;
    while !left(&before, &after).is_empty() && gone.elapsed() < SETTLING {
        thread::sleep(INTERVAL);
        after = server.sample(begin.elapsed())?;
    }
    println!("{after}\n");
    let thirds = Third::of(&samples, options.time);
    report(&story, &thirds, &samples, options.time, gone.elapsed());
    let mut broken = story.failures;
    broken.extend(growth(thirds));
    broken.extend(left(&before, &after));
    broken.extend(server.end().err());
    Ok(broken)
}

fn report(story: &Story, [second, last]: &[Third; 2], samples: &[Sample], time: Duration, settled: Duration) {
    println!("| what clients do | times |\n| --- | ---: |");
    for (what, count) in &story.counts {
        println!("| {what} | {count} |");
    }
    println!(
        "\n{} clients stay and do nothing wrong. These and the visitors have heard {} messages, each of them the next one, and have resumed {} \
         sessions.",
        story.healthy, story.heard, story.resumptions
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "The medians of the second and the last third: resident {:.1} and {:.1} MB, counted {:.1} and {:.1} MB.",
        megabytes(second.resident),
        megabytes(last.resident),
        megabytes(second.memory),
        megabytes(last.memory)
    );
    let of_last = samples.iter().filter(|sample| sample.time >= time / 3).map(|sample| sample.connections);
    let connections = of_last.clone().max().unwrap_or_default() - of_last.min().unwrap_or_default();
    if let Some(bytes) = (most(second.resident) - second.resident).checked_div(connections / 2) {
        println!("A leak of more than {bytes} bytes for each WebSocket would be seen.");
    }
    println!("When all had gone, the server was as before after {:.1} s.", settled.as_secs_f64());
}

use stateroom_tests::grouped;

use crate::{
    Bench,
    page::{Page, Verdict},
    pairs::{Pairs, change},
    server::Affinity,
};

/// Rooms with a client each whose threads are counted.
const ROOMS: usize = 4000;

/// Two threads beside one.
pub(crate) fn measure(bench: &Bench, page: &mut Page) {
    let [one, two] = ["1", "2"].map(|threads| {
        let flags = ["--max-connections", "1M", "--threads", threads];
        bench.serve(&bench.echo, Affinity::AnyCore, &flags)
    });
    for (window, at_a_time) in [(1, "one message"), (32, "32 messages")] {
        let load = format!("echo --connections 200 --rooms 100 --window {window}");
        let pairs = Pairs::measure(bench, &load, [&one, &two]);
        let (cpu, ratio) = pairs.figure("/server/cpu_us_per_message");
        let what = format!("two threads, 100 rooms of two clients, {at_a_time} at a time");
        page.line(
            &what,
            "at most 15 % more CPU for a message than with one",
            &format!("{}: {:.2} µs in place of {:.2}", change(ratio), cpu[1], cpu[0]),
            ratio <= 1.15,
        );
        let (messages, ratio) = pairs.figure("/messages_per_second");
        let result = format!(
            "{ratio:.2} times as many: {} messages a second in place of {}",
            grouped(messages[1] as u64),
            grouped(messages[0] as u64)
        );
        page.line(&format!("{what}: by the clock"), "", &result, Verdict::None);
    }

    page.line(
        "the two threads' shares of the time of all that",
        "",
        &shares(&two.threads_of_rooms()),
        Verdict::None,
    );
    let _crowd = bench.crowd(&two, ROOMS);
    // Each thread of rooms waits for the sockets of its own; the listener's has few.
    let watched = two.sockets_watched().into_iter().filter(|count| *count > ROOMS / 100);
    let watched: Vec<_> = watched.map(|count| count as f64).collect();
    page.line(
        &format!("{} rooms on two threads", grouped(ROOMS as u64)),
        "",
        &shares(&watched),
        Verdict::None,
    );
    page.note(
        "the servers of one thread and of two run where the system puts them; the load keeps to a core, which it may have to \
         share with the second thread: the clock tells more where there are more cores"
            .to_owned(),
    );
}

fn shares(parts: &[f64]) -> String {
    let sum: f64 = parts.iter().sum();
    let shares: Vec<_> = parts.iter().map(|part| format!("{:.1} %", part / sum * 100.0)).collect();
    shares.join(" and ")
}

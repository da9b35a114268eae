use std::{fs, path::Path, process::Command, time::Duration, time::Instant};

use stateroom_tests::Child;

use crate::{
    load::Load,
    server::{Place, Server},
};

/// Counts the writes and the syncs of a server that serves clients. It takes strace, and is slow. So no time is measured here.
pub(crate) fn measure(program: &Path, place: &Place) {
    if Command::new("strace").arg("-V").output().is_err() {
        println!("there is no strace, so nobody counts the calls of `fdatasync`");
        return;
    }
    let output = place.beside("strace");
    let mut strace = Command::new("strace");
    // The tracer is the grandchild. So what is started is the server.
    strace.args(["-D", "-f", "-q", "-e", "trace=pwrite64,fdatasync,fsync", "-o"]).arg(&output);
    let begin = Instant::now();
    let server = Server::of(Child::of(strace.args(place.command(&[]))), begin);
    for clients in [1, 16, 256] {
        let before = count(&output);
        let time = Duration::from_secs(2);
        let sample = Load::waiting(clients).run(program, &server, time);
        let [writes, syncs] = [0, 1].map(|at| (count(&output)[at] - before[at]) as f64);
        println!(
            "the server with {clients} clients: {writes} `pwrite` and {syncs} `fdatasync` or `fsync`, {:.3} for each; about {:.0} messages for each",
            syncs / writes,
            // The warm-up has messages, too.
            sample.per_second * (time.as_secs_f64() + 0.3) / writes,
        );
    }
}

fn count(output: &Path) -> [usize; 2] {
    let text = fs::read_to_string(output).unwrap_or_default();
    // Where another thread interrupts a line, the rest of it says "resumed".
    let count = |name: &str| text.lines().filter(|line| line.contains(name)).count();
    [count(" pwrite64("), count(" fdatasync(") + count(" fsync(")]
}

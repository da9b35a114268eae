use std::{thread, time::Duration};

use crate::{Bench, page::Page, server::Affinity};

const MB: f64 = 1e6;

/// Measures the memory of a server that has just begun, and of one with a few hundred rooms.
pub(crate) fn measure(bench: &Bench, page: &mut Page) {
    let server = bench.serve(&bench.echo, Affinity::OneCore, &[]);
    // Whatever it does at its beginning.
    thread::sleep(Duration::from_secs(1));
    let idle = server.resident();
    let result = format!(
        "{:.1} MB, of which {:.1} MB are its own and not the program's file",
        idle / MB,
        server.anonymous() / MB
    );
    page.line("RSS of a server that waits for its first client", "5 MB", &result, idle <= 5.0 * MB);

    // Ten messages of each client.
    let report = bench.load_for(2.0, "echo --connections 1000 --rooms 500 --rate 5000", &server);
    let full = report["server"]["resident"].as_f64().unwrap_or(f64::NAN);
    let messages = report["messages"].as_u64().unwrap_or_default();
    let result = format!("{:.1} MB, after {messages} messages", full / MB);
    page.line("RSS with 500 rooms of two clients, which send messages", "32 MB", &result, full <= 32.0 * MB);
}
